// Package postgres is the channel layer of production: GroupSend is NOTIFY, GroupAdd is LISTEN for a group's first local
// channel, GroupDiscard is UNLISTEN after its last.
//
// One goroutine owns the listener connection, which is in no pool and never in a transaction. It alternates between
// applying the groups that were added or emptied, many in one round trip, and waiting for notifications; a change
// interrupts the wait. It alone calls receivers. After a lost connection it connects again, listens to every group that
// is wanted, and only then tells the receivers that they may have missed something: who reads the table after that
// misses nothing.
package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/layer"
)

// ErrNoEcho says that notifications do not reach the listener's connection.
var ErrNoEcho = errors.New("the listener does not hear its own notifications: is the connection behind a transaction " +
	"pooler such as PgBouncer? Give the direct one in LISTEN_DATABASE_URL")

// Layer carries payloads between all instances on one database.
type Layer struct {
	pool      *pgxpool.Pool
	listenURL string
	inbox     string // this instance's own PostgreSQL channel
	log       *slog.Logger
	groups    layer.Groups

	stop    context.CancelFunc
	done    chan struct{}
	metrics metrics

	beating sync.WaitGroup

	mu        sync.Mutex
	started   chan struct{} // closed when the listener first listens
	isStarted bool
	err       error                      // why the listener does not listen; nil: it does
	changed   []string                   // groups that were added or emptied since the listener last looked
	interrupt context.CancelFunc         // ends the listener's wait; nil: it does not wait
	awaited   map[string][]chan struct{} // who waits for a group to be listened to
	asked     []chan<- []string          // who wants to know what PostgreSQL sends to us
}

// New makes the layer of the instance with this id. It sends through pool and listens on a connection of its own to
// listenURL.
func New(pool *pgxpool.Pool, listenURL string, instance uuid.UUID, log *slog.Logger) *Layer {
	return &Layer{
		pool: pool, listenURL: listenURL, inbox: "inst:" + instance.String(), log: log,
		metrics: newMetrics(),
		done:    make(chan struct{}), started: make(chan struct{}), err: layer.ErrStopped,
		awaited: map[string][]chan struct{}{},
	}
}

// Start connects the listener and returns when it hears, or with why it does not.
func (l *Layer) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.beating.Go(func() { l.beat(run) })
	go l.listen(run)
	select {
	case <-l.started:
		if err := l.Ready(); err != nil {
			stop()
			<-l.done
			return err
		}
		return nil
	case <-ctx.Done():
		stop()
		<-l.done
		return ctx.Err()
	}
}

// Stop ends the listener.
func (l *Layer) Stop(context.Context) error {
	if l.stop != nil {
		l.stop()
		<-l.done
		l.beating.Wait()
	}
	return nil
}

const (
	heartbeat      = "heartbeat "
	heartbeatEvery = 10 * time.Second
)

// beat sends the time to this instance itself, by which the listener knows how long notifications take. It writes no WAL.
func (l *Layer) beat(ctx context.Context) {
	every := time.NewTicker(heartbeatEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			if err := l.notify(ctx, l.inbox, heartbeat+strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil && ctx.Err() == nil {
				l.log.Debug("the listener's heartbeat was not sent", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Ready returns nil while the listener hears, else why it does not.
func (l *Layer) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Listening asks PostgreSQL which channels it sends to this instance: its own and those of the groups with a local
// channel. Only the listener's connection can tell.
func (l *Layer) Listening(ctx context.Context) ([]string, error) {
	answer := make(chan []string, 1)
	l.mu.Lock()
	l.asked = append(l.asked, answer)
	l.wake()
	l.mu.Unlock()
	select {
	case names := <-answer:
		return names, nil
	case <-l.done:
		return nil, layer.ErrStopped
	case <-ctx.Done():
		return nil, fmt.Errorf("ask what the listener listens to: %w", ctx.Err())
	}
}

func (l *Layer) setState(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if !l.isStarted {
		l.isStarted = true
		close(l.started)
	}
}

// Open implements [layer.Layer].
func (l *Layer) Open(r layer.Receiver) string {
	channel := l.inbox + "!" + uuid.NewString()
	l.groups.Open(channel, r)
	return channel
}

// Close implements [layer.Layer].
func (l *Layer) Close(channel string) { l.change(l.groups.Close(channel)...) }

// GroupAdd implements [layer.Layer]: it returns when PostgreSQL has confirmed LISTEN. When ctx ends first, the channel is
// not in the group.
func (l *Layer) GroupAdd(ctx context.Context, group, channel string) error {
	if err := layer.CheckGroup(group); err != nil {
		return err
	}
	if !l.groups.Add(group, channel) {
		return fmt.Errorf("add to group %s: channel %s is not open", group, channel)
	}
	heard := make(chan struct{})
	l.mu.Lock()
	l.awaited[group] = append(l.awaited[group], heard)
	l.mu.Unlock()
	l.change(group)
	select {
	case <-heard:
		return nil
	case <-l.done:
		return layer.ErrStopped
	case <-ctx.Done():
		l.GroupDiscard(group, channel)
		return fmt.Errorf("listen to group %s: %w", group, ctx.Err())
	}
}

// GroupDiscard implements [layer.Layer].
func (l *Layer) GroupDiscard(group, channel string) {
	if l.groups.Discard(group, channel) {
		l.change(group)
	}
}

// GroupSend implements [layer.Layer].
func (l *Layer) GroupSend(ctx context.Context, group, payload string) error {
	if err := layer.CheckGroup(group); err != nil {
		return err
	}
	return l.notify(ctx, group, payload)
}

// Send implements [layer.Layer].
func (l *Layer) Send(ctx context.Context, channel, payload string) error {
	inbox, _, ok := strings.Cut(channel, "!")
	if !ok {
		return fmt.Errorf("send to %q: it is not a channel's name", channel)
	}
	letter, err := json.Marshal(envelope{Channel: channel, Payload: payload})
	if err != nil {
		return fmt.Errorf("send to %s: %w", channel, err)
	}
	return l.notify(ctx, inbox, string(letter))
}

// envelope is what travels on an instance's own PostgreSQL channel.
type envelope struct {
	Channel string `json:"to"`
	Payload string `json:"payload"`
}

func (l *Layer) notify(ctx context.Context, name, payload string) error {
	if err := layer.CheckPayload(payload); err != nil {
		return err
	}
	if _, err := l.pool.Exec(ctx, "SELECT pg_notify($1, $2)", name, payload); err != nil {
		return fmt.Errorf("notify %s: %w", name, err)
	}
	return nil
}

func (l *Layer) dispatch(name, payload string) {
	l.metrics.notifications.Inc()
	if name != l.inbox {
		l.groups.ToGroup(name, payload)
		return
	}
	if sent, ok := strings.CutPrefix(payload, heartbeat); ok {
		if at, err := strconv.ParseInt(sent, 10, 64); err == nil {
			l.metrics.lag.Observe(time.Since(time.Unix(0, at)).Seconds())
		}
		return
	}
	var letter envelope
	if err := json.Unmarshal([]byte(payload), &letter); err == nil {
		l.groups.ToChannel(letter.Channel, letter.Payload)
	}
}

// change makes the listener look at the groups again.
func (l *Layer) change(groups ...string) {
	if len(groups) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = append(l.changed, groups...)
	l.wake()
}

// wake ends the listener's wait; the caller holds mu.
func (l *Layer) wake() {
	if l.interrupt != nil {
		l.interrupt()
	}
}

func (l *Layer) takeWork() (changed []string, asked []chan<- []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, asked = l.changed, l.asked
	l.changed, l.asked = nil, nil
	return changed, asked
}

// askAgain keeps questions that a connection could not answer for the next one.
func (l *Layer) askAgain(asked []chan<- []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, asked...)
}

// interruptible sets what ends the listener's wait; it reports false where there is no need to wait.
func (l *Layer) interruptible(interrupt context.CancelFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupt = interrupt
	return len(l.changed) == 0 && len(l.asked) == 0
}

// applied wakes who waits for the groups to be listened to.
func (l *Layer) applied(groups []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, group := range groups {
		for _, heard := range l.awaited[group] {
			close(heard)
		}
		delete(l.awaited, group)
	}
}
