package chat

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	heldFor   = 5 * time.Second       // posts wait so long for a room that a transaction of another program holds
	heldEvery = 50 * time.Millisecond // it is asked whether that has ended
	heldAsked = time.Second           // for the answer
)

// held is posts to rooms whose heads other transactions hold, in their order. A room is in it until nothing waits for it any more:
// meanwhile all that is posted there goes behind what waits, and everybody else's posts go on.
type held struct {
	woken chan struct{}

	mu    sync.Mutex
	rooms map[uuid.UUID][]pending
	count int // of posts, queueLength at most
}

func newHeld() held {
	return held{woken: make(chan struct{}, 1), rooms: map[uuid.UUID][]pending{}}
}

func (h *held) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// follows adds the post where others wait for its room; it reports whether they do, and whether there was room for it.
func (h *held) follows(p pending) (wait, added bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, wait = h.rooms[p.RoomID]; !wait {
		return false, false
	}
	return true, h.addLocked(p)
}

// add returns the posts for which there was no room.
func (h *held) add(posts []pending) (refused []pending) {
	if len(posts) == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range posts {
		if !h.addLocked(p) {
			refused = append(refused, p)
		}
	}
	select {
	case h.woken <- struct{}{}:
	default:
	}
	return refused
}

func (h *held) addLocked(p pending) bool {
	if h.count == queueLength {
		return false
	}
	p.held = time.Now()
	h.rooms[p.RoomID] = append(h.rooms[p.RoomID], p)
	h.count++
	return true
}

// first returns posts to the room that make a batch, from those that have waited longest.
func (h *held) first(room uuid.UUID, b *batch) []pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.begin()
	for _, p := range h.rooms[room] {
		if !b.add(p) {
			break
		}
	}
	return b.posts
}

// drop forgets the first n posts to the room.
func (h *held) drop(room uuid.UUID, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(room, n)
}

func (h *held) dropLocked(room uuid.UUID, n int) {
	h.count -= n
	if h.rooms[room] = h.rooms[room][n:]; len(h.rooms[room]) == 0 {
		delete(h.rooms, room)
	}
}

func (h *held) list() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.rooms))
}

// expired takes the posts that have waited for too long, by rooms; all of them where everything is to end.
func (h *held) expired(all bool) (posts [][]pending) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for room, line := range h.rooms {
		n := len(line)
		if fresh := slices.IndexFunc(line, func(p pending) bool { return time.Since(p.held) < heldFor }); !all && fresh >= 0 {
			n = fresh
		}
		if n > 0 {
			posts = append(posts, line[:n:n])
			h.dropLocked(room, n)
		}
	}
	return posts
}

// locked reports whether it was waited in vain for a lock.
func locked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}

// part tells posts whose rooms are held from the others. Where no head is held something else is locked, a table or a message that is
// answered, and each room finds out for itself.
func (w *Writer) part(ctx context.Context, posts []pending) (free, held []pending) {
	ctx, cancel := context.WithTimeout(ctx, heldAsked)
	defer cancel()
	rooms := make([]uuid.UUID, len(posts))
	for i, p := range posts {
		rooms[i] = p.RoomID
	}
	ids, err := w.queries.HeldRooms(ctx, rooms)
	if err != nil || len(ids) == 0 {
		return nil, posts
	}
	for _, p := range posts {
		if slices.Contains(ids, p.RoomID) {
			held = append(held, p)
		} else {
			free = append(free, p)
		}
	}
	return free, held
}

// writeHeld stores what waits for rooms as these become free, and tells the senders where that takes too long. It ends when nothing is
// added any more and nothing waits.
func (w *Writer) writeHeld(ctx context.Context, out chan<- stored) {
	var b batch
	for range w.held.woken {
		for w.held.waiting() > 0 {
			t := w.writeFreed(ctx, &b, out)
			w.tellHeld(ctx, out, t)
			if w.held.waiting() > 0 {
				select {
				case <-time.After(heldEvery):
				case <-ctx.Done():
				}
			}
		}
	}
}

// tellHeld answers those who have waited for too long, with t where that is why, and everybody where waiting is in vain.
func (w *Writer) tellHeld(ctx context.Context, out chan<- stored, t *trouble) {
	why := Errorf(Unavailable, "The message was not stored: another program holds this room, or what is in it, in a transaction. Send it again in a moment.")
	all := false
	if t != nil {
		why = t.err
	}
	if known := w.trouble.Load(); known != nil && known.probe {
		all, why = true, known.err
	} else if ctx.Err() != nil {
		all, why = true, errStopping()
	}
	for _, posts := range w.held.expired(all) {
		out <- stored{batch: posts, err: why}
	}
}

// writeFreed stores what waits for those rooms that nobody holds any more, a batch of each: what is busy comes again after the others. It
// returns why nothing can be stored.
func (w *Writer) writeFreed(ctx context.Context, b *batch, out chan<- stored) *trouble {
	rooms := w.held.list()
	asking, cancel := context.WithTimeout(ctx, heldAsked)
	defer cancel()
	still, err := w.queries.HeldRooms(asking, rooms)
	if err != nil {
		return troubleOf(err)
	}
	for _, room := range rooms {
		if slices.Contains(still, room) {
			continue
		}
		if posts := w.held.first(room, b); len(posts) > 0 {
			// That it cannot be reached the goroutine that takes from the queue finds out for itself: it is the one that asks until it can.
			var met *trouble
			left := w.write(ctx, posts, out, func(t *trouble) { met = t })
			w.held.drop(room, len(posts)-len(left))
			if met != nil {
				return met
			}
		}
		w.tellHeld(ctx, out, nil) // where something else than a head is locked each room takes its time
	}
	return nil
}
