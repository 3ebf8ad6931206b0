package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// atOnce is how long a sender may wait for "not now". A busy machine with the race detector is slow.
const atOnce = 3 * time.Second

// ready asks /readyz.
func (i *instance) ready(ctx context.Context) (status int, text string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.listen+"/readyz", nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// readyBecomes waits for /readyz to answer with the status, and a text where that is 503.
func (i *instance) readyBecomes(t *testing.T, status int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		got, said := i.ready(ctx)
		if got == status && strings.Contains(said, text) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("/readyz answers %d %s, want %d and %q", got, said, status, text)
		}
		pause(ctx, 20*time.Millisecond, 50*time.Millisecond)
	}
}

// toldAtOnce waits for refusals with the text, and then for more: those were sent when the server knew, and are told at
// once. Nobody loses the connection, and with it what they read, by it.
func (w *world) toldAtOnce(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	told := func() (all []refusal) {
		for _, m := range w.members {
			m.mu.Lock()
			for _, r := range m.ledger.told {
				if strings.Contains(r.message, text) {
					all = append(all, r)
				}
			}
			m.mu.Unlock()
		}
		return all
	}
	if !w.until(ctx, func() bool { return len(told()) >= len(w.members) }) {
		t.Fatalf("%d posts were refused because %q", len(told()), text)
	}
	w.forget()
	if !w.until(ctx, func() bool { return len(told()) >= len(w.members) }) {
		t.Fatalf("then %d posts were refused because %q", len(told()), text)
	}
	for _, r := range told() {
		if r.waited > atOnce {
			t.Errorf("a sender waited %s for %q", r.waited, r.message)
		}
	}
}

// forget forgets what was told, and sends anew what waits.
func (w *world) forget() {
	for _, m := range w.members {
		m.mu.Lock()
		m.ledger.told = nil
		m.mu.Unlock()
	}
}

func (w *world) connects() (n int64) {
	for _, m := range w.members {
		n += m.connects.Load()
	}
	return n
}

// outage breaks, checks what people see of it, and mends.
func (w *world) outage(t *testing.T, name, senders, readyz string, broken, mended func()) {
	t.Helper()
	w.flows(t, 30)
	w.instances[0].readyBecomes(t, http.StatusOK, "")
	before := w.connects()
	w.forget()
	broken()
	w.toldAtOnce(t, senders)
	w.instances[0].readyBecomes(t, http.StatusServiceUnavailable, readyz)
	if after := w.connects(); after != before {
		t.Errorf("%s: %d connections were lost", name, after-before)
	}
	mended()
	w.flows(t, 30)
	w.instances[0].readyBecomes(t, http.StatusOK, "")
}

// roundOfOutages has PostgreSQL stop, refuse writes, and run out of room, one after the other, under one server that is
// not restarted.
func roundOfOutages(t *testing.T, random *rand.Rand, _ time.Duration) counts {
	bin, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	disk := newSmallDisk(t)
	db := startDatabase(t, postgresBin(t), disk.dir, queueOf(t))
	db.migrate(t)
	disk.moveWAL(t, db)
	w := newWorld(t, random, db, plan{instances: 1, members: 8, rooms: 2, pace: 100 * time.Millisecond, bin: bin})
	for _, m := range w.members {
		m.stays = true
	}
	w.start(t)
	ctx := t.Context()

	w.outage(t, "stopped", "cannot be reached", "writer", func() {
		if err := db.Crash(ctx); err != nil {
			t.Fatal(err)
		}
	}, func() { db.again(ctx) })

	closed := readOnly{w: w}
	w.outage(t, "read-only", "read-only", "read-only", func() {
		closed.set(ctx, "on")
		w.readersCome(t)
	}, func() { closed.set(ctx, "off") })

	faults := map[string]int{"PostgreSQL stopped": 1, "PostgreSQL read-only": 1}
	if queueOf(t) != plainQueue {
		held := queueHeld{w: w}
		w.outage(t, "notifications held back", "queue of notifications", "queue of notifications",
			func() { held.Break(ctx, random) }, func() { held.Mend(ctx) })
		faults["notifications held back"]++
	}
	w.outage(t, "full disk", "disk is full", "disk is full", func() {
		disk.fill(t)
		w.readersCome(t)
	}, func() { disk.free(t) })
	faults["disk full"]++
	if starts := w.instances[0].starts.Load(); starts != 1 {
		t.Errorf("the server was started %d times", starts)
	}
	if queueOf(t) != plainQueue {
		// The queue was filled, and let go of while no server was there: one that starts has to free it.
		held := queueHeld{w: w}
		held.Break(ctx, random)
		w.instances[0].signal(syscall.SIGKILL)
		held.Mend(ctx)
		w.flows(t, 30)
		faults["instance killed"]++
		faults["notifications held back"]++
	}
	w.settle(t)
	c := w.counted()
	c.faults = faults
	return c
}

// readersCome has somebody new connect and read everything.
func (w *world) readersCome(t *testing.T) {
	t.Helper()
	table, err := w.table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reader := &member{
		name: "reader", token: w.members[0].token, addresses: w.members[0].addresses, told: w.progress, pace: 100 * time.Millisecond,
		random: rand.New(rand.NewPCG(1, 1)), ledger: newLedger("room-0", "room-1"),
	}
	reader.quiet.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.wg.Go(func() { reader.run(ctx) })
	if !w.until(ctx, func() bool {
		reader.mu.Lock()
		defer reader.mu.Unlock()
		return len(reader.ledger.rooms["room-0"].messages) >= len(table["room-0"].messages) && len(reader.ledger.rooms["room-1"].messages) >= len(table["room-1"].messages)
	}) {
		t.Error("who comes while nothing can be written cannot read")
	}
}

// smallDisk is a file system that a test can fill.
type smallDisk struct{ dir, wal string }

// newSmallDisk mounts one, which takes root.
func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	d := &smallDisk{dir: folder(t), wal: folder(t)}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("mounting a small disk takes root")
		}
		t.Skip("mounting a small disk takes root")
	}
	if err := syscall.Mount("pgchat-faults", d.dir, "tmpfs", 0, "size=200m,mode=0700"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	pgtest.Cleanup(t, func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return d
}

// moveWAL moves the write-ahead log to a disk of its own, as many do: where that is full PostgreSQL stops, which is
// another fault.
func (d *smallDisk) moveWAL(t *testing.T, db *database) {
	t.Helper()
	if err := db.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(d.dir, "data", "pg_wal"), filepath.Join(d.wal, "pg_wal")
	if as := owner(t); as != nil {
		if err := os.Chown(d.wal, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("sh", "-c", fmt.Sprintf("mv %s %s && ln -s %[2]s %[1]s", from, to)).CombinedOutput(); err != nil {
		t.Fatalf("move the write-ahead log: %v\n%s", err, out)
	}
	db.again(t.Context())
}

func (d *smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no room.
func (d *smallDisk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size >= 512; size /= 2 {
		for chunk := make([]byte, size); err == nil; {
			_, err = f.Write(chunk)
		}
		err = nil
	}
}

func (d *smallDisk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}
