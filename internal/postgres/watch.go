package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	firstRevival = 100 * time.Millisecond
	lastRevival  = 10 * time.Second
)

// Watch starts PostgreSQL again whenever it has died, until Stop. Of several servers on the folder one does it. It is
// called at most once.
func (e *Embedded) Watch(log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	e.stop = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		for wait := firstRevival; ctx.Err() == nil; {
			began := time.Now()
			_ = e.attend(ctx) // why a session ended does not matter, but whether the server runs
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > lastRevival {
				wait = firstRevival
			}
			if err := e.revive(ctx, log); err != nil {
				log.Error("the private PostgreSQL does not start", "error", err, "again_in", wait.String())
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, lastRevival)
		}
	}()
}

// attend holds a session, whose end tells at once that the server may have died, and returns when it ends.
func (e *Embedded) attend(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, e.URL("postgres")+" application_name='pgchat watch'")
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	_, err = conn.WaitForNotification(ctx)
	return err
}

// revive starts the server where it does not run and nobody else is about to start it.
func (e *Embedded) revive(ctx context.Context, log *slog.Logger) error {
	starting, err := lockStart(e.dir, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = starting.Close() }()
	// A start that Stop interrupted half-way could leave a server behind that nobody stops.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 90*time.Second)
	defer cancel()
	if pid, err := e.pid(); err == nil {
		// As the first process of a container pgchat inherits the server, which looks alive until its end is asked for.
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	}
	joined, err := e.join(ctx)
	if err != nil || joined {
		return err
	}
	log.Warn("the private PostgreSQL has died and is started again", "log", filepath.Join(e.dir, "postgres.log"))
	return e.start(ctx)
}

// lockStart takes the lock under which PostgreSQL is started; closing the file gives it up.
func lockStart(dir string, how int) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "start.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the folder is its user's choice
	if err != nil {
		return nil, fmt.Errorf("open the lock of the start: %w", err)
	}
	if err := flock(file, how); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock the start: %w", err)
	}
	return file, nil
}
