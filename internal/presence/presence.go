// Package presence tells who is online: a user is in a room while a row of a living instance says so. An instance lives
// while its heartbeat is younger than the lease; one heartbeat renews all that it holds, so its cost does not grow with
// users. When an instance dies all it held ends together, and whichever instance notices first removes it and tells
// its rooms.
//
// One goroutine, from Start to Stop, writes: joins and leaves are collected for a moment and written in one statement,
// so that thousands who come back at once make a few statements.
package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/store"
)

const (
	collectFor  = 50 * time.Millisecond // joins and leaves that are written together
	writeWithin = 5 * time.Second
	retryAfter  = time.Second // what could not be written is tried again
)

// Person is a user as others see them.
type Person struct {
	UserID uuid.UUID
	Name   string
	Online bool
	Away   bool // and nobody uses any of their connections
	Status chat.Status
}

// Instance is what other instances and DBAs see of this one.
type Instance struct {
	ID        uuid.UUID
	Name      string
	Version   string
	Heartbeat time.Duration // between two heartbeats
	Lease     time.Duration // how long a heartbeat keeps the instance alive
}

// Figures are how an instance does, as its heartbeat writes them for DBAs; docs/operations.md says what each means.
type Figures struct {
	Connections int
	Rooms       int
	Listener    string        // "hears", "polls" or "lost"
	ListenerPID uint32        // 0: none
	Lag         time.Duration // 0: not known
	Queue       int
	// Since they were last asked for:
	Batches, Messages, LargestBatch int
}

// Presence holds what is online through this instance.
type Presence struct {
	instance Instance
	queries  *store.Queries
	log      *slog.Logger

	wake   chan struct{}
	stop   context.CancelFunc
	done   chan struct{}
	writes prometheus.Counter

	mu      sync.Mutex
	figures func() Figures // nil: none
	held    map[place]holding
	changed map[place]struct{} // not written yet
	people  map[uuid.UUID]holding
}

type place struct{ room, user uuid.UUID }

// holding is what is held of a user in a room, or in all rooms together.
type holding struct {
	connections int32
	idle        int32 // of them
	told        state // as it was written, or told, last
}

// state is how a user is through this instance.
type state int

const (
	offline state = iota
	online
	away
)

func (h holding) state() state {
	switch {
	case h.connections <= 0:
		return offline
	case h.idle >= h.connections:
		return away
	}
	return online
}

// New makes the presence of an instance; it writes through pool.
func New(pool *pgxpool.Pool, instance Instance, log *slog.Logger) *Presence {
	return &Presence{
		instance: instance, queries: store.New(pool), log: log,
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgchat_presence_writes_total", Help: "Statements that wrote joins and leaves.",
		}),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		held: map[place]holding{}, changed: map[place]struct{}{}, people: map[uuid.UUID]holding{},
	}
}

// Start registers the instance and begins its heartbeat.
func (p *Presence) Start(ctx context.Context) error {
	if err := p.register(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	go p.run(run)
	return nil
}

// Stop removes the instance and all it held.
func (p *Presence) Stop(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	p.stop()
	<-p.done
	err := p.queries.RemoveInstance(ctx, p.instance.ID)
	for i := 0; i < 10 && pgconn.SafeToRetry(err); i++ { // connections that the pool had may have been lost meanwhile
		err = p.queries.RemoveInstance(ctx, p.instance.ID)
	}
	if err != nil {
		return fmt.Errorf("remove the instance: %w", err)
	}
	return nil
}

// Figures has each heartbeat from now on write what figures returns; nothing else is written for them.
func (p *Presence) Figures(figures func() Figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.figures = figures
}

// Join counts one more connection of the user in the room.
func (p *Presence) Join(roomID, userID uuid.UUID) { p.add(place{roomID, userID}, 1, 0) }

// Leave counts one less; one that is idle is taken back from Idle first.
func (p *Presence) Leave(roomID, userID uuid.UUID) { p.add(place{roomID, userID}, -1, 0) }

// Idle counts one more of the user's connections in the room that nobody uses; with idle false one less.
func (p *Presence) Idle(roomID, userID uuid.UUID, idle bool) {
	n := int32(1)
	if !idle {
		n = -1
	}
	p.add(place{roomID, userID}, 0, n)
}

func (p *Presence) add(at place, connections, idle int32) {
	p.mu.Lock()
	h, all := p.held[at], p.people[at.user]
	h.connections, all.connections = h.connections+connections, all.connections+connections
	h.idle, all.idle = h.idle+idle, all.idle+idle
	p.held[at], p.people[at.user] = h, all
	p.changed[at] = struct{}{}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Online returns who is in the room on all living instances, by name.
func (p *Presence) Online(ctx context.Context, roomID uuid.UUID) ([]Person, error) {
	rows, err := p.queries.OnlineUsers(ctx, store.OnlineUsersParams{RoomID: roomID, LeaseSeconds: p.instance.Lease.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("read who is online in room %s: %w", roomID, err)
	}
	online := make([]Person, 0, len(rows))
	for _, r := range rows {
		online = append(online, Person{r.UserID, r.Name, true, r.Away, chat.NewStatus(r.Emoji, r.Text, r.Until, r.DndUntil)})
	}
	return online, nil
}

// People returns how these users are, wherever they are online; who is no user is missing from it.
func (p *Presence) People(ctx context.Context, userIDs []uuid.UUID) (map[uuid.UUID]Person, error) {
	rows, err := p.queries.PeopleNow(ctx, store.PeopleNowParams{UserIds: userIDs, LeaseSeconds: p.instance.Lease.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("read how %d people are: %w", len(userIDs), err)
	}
	people := make(map[uuid.UUID]Person, len(rows))
	for _, r := range rows {
		people[r.UserID] = Person{r.UserID, r.Name, r.Online, r.Away, chat.NewStatus(r.Emoji, r.Text, r.Until, r.DndUntil)}
	}
	return people, nil
}

// Collectors are the presence's metrics.
func (p *Presence) Collectors() []prometheus.Collector { return []prometheus.Collector{p.writes} }

func (p *Presence) run(ctx context.Context) {
	defer close(p.done)
	heartbeat := time.NewTicker(p.instance.Heartbeat)
	defer heartbeat.Stop()
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-heartbeat.C:
			err = p.beat(ctx)
		case <-again.C:
			err = p.beat(ctx)
		case <-sweep.C:
			var next time.Duration
			next, err = p.sweep(ctx)
			sweep.Reset(next)
		case <-p.wake:
			select {
			case <-time.After(collectFor):
			case <-ctx.Done():
				return
			}
			err = p.flush(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn("presence is not up to date", "error", err)
			again.Reset(retryAfter)
		}
	}
}

// flush writes what changed, and tells the rooms in which somebody appeared or went, and who is or is not away any more.
func (p *Presence) flush(ctx context.Context) error {
	p.mu.Lock()
	changed := p.changed
	p.changed = map[place]struct{}{}
	arg := store.SetPresenceParams{InstanceID: p.instance.ID}
	rooms, people := map[uuid.UUID]struct{}{}, map[uuid.UUID]state{}
	for at := range changed {
		h := p.held[at]
		arg.RoomIds = append(arg.RoomIds, at.room)
		arg.UserIds = append(arg.UserIds, at.user)
		arg.Connections = append(arg.Connections, h.connections)
		arg.Idle = append(arg.Idle, min(h.idle, h.connections))
		if (h.told == offline) != (h.state() == offline) {
			rooms[at.room] = struct{}{}
		}
		if all := p.people[at.user]; all.told != all.state() {
			people[at.user] = all.state()
		}
	}
	p.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	arg.Announce, arg.People = slices.Collect(maps.Keys(rooms)), slices.Collect(maps.Keys(people))
	writing, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	p.writes.Inc()
	err := p.queries.SetPresence(writing, arg)
	p.mu.Lock()
	for i, room := range arg.RoomIds {
		at := place{room, arg.UserIds[i]}
		if err != nil {
			p.changed[at] = struct{}{}
			continue
		}
		h, all := p.held[at], p.people[at.user]
		h.told = holding{connections: arg.Connections[i], idle: arg.Idle[i]}.state()
		p.held[at] = h
		if told, ok := people[at.user]; ok {
			all.told = told
			p.people[at.user] = all
		}
		if h == (holding{}) {
			delete(p.held, at)
		}
		if all == (holding{}) {
			delete(p.people, at.user)
		}
	}
	p.mu.Unlock()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23503" { // the instance's row is gone
		if err := p.restore(ctx); err != nil {
			return err
		}
		return p.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("write %d joins and leaves: %w", len(changed), err)
	}
	return nil
}
