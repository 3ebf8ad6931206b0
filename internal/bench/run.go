package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

const (
	connectAtOnce = 64
	settleWithin  = 20 * time.Second // for the last messages to arrive
)

// Bench runs scenarios on a database.
type Bench struct {
	Pool        *pgxpool.Pool
	DatabaseURL string
	Say         func(format string, args ...any) // progress
}

// run is one run of a scenario.
type run struct {
	Scenario
	began      time.Time
	publishing atomic.Bool
	measuring  atomic.Bool
	over       atomic.Bool
	clients    []*client
	servers    []*server
	history    int64 // messages of each room before the run
	words      []string
	complaint  sync.Once
	say        func(format string, args ...any)
}

func (r *run) complain(frame string) {
	r.complaint.Do(func() { r.say("  a post was refused: %s", frame) })
}

// Run runs a scenario and returns what it measured.
func (b *Bench) Run(ctx context.Context, s Scenario) (result Result, err error) {
	if err := s.Check(); err != nil {
		return Result{}, err
	}
	b.Say("%s: %d rooms of %d connections, %d instances", s.Name, s.Rooms, s.PerRoom, s.Instances)
	w, err := found(ctx, b.Pool, s, b.Say)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, w.remove(context.WithoutCancel(ctx))) }()
	r := &run{Scenario: s, words: words(), began: time.Now(), say: b.Say, history: int64(w.history)}
	defer r.close()
	for range s.Instances {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--post-rate", "0", "--log-level", "warn", "--log-format", "text", "--drain", "0s"}
		if s.NoIndex {
			args = append(args, "--no-index")
		}
		started, err := startServer(ctx, b.DatabaseURL, args...)
		if err != nil {
			return Result{}, err
		}
		r.servers = append(r.servers, started)
	}
	_, before, err := r.usage()
	if err != nil {
		return Result{}, err
	}
	if err := r.connectAll(ctx, w); err != nil {
		return Result{}, err
	}
	var readers errgroup.Group
	for i, c := range r.clients {
		if !r.stalled(i) {
			readers.Go(c.read)
		}
	}
	measured, err := r.measure(ctx, w)
	if err == nil {
		err = r.settle(ctx)
	}
	for _, c := range r.clients {
		_ = c.conn.Close()
	}
	if readErr := readers.Wait(); err == nil {
		err = readErr
	}
	if err != nil {
		return Result{}, err
	}
	return r.result(measured, before), nil
}

func (r *run) close() {
	r.over.Store(true)
	for _, c := range r.clients {
		_ = c.conn.Close()
	}
	for _, s := range r.servers {
		s.stop()
	}
}

func (r *run) connectAll(ctx context.Context, w *world) error {
	r.clients = make([]*client, len(w.secrets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connectAtOnce)
	for i, secret := range w.secrets {
		group.Go(func() (err error) {
			r.clients[i], err = r.connect(ctx, r.servers[i%len(r.servers)].address, w.rooms[i/r.PerRoom], secret, w.history)
			if err == nil && r.stalled(i) {
				err = r.clients[i].stall()
			}
			return err
		})
	}
	err := group.Wait()
	if err != nil { // close closes those that are there
		there := r.clients[:0]
		for _, c := range r.clients {
			if c != nil {
				there = append(there, c)
			}
		}
		r.clients = there
	}
	return err
}

// stalled reports whether connection i reads nothing: the last ones of each room.
func (r *run) stalled(i int) bool { return i%r.PerRoom >= r.PerRoom-r.Stalled }

// measurement is what was counted between two moments.
type measurement struct {
	time  time.Duration
	acked int64
	cpu   time.Duration
	rss   int64
	wal   int64
	pages [2]histogram // from anywhere in the history, the newest
}

// measure publishes, and counts after the warm-up.
func (r *run) measure(ctx context.Context, w *world) (m measurement, err error) {
	r.publishing.Store(true)
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	var publishers errgroup.Group
	switch {
	case r.Rate > 0:
		publishers.Go(func() error { return r.openLoop(publishing) })
	case r.UnderWay > 0:
		for i, c := range r.clients {
			for range r.UnderWay {
				if i%r.PerRoom < r.Publishers {
					if err := c.send(time.Since(r.began)); err != nil {
						return m, err
					}
				}
			}
		}
	}
	if err := pause(ctx, r.Warmup); err != nil {
		return m, err
	}
	from, fromAcked := time.Now(), r.acked()
	fromCPU, _, err := r.usage()
	if err != nil {
		return m, err
	}
	fromWAL, err := w.wal(ctx)
	if err != nil {
		return m, err
	}
	r.measuring.Store(true)
	if err := r.readPages(ctx, w, &m.pages); err != nil {
		return m, err
	}
	r.measuring.Store(false)
	m.time, m.acked = time.Since(from), r.acked()-fromAcked
	toCPU, rss, err := r.usage()
	m.cpu, m.rss = toCPU-fromCPU, rss
	toWAL, walErr := w.wal(ctx)
	m.wal, err = toWAL-fromWAL, errors.Join(err, walErr)
	r.publishing.Store(false)
	stop()
	return m, errors.Join(err, publishers.Wait())
}

// readPages waits until the time is over, and reads pages of the history meanwhile where there is one.
func (r *run) readPages(ctx context.Context, w *world, pages *[2]histogram) error {
	if r.History == 0 {
		return pause(ctx, r.Time)
	}
	end := time.Now().Add(r.Time)
	for n := 0; time.Now().Before(end); n++ {
		took, err := w.page(ctx, n%2 == 1)
		if err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		pages[n%2].add(took)
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// openLoop sends at the rate, by turns from each publisher.
func (r *run) openLoop(ctx context.Context) error {
	var publishers []*client
	for i, c := range r.clients {
		if i%r.PerRoom < r.Publishers {
			publishers = append(publishers, c)
		}
	}
	every := time.Duration(float64(time.Second) / r.Rate)
	due := time.Since(r.began)
	for n := 0; ; n++ {
		for wait := due - time.Since(r.began); wait > 0 && ctx.Err() == nil; wait = due - time.Since(r.began) {
			sleep(min(wait, time.Second)) // a second, so that the end of a slow loop is not missed
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that is how it ends
		}
		if err := publishers[n%len(publishers)].send(due); err != nil {
			return err
		}
		due += every
	}
}

// settle waits until every post has its answer and every connection all messages of its room.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		var sent, answered int64
		for _, c := range r.clients {
			sent, answered = sent+c.sent.Load(), answered+c.acked.Load()
		}
		if sent == answered && r.even() {
			return nil
		}
		_ = pause(ctx, 20*time.Millisecond) // looked at here
		if ctx.Err() == nil {
			continue
		}
		if sent != answered {
			return fmt.Errorf("%d of %d posts were not answered within %s", sent-answered, sent, settleWithin)
		}
		return nil // what is missing is counted as lost
	}
}

// even reports whether all connections of a room are equally far, as far as its messages.
func (r *run) even() bool {
	for i := 0; i < len(r.clients); i += r.PerRoom {
		stored := r.history
		for _, c := range r.clients[i : i+r.PerRoom] {
			stored += c.acked.Load() - c.refused
		}
		for _, c := range r.clients[i : i+r.PerRoom-r.Stalled] {
			if c.next.Load() != stored+1 {
				return false
			}
		}
	}
	return true
}

func (r *run) acked() (n int64) {
	for _, c := range r.clients {
		n += c.acked.Load()
	}
	return n
}

func (r *run) usage() (cpu time.Duration, rss int64, err error) {
	for _, s := range r.servers {
		c, m, err := s.usage()
		if err != nil {
			return 0, 0, err
		}
		cpu, rss = cpu+c, rss+m
	}
	return cpu, rss, nil
}

func (r *run) result(m measurement, rssBefore int64) Result {
	result := Result{Scenario: r.Scenario, Seconds: m.time.Seconds()}
	var all histogram
	var delivered int64
	for i := 0; i < len(r.clients); i += r.PerRoom {
		stored := r.history
		for _, c := range r.clients[i : i+r.PerRoom] {
			stored += c.acked.Load() - c.refused
		}
		for _, c := range r.clients[i : i+r.PerRoom-r.Stalled] {
			all.merge(&c.latency)
			delivered += c.delivered
			result.Lost += c.lost + max(0, stored+1-c.next.Load())
			result.Doubled += c.doubled
			result.Refused += c.refused
		}
	}
	result.Acknowledged, result.Delivered = float64(m.acked)/result.Seconds, float64(delivered)/result.Seconds
	result.P50, result.P90, result.P99, result.Max = all.quantile(.5), all.quantile(.9), all.quantile(.99), all.quantile(1)
	cpu := float64(m.cpu.Microseconds())
	if m.acked > 0 {
		result.CPUMessage = cpu / float64(m.acked)
	}
	if delivered > 0 {
		result.CPUDelivery = cpu / float64(delivered)
	}
	result.CPUShare = 100 * m.cpu.Seconds() / result.Seconds
	result.WAL = float64(m.wal) / 1024
	result.PageP50, result.NewestPageP50 = m.pages[0].quantile(.5), m.pages[1].quantile(.5)
	result.Memory = float64(m.rss-rssBefore) / float64(len(r.clients))
	return result
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
