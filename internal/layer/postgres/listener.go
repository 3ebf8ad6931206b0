package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/postgres"
)

// ListenerName is the application_name of listeners in pg_stat_activity.
const ListenerName = "pgchat listener"

const (
	quietFor     = 12 * time.Second // without a notification for so long, not even the heartbeat's, the connection is tried
	answerWithin = 5 * time.Second  // for the server to answer a LISTEN, or an echo to come back
	firstRetry   = 50 * time.Millisecond
	lastRetry    = 5 * time.Second
)

// listen owns the listener connection until ctx ends: it connects, again and again where it must, and tells the
// receivers that they may have missed something once LISTEN is in force again.
func (l *Layer) listen(ctx context.Context) {
	defer close(l.done)
	wait := firstRetry
	for first := true; ctx.Err() == nil; {
		began := time.Now()
		err := l.session(ctx, func() {
			if !first {
				l.groups.Missed()
			}
			first = false
		})
		l.setState(err)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		l.log.Warn("the listener lost its connection and connects again", "error", err, "in", wait.String())
		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter
		case <-ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
}

// session is one connection's life. It returns the error that ended it.
func (l *Layer) session(ctx context.Context, listening func()) error {
	cfg, err := pgx.ParseConfig(l.listenURL)
	if err != nil {
		return fmt.Errorf("read the listener's database URL: %w", err)
	}
	cfg.RuntimeParams["application_name"] = ListenerName
	postgres.Patience(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect the listener: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	s := &session{layer: l, conn: conn, listened: map[string]bool{}}
	if err := s.apply(ctx, append(l.groups.Names(), l.inbox)); err != nil {
		return err
	}
	if err := s.echo(ctx); err != nil {
		return err
	}
	l.setState(nil)
	l.metrics.connects.Inc()
	listening()
	for {
		changed, asked := l.takeWork()
		if len(changed) > 0 {
			if err := s.apply(ctx, changed); err != nil {
				return err
			}
		}
		if len(asked) > 0 {
			if err := s.tell(ctx, asked); err != nil {
				l.askAgain(asked)
				return err
			}
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

type session struct {
	layer    *Layer
	conn     *pgx.Conn
	listened map[string]bool
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
	rows, err := s.conn.Query(ctx, "SELECT pg_listening_channels() ORDER BY 1")
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
// not: LISTEN is lost there without an error.
func (s *session) echo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if _, err := s.layer.pool.Exec(ctx, "SELECT pg_notify($1, 'echo')", s.layer.inbox); err != nil {
		return fmt.Errorf("send the echo: %w", err)
	}
	for {
		n, err := s.conn.WaitForNotification(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return ErrNoEcho
		}
		if err != nil {
			return fmt.Errorf("wait for the echo: %w", err)
		}
		if n.Channel == s.layer.inbox && n.Payload == "echo" {
			return nil
		}
		s.layer.dispatch(n.Channel, n.Payload)
	}
}

// wait hands out what arrives until there are groups to apply or the line was quiet for long; then it proves that the
// connection lives, and leads to the server that the pool writes to: after a failover it may be another.
func (s *session) wait(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, quietFor)
	defer cancel()
	if !s.layer.interruptible(cancel) {
		return nil
	}
	defer s.layer.interruptible(nil)
	for {
		n, err := s.conn.WaitForNotification(waiting)
		switch {
		case err == nil:
			s.layer.dispatch(n.Channel, n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(waiting.Err(), context.Canceled):
			return nil
		case waiting.Err() != nil:
			return s.echo(ctx)
		default:
			return fmt.Errorf("wait for notifications: %w", err)
		}
	}
}
