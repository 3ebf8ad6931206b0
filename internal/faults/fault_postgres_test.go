package faults

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// backends returns the process ids of the instances' sessions.
func (w *world) backends(ctx context.Context) []int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	pids, err := query(ctx, w.db, pgx.RowTo[int], `select pid from pg_stat_activity where application_name like 'pgchat%' order by pid`)
	if err != nil {
		return nil // it is down
	}
	return pids
}

// backendKilled is `kill -9` of a session's process, after which PostgreSQL ends all sessions and recovers.
type backendKilled struct{ w *world }

func (f *backendKilled) Break(ctx context.Context, random *rand.Rand) {
	if pids := f.w.backends(ctx); len(pids) > 0 {
		_ = syscall.Kill(pids[random.IntN(len(pids))], syscall.SIGKILL)
	}
}
func (f *backendKilled) Mend(context.Context) {}

// backendsTerminated ends all sessions of the instances, or their listeners alone, as a DBA would.
type backendsTerminated struct {
	w         *world
	listeners bool
}

func (f *backendsTerminated) Break(ctx context.Context, _ *rand.Rand) {
	_ = f.w.db.try(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
		where application_name = 'pgchat listener' or application_name = 'pgchat' and not $1`, f.listeners)
}
func (f *backendsTerminated) Mend(context.Context) {}

// backendsFrozen stops sessions' processes wherever they are, as storage that hangs: they hold what locks they hold.
type backendsFrozen struct {
	w    *world
	pids []int
}

func (f *backendsFrozen) Break(ctx context.Context, random *rand.Rand) {
	f.pids = f.w.backends(ctx)
	random.Shuffle(len(f.pids), func(i, j int) { f.pids[i], f.pids[j] = f.pids[j], f.pids[i] })
	f.pids = f.pids[:(len(f.pids)+1)/2]
	for _, pid := range f.pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

func (f *backendsFrozen) Mend(context.Context) {
	for _, pid := range f.pids {
		_ = syscall.Kill(pid, syscall.SIGCONT) // one that has ended meanwhile is not there: its id is not given again so soon
	}
}

// postgresStopped stops the whole PostgreSQL without a checkpoint, or kills it; at its start it recovers.
type postgresStopped struct {
	w    *world
	kill bool
}

func (f *postgresStopped) Break(ctx context.Context, _ *rand.Rand) {
	if f.kill {
		_ = f.w.db.Kill()
	} else {
		_ = f.w.db.Crash(ctx)
	}
}

func (f *postgresStopped) Mend(ctx context.Context) { f.w.db.again(ctx) }

// again starts a PostgreSQL that is down. Right after kill -9 its orphans still hold its shared memory for a moment.
func (d *database) again(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.try(ctx, "select"); err == nil {
			return
		}
		if err := d.Restart(ctx); err != nil {
			pause(ctx, 50*time.Millisecond, 100*time.Millisecond)
		}
	}
}

// postgresRestarted is an orderly restart.
type postgresRestarted struct{ w *world }

func (f *postgresRestarted) Break(ctx context.Context, _ *rand.Rand) { _ = f.w.db.Restart(ctx) }
func (f *postgresRestarted) Mend(ctx context.Context)                { f.w.db.again(ctx) }

// readOnly makes PostgreSQL refuse writes.
type readOnly struct{ w *world }

func (f *readOnly) Break(ctx context.Context, _ *rand.Rand) { f.set(ctx, "on") }
func (f *readOnly) Mend(ctx context.Context)                { f.set(ctx, "off") }

func (f *readOnly) set(ctx context.Context, to string) {
	for ctx.Err() == nil {
		err := f.w.db.try(ctx, "alter system set default_transaction_read_only = "+to)
		if err == nil {
			err = f.w.db.try(ctx, "select pg_reload_conf()")
		}
		if err == nil || to == "on" {
			return
		}
		pause(ctx, 50*time.Millisecond, 100*time.Millisecond)
	}
}

// queueHeld has a session listen and then sit in a transaction, so that no notification can be removed from the queue,
// and fills that.
type queueHeld struct {
	w    *world
	conn *pgx.Conn
}

func (f *queueHeld) Break(ctx context.Context, _ *rand.Rand) {
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := f.w.db.connect(within)
	if err != nil {
		return
	}
	f.conn = conn
	if _, err := conn.Exec(within, "listen held"); err != nil {
		return
	}
	if _, err := conn.Exec(within, "begin; select 1"); err != nil {
		return
	}
	// Until the queue is full, which with the queue of the round's settings is soon.
	for range 30 {
		if f.w.db.try(within, `select pg_notify('nobody', g || repeat('x', 7900)) from generate_series(1, 20) g`) != nil {
			return
		}
	}
}

func (f *queueHeld) Mend(ctx context.Context) {
	if f.conn != nil {
		_ = f.conn.Close(ctx)
		f.conn = nil
	}
}
