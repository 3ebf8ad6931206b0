package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/store"
)

// ErrNoEcho says that notifications do not reach the listener's connection.
var ErrNoEcho = errors.New("the listener does not hear its own notifications: is the connection behind a transaction " +
	"pooler such as PgBouncer? Give the direct one in LISTEN_DATABASE_URL")

// Layer carries payloads between all instances on one database.
type Layer struct {
	pool      *pgxpool.Pool
	queries   *store.Queries
	listenURL string
	inbox     string // this instance's own PostgreSQL channel
	log       *slog.Logger
	groups    layer.Groups
	metrics   metrics
	intervals intervals

	life    context.Context //nolint:containedctx // of the goroutines, ended by Stop
	stop    context.CancelFunc
	done    chan struct{} // closed when the listener has ended
	working sync.WaitGroup
	outbox  chan note

	// The listener's own.
	heard  time.Time          // when the connection last heard this instance itself
	behind map[string]*behind // by PostgreSQL channel: what waits for an event that is being fetched

	mu        sync.Mutex
	started   chan struct{} // closed when the listener first listens
	isStarted bool
	err       error // why the listener neither listens nor polls; nil: it does
	polling   error // why the listener polls; nil: it does not
	link      Link
	changed   []string                   // groups that were added or emptied since the listener last looked
	interrupt context.CancelFunc         // ends the listener's wait; nil: it does not wait
	awaited   map[string][]chan struct{} // who waits for a group to be listened to
	asked     []chan<- []string          // who wants to know what PostgreSQL sends to us
	fetched   []fetched                  // events to be handed out
}

// intervals are the times that tests shorten.
type intervals struct {
	heartbeat time.Duration // between two heartbeats
	quiet     time.Duration // without a heartbeat for so long, the connection is tried
	echo      time.Duration // for an echo to come back
	poll      time.Duration // between two polls
	again     time.Duration // while polling, between two tries for a connection that hears
}

// New makes the layer of the instance with this id. It sends through pool and listens on a connection of its own to
// listenURL.
func New(pool *pgxpool.Pool, listenURL string, instance uuid.UUID, log *slog.Logger) *Layer {
	return &Layer{
		pool: pool, queries: store.New(pool), listenURL: listenURL, inbox: "inst:" + instance.String(), log: log,
		metrics:   newMetrics(),
		intervals: intervals{heartbeat: 10 * time.Second, quiet: 25 * time.Second, echo: 3 * time.Second, poll: 500 * time.Millisecond, again: 10 * time.Second},
		done:      make(chan struct{}), started: make(chan struct{}), err: layer.ErrStopped,
		outbox: make(chan note), behind: map[string]*behind{}, awaited: map[string][]chan struct{}{},
	}
}

// Start connects the listener and returns when it hears or polls, or with why it does neither.
func (l *Layer) Start(ctx context.Context) error {
	l.life, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.working.Go(func() { l.beat(l.life) })
	l.working.Go(func() { l.send(l.life) })
	go l.listen(l.life)
	var err error
	select {
	case <-l.started:
		err = l.Ready()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = l.Stop(ctx)
		l.setState(err, nil)
	}
	return err
}

// Stop ends the listener. What is being sent may or may not be.
func (l *Layer) Stop(context.Context) error {
	if l.stop != nil {
		l.stop()
		<-l.done
		l.working.Wait()
	}
	return nil
}

// Ready returns nil while the listener hears or polls, else why it does neither.
func (l *Layer) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Polling returns why the listener polls, which delays messages and loses what is not in a table; nil: it does not.
func (l *Layer) Polling() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.polling
}

// Link is the listener's connection. The zero value: there is none that hears.
type Link struct {
	PID uint32        // of the server's process
	Lag time.Duration // that the latest notification to the instance itself took; 0: none has come yet
}

// Link returns the listener's connection as it is now.
func (l *Layer) Link() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.link
}

func (l *Layer) setLink(pid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link = Link{PID: pid}
}

func (l *Layer) setLag(lag time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link.Lag = lag
}

// Listening asks PostgreSQL which channels it sends to this instance: its own and those of the groups with a local
// channel; none while it polls. Only the listener's connection can tell.
func (l *Layer) Listening(ctx context.Context) ([]string, error) {
	answer := make(chan []string, 1)
	l.mu.Lock()
	l.asked = append(l.asked, answer)
	l.wakeLocked()
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

func (l *Layer) setState(err, polling error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.polling = err, polling
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

// GroupAdd implements [layer.Layer]: it returns when PostgreSQL has confirmed LISTEN, or at once where the listener polls.
// When ctx ends first, the channel is not in the group.
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

// GroupSend implements [layer.Layer]: it returns when the notification is committed.
func (l *Layer) GroupSend(ctx context.Context, group, payload string) error {
	if err := layer.CheckGroup(group); err != nil {
		return err
	}
	if err := layer.CheckPayload(payload); err != nil {
		return err
	}
	return l.notify(ctx, group, payload)
}

// Send implements [layer.Layer].
func (l *Layer) Send(ctx context.Context, channel, payload string) error {
	inbox, _, ok := strings.Cut(channel, "!")
	if !ok || layer.CheckGroup(inbox) != nil {
		return fmt.Errorf("send to %q: it is not a channel's name", channel)
	}
	if err := layer.CheckPayload(payload); err != nil {
		return err
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
