package chat

import (
	"context"
	"errors"
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
	rooms map[uuid.UUID][]heldPost
	count int // of posts, queueLength at most
}

type heldPost struct {
	pending
	since time.Time
}

func newHeld() held {
	return held{woken: make(chan struct{}, 1), rooms: map[uuid.UUID][]heldPost{}}
}

func (h *held) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// follows adds the post where others wait for its room; it reports whether they do.
func (h *held) follows(p pending) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, wait := h.rooms[p.RoomID]; !wait {
		return false
	}
	h.addLocked(p)
	return true
}

func (h *held) add(posts []pending) {
	if len(posts) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range posts {
		h.addLocked(p)
	}
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

func (h *held) addLocked(p pending) {
	if h.count == queueLength {
		p.answer(0, errBusy())
		return
	}
	h.rooms[p.RoomID] = append(h.rooms[p.RoomID], heldPost{p, time.Now()})
	h.count++
}

// first returns posts to the room that make a batch, from those that have waited longest.
func (h *held) first(room uuid.UUID, b *batch) []pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.begin()
	for _, p := range h.rooms[room] {
		if !b.add(p.pending) {
			break
		}
	}
	return b.posts
}

// drop forgets the first n posts to the room.
func (h *held) drop(room uuid.UUID, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count -= n
	if h.rooms[room] = h.rooms[room][n:]; len(h.rooms[room]) == 0 {
		delete(h.rooms, room)
	}
}

func (h *held) list() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	rooms := make([]uuid.UUID, 0, len(h.rooms))
	for id := range h.rooms {
		rooms = append(rooms, id)
	}
	return rooms
}

// expired takes the posts that have waited for too long, by rooms; all of them where everything is to end.
func (h *held) expired(all bool) (posts [][]pending) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for room, line := range h.rooms {
		n := len(line)
		if fresh := slices.IndexFunc(line, func(p heldPost) bool { return time.Since(p.since) < heldFor }); !all && fresh >= 0 {
			n = fresh
		}
		if n == 0 {
			continue
		}
		old := make([]pending, n)
		for i, p := range line[:n] {
			old[i] = p.pending
		}
		posts = append(posts, old)
		h.count -= n
		if h.rooms[room] = line[n:]; len(h.rooms[room]) == 0 {
			delete(h.rooms, room)
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
			w.writeFreed(ctx, &b, out)
			for _, posts := range w.held.expired(ctx.Err() != nil) {
				out <- stored{batch: posts, err: Errorf(Unavailable, "The message was not stored: another program holds this room in a transaction. Send it again in a moment.")}
			}
			if w.held.waiting() > 0 {
				select {
				case <-time.After(heldEvery):
				case <-ctx.Done():
				}
			}
		}
	}
}

// writeFreed stores what waits for those rooms that nobody holds any more.
func (w *Writer) writeFreed(ctx context.Context, b *batch, out chan<- stored) {
	rooms := w.held.list()
	asking, cancel := context.WithTimeout(ctx, heldAsked)
	defer cancel()
	still, err := w.queries.HeldRooms(asking, rooms)
	if err != nil {
		return
	}
	for _, room := range rooms {
		if slices.Contains(still, room) {
			continue
		}
		for posts := w.held.first(room, b); len(posts) > 0; posts = w.held.first(room, b) {
			left := w.write(ctx, posts, out)
			w.held.drop(room, len(posts)-len(left))
			if len(left) > 0 {
				break
			}
		}
	}
}
