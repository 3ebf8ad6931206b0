package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Embedded is a private PostgreSQL that several pgchat servers on one data folder may share. Each holds a shared lock
// on a file in the folder for as long as it runs; locks end with their process, however it ends. Who can turn its lock
// into an exclusive one is alone: it starts PostgreSQL, or takes over one that a killed pgchat left running, and, when
// it leaves, stops it.
type Embedded struct {
	*Cluster
	lock *os.File
	stop func() // ends the watch and waits for its end; nil: none
}

// StartEmbedded starts PostgreSQL on the data in dir, or joins the one that runs there. Its programs are searched in
// bins, then where npm installs them (db/embedded), then on the system.
func StartEmbedded(ctx context.Context, dir string, bins ...string) (*Embedded, error) {
	bin, err := FindBinaries(append(bins, NPMBinaries()...)...)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "pgchat.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the folder is its user's choice
	if err != nil {
		return nil, fmt.Errorf("open the data folder's lock: %w", err)
	}
	e, err := startLocked(ctx, bin, dir, lock)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return e, nil
}

func startLocked(ctx context.Context, bin, dir string, lock *os.File) (*Embedded, error) {
	alone, err := tryExclusive(lock)
	if err != nil {
		return nil, err
	}
	if !alone {
		// Waits for one that is starting it.
		if err := flock(lock, syscall.LOCK_SH); err != nil {
			return nil, fmt.Errorf("share the data folder: %w", err)
		}
	}
	cluster, err := newCluster(bin, dir)
	if err != nil {
		return nil, err
	}
	starting, err := lockStart(dir, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = starting.Close() }()
	joined, err := cluster.join(ctx)
	if err != nil {
		return nil, err
	}
	if !joined {
		if err := cluster.start(ctx); err != nil {
			return nil, err
		}
	}
	if err := flock(lock, syscall.LOCK_SH); err != nil {
		return nil, fmt.Errorf("share the data folder: %w", err)
	}
	return &Embedded{Cluster: cluster, lock: lock}, nil
}

// Stop gives the folder up. The last one to do so stops PostgreSQL.
func (e *Embedded) Stop(ctx context.Context) error {
	if e.stop != nil {
		e.stop()
	}
	defer func() { _ = e.lock.Close() }()
	last, err := tryExclusive(e.lock)
	if err != nil || !last {
		return err
	}
	return e.Cluster.Stop(ctx)
}

// Psql is the command that opens the database.
func (e *Embedded) Psql(database string) string {
	return fmt.Sprintf("psql -h %s -U pgchat %s", shellWord(e.socket), database)
}

func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t'\"\\$`&|;<>()*?[]#~", r) }) {
		return quote(s)
	}
	return s
}

func tryExclusive(lock *os.File) (bool, error) {
	err := flock(lock, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock the data folder: %w", err)
	}
	return true, nil
}

func flock(lock *os.File, how int) error {
	for {
		err := syscall.Flock(int(lock.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
