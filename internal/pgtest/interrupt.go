package pgtest

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/pgchat/pgchat/internal/postgres"
)

// started is how to undo what tests have started that outlives their process: servers, folders, mounts.
var started struct {
	sync.Mutex
	undo []*func()
}

// starting is held for reading while a server starts or a folder is made: an interruption waits until it can be undone, and then nothing is
// started any more.
var starting sync.RWMutex

// Start is [postgres.StartCluster]. stop, which is called once, stops the server; where the tests are interrupted it is called by itself.
func Start(ctx context.Context, bin, dir string, settings ...string) (c *postgres.Cluster, stop func() error, err error) {
	starting.RLock()
	defer starting.RUnlock()
	if c, err = postgres.StartCluster(ctx, bin, dir, settings...); err != nil {
		return nil, nil, err
	}
	var stopped error
	now := Finally(func() { stopped = c.Stop(context.WithoutCancel(ctx)) })
	return c, func() error { now(); return stopped }, nil
}

// folder makes a folder in /tmp, whose paths are short enough for sockets. remove is called by itself where the tests are interrupted.
func folder(prefix string) (dir string, remove func(), err error) {
	starting.RLock()
	defer starting.RUnlock()
	if dir, err = os.MkdirTemp("/tmp", prefix); err != nil {
		return "", nil, err
	}
	return dir, Finally(func() { _ = os.RemoveAll(dir) }), nil
}

// Finally returns a function that calls undo, once. Where the tests are interrupted it is called by itself.
func Finally(undo func()) (now func()) {
	once := sync.OnceFunc(undo)
	started.Lock()
	defer started.Unlock()
	started.undo = append(started.undo, &once)
	return func() {
		once()
		started.Lock()
		defer started.Unlock()
		started.undo = slices.DeleteFunc(started.undo, func(f *func()) bool { return f == &once })
	}
}

// Cleanup has undo called when the test ends, as t.Cleanup does, and also where the tests are interrupted.
func Cleanup(t testing.TB, undo func()) {
	t.Helper()
	t.Cleanup(Finally(undo))
}

// Interruptible has SIGINT and SIGTERM undo what was started, the last first, before they end the process. [Run] calls it;
// it is for packages that have a TestMain of their own. What it returns is called after the tests.
func Interruptible() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// SIGTERM ends "go test" at once, and with it who reads what is printed: who prints then is not to die of that before all is undone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ended := make(chan struct{})
	go func() {
		received, ok := <-signals
		if !ok {
			close(ended)
			return
		}
		starting.Lock()
		started.Lock()
		undo := slices.Clone(started.undo)
		started.Unlock()
		for _, f := range slices.Backward(undo) {
			var one sync.WaitGroup
			one.Go(*f) // t.Fatal ends its goroutine
			one.Wait()
		}
		os.Exit(128 + int(received.(syscall.Signal)))
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended // never, where it is under way: tests without a server soon end
	}
}
