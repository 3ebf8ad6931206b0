package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/postgres"
)

// session is one listener connection's life.
type session struct {
	layer    *Layer
	conn     *pgx.Conn
	pid      uint32 // of the server's process; a pooler makes up the one that the connection has
	listened map[string]bool
	early    []*pgconn.Notification // what came before the echo
}

// connect returns a connection that hears; [ErrNoEcho]: it does not.
func (l *Layer) connect(ctx context.Context) (*session, error) {
	cfg, err := postgres.Parse(l.listenURL)
	if err != nil {
		return nil, fmt.Errorf("read the listener's database URL: %w", err)
	}
	cfg.RuntimeParams["application_name"] = ListenerName
	postgres.Patience(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect the listener: %w", err)
	}
	connecting, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s := &session{layer: l, conn: conn, listened: map[string]bool{l.inbox: true}}
	answers, err := conn.PgConn().Exec(connecting, "LISTEN "+pgx.Identifier{l.inbox}.Sanitize()+"; SELECT pg_backend_pid()").ReadAll()
	var pid uint64
	if err == nil {
		pid, err = strconv.ParseUint(string(answers[1].Rows[0][0]), 10, 32)
	}
	if err != nil {
		err = fmt.Errorf("listen to the instance's own channel: %w", err)
	} else {
		s.pid = uint32(pid)
		err = s.echo(ctx, func(n *pgconn.Notification) { s.early = append(s.early, n) })
	}
	if errors.Is(err, ErrNoEcho) {
		// The pooler's connection to the server is another's next; most poolers give the same one once more.
		_ = conn.PgConn().Exec(connecting, "UNLISTEN "+pgx.Identifier{l.inbox}.Sanitize()).Close()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// run listens to all that is wanted, says so, and hands out what arrives. It returns the error that ended it.
func (s *session) run(ctx context.Context, listening func()) error {
	defer s.close()
	l := s.layer
	l.setLink(s.pid)
	defer l.setLink(0)
	l.heard = time.Now()
	if err := s.apply(ctx, l.groups.Names()); err != nil {
		return err
	}
	listening()
	for _, n := range s.early {
		l.dispatch(n.Channel, n.Payload)
	}
	for {
		w := l.takeWork()
		if len(w.changed) > 0 {
			if err := s.apply(ctx, w.changed); err != nil {
				return err
			}
		}
		if len(w.asked) > 0 {
			if err := s.tell(ctx, w.asked); err != nil {
				l.askAgain(w.asked)
				return err
			}
		}
		for _, f := range w.fetched {
			l.arrived(f)
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// apply makes the connection listen to those of the groups that are wanted and to none of the others, all in one round
// trip, and wakes who waits for those that it listens to.
func (s *session) apply(ctx context.Context, groups []string) error {
	var sql strings.Builder
	slices.Sort(groups)
	for _, group := range slices.Compact(groups) {
		wanted := group == s.layer.inbox || s.layer.groups.Wanted(group)
		switch name := (pgx.Identifier{group}).Sanitize(); {
		case wanted && !s.listened[group]:
			sql.WriteString("LISTEN " + name + ";")
			s.listened[group] = true
		case !wanted && s.listened[group]:
			sql.WriteString("UNLISTEN " + name + ";")
			delete(s.listened, group)
		}
	}
	if sql.Len() > 0 {
		// The deadline is the connection's: cancelling an Exec closes it, and here that is meant.
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		if _, err := s.conn.PgConn().Exec(ctx, sql.String()).ReadAll(); err != nil {
			return fmt.Errorf("listen to %d groups: %w", len(groups), err)
		}
	}
	// A group that was wanted again since is not among them: it comes with the next round.
	s.layer.applied(slices.DeleteFunc(groups, func(group string) bool { return !s.listened[group] }))
	return nil
}

// tell answers who wants to know what this connection listens to.
func (s *session) tell(ctx context.Context, asked []chan<- []string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	rows, err := s.conn.Query(ctx, "SELECT pg_listening_channels() ORDER BY 1", pgx.QueryExecModeExec)
	if err != nil {
		return fmt.Errorf("ask for the listening channels: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("ask for the listening channels: %w", err)
	}
	for _, answer := range asked {
		answer <- names
	}
	return nil
}

// echo proves that what is sent through the pool comes back on this connection. Behind a transaction pooler it does
// not: LISTEN is lost there without an error. What else comes meanwhile is given to other.
func (s *session) echo(ctx context.Context, other func(*pgconn.Notification)) error {
	sending, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if _, err := s.layer.pool.Exec(sending, "SELECT pg_notify($1, 'echo')", s.layer.inbox); err != nil {
		s.layer.free(sending, err)
		return fmt.Errorf("send the echo: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, s.layer.intervals.echo)
	defer cancel()
	for {
		n, err := s.conn.WaitForNotification(waiting)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(waiting.Err(), context.DeadlineExceeded) && err != nil:
			return ErrNoEcho
		case err != nil:
			return fmt.Errorf("wait for the echo: %w", err)
		case n.Channel == s.layer.inbox && n.Payload == "echo":
			return nil
		}
		other(n)
	}
}

// wait hands out what arrives until there is work, or this instance has not heard itself for long; then it tries the
// connection.
func (s *session) wait(ctx context.Context) error {
	l := s.layer
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(time.Until(l.heard.Add(l.intervals.quiet)), cancel)
	defer quiet.Stop()
	if !l.interruptible(cancel) {
		return nil
	}
	defer l.interruptible(nil)
	for {
		n, err := s.conn.WaitForNotification(waiting)
		switch {
		case err == nil:
			l.dispatch(n.Channel, n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() == nil:
			return fmt.Errorf("wait for notifications: %w", err)
		case time.Since(l.heard) >= l.intervals.quiet:
			return s.try(ctx)
		default:
			return nil
		}
	}
}

// try proves that the connection still hears. Where nothing can be sent it proves only that it lives: the pool's trouble
// is not the listener's.
func (s *session) try(ctx context.Context) error {
	err := s.echo(ctx, func(n *pgconn.Notification) { s.layer.dispatch(n.Channel, n.Payload) })
	if errors.Is(err, ErrNoEcho) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		if err := s.conn.Ping(ctx); err != nil {
			return fmt.Errorf("the listener's connection does not answer: %w", err)
		}
	}
	s.layer.heard = time.Now()
	return nil
}
