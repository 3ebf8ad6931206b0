package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// clock is PostgreSQL's wall clock, moved by libfaketime. Everything that the server compares with the time of day it
// compares in the database; its own deadlines are on Go's monotonic clock.
type clock struct{ file string }

// newClock starts a PostgreSQL whose clock can jump.
func newClock(t *testing.T) (*clock, *database) {
	t.Helper()
	library, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(library) == 0 {
		t.Fatal("libfaketime is missing: make deps")
	}
	dir := folder(t)
	c := &clock{file: filepath.Join(dir, "clock")}
	c.jumps(t, 0)
	for name, value := range map[string]string{
		"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": c.file, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
	} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Unsetenv(name) }()
	}
	db := startDatabase(t, postgresBin(t), dir)
	return c, db
}

// jumps sets how far the clock is off.
func (c *clock) jumps(t *testing.T, off time.Duration) {
	t.Helper()
	fresh := c.file + ".new"
	err := os.WriteFile(fresh, fmt.Appendf(nil, "%+d", int(off.Seconds())), 0o644)
	if err == nil {
		err = os.Rename(fresh, c.file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// roundOfClocks lets PostgreSQL's clock jump to and fro by an hour.
func roundOfClocks(t *testing.T, random *rand.Rand, _ time.Duration) counts {
	bin, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	c, db := newClock(t)
	db.migrate(t)
	w := newWorld(t, random, db, plan{instances: 2, members: 8, rooms: 3, pace: 120 * time.Millisecond, bin: bin})
	w.start(t)
	w.everybodyOnline(t)
	faults := map[string]int{}
	backward := 0
	at := time.Duration(0)
	for _, to := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
		w.flows(t, 50)
		if to < at {
			backward++
			faults["clock set back"]++
		} else {
			faults["clock set forward"]++
		}
		at = to
		c.jumps(t, to)
		seen, err := query(t.Context(), db, pgx.RowTo[float64], `select extract(epoch from clock_timestamp())::float8`)
		if off := seen[0] - float64(time.Now().Unix()) - to.Seconds(); err != nil || off < -60 || off > 60 {
			t.Fatalf("the clock did not jump: it is %.0f s off, error %v", off, err)
		}
		// An instance that dies right after the jump haunts nobody for an hour.
		w.instances[0].signal(syscall.SIGKILL)
		w.flows(t, 50)
		w.everybodyOnline(t)
		db.becomes(t, `select count(*) = 2 from chat.instances`)
	}
	w.settle(t)
	// created_at follows the clock: each time that is set back, it may run against seq once in each room; seq never does.
	steps, err := query(t.Context(), db, pgx.RowTo[int], `select count(*) from (select created_at < lag(created_at) over (partition by room_id order by seq) as back from chat.messages) m where back`)
	if err != nil || steps[0] > 3*backward {
		t.Errorf("created_at runs against seq %d times in 3 rooms after the clock was set back %d times, error %v", steps[0], backward, err)
	}
	n := w.counted()
	n.faults = faults
	return n
}
