package unread

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// load reads the memberships of users that are stale: of all in one query, and of those who come meanwhile in the next.
func (h *Hub) load() {
	for {
		select {
		case <-h.toLoad:
		case <-h.ctx.Done():
			return
		}
		for users := h.takeStale(); len(users) > 0; users = h.takeStale() {
			ids := make([]uuid.UUID, len(users))
			for i, u := range users {
				ids[i] = u.id
			}
			ctx, cancel := context.WithTimeout(h.ctx, workWithin)
			found, err := h.reads.Of(ctx, ids)
			cancel()
			h.loaded(users, found, err)
			if err == nil {
				continue
			}
			if h.ctx.Err() == nil {
				h.log.Debug("memberships were not read", "users", len(users), "error", err)
			}
			select {
			case <-time.After(retryAfter):
			case <-h.ctx.Done():
				return
			}
		}
	}
}

func (h *Hub) takeStale() (users []*user) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for u := range h.stale {
		if len(users) == membersAsked {
			break
		}
		delete(h.stale, u)
		if len(u.watches) > 0 {
			u.again = false
			users = append(users, u)
		}
	}
	h.heard = nil
	if len(users) > 0 {
		h.heard = map[uuid.UUID]int64{}
	}
	return users
}

// loaded takes what was read. What was told meanwhile may be newer: how far a room has come is the higher of both; of a user
// who was told of, everything is read once more.
func (h *Hub) loaded(users []*user, found []chat.Membership, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := map[uuid.UUID]bool{}
	for _, u := range users {
		if err != nil || u.again {
			h.staleLocked(u)
		}
		if err == nil && len(u.watches) > 0 {
			fresh[u.id] = true
			h.forgetRoomsLocked(u)
			u.rooms = map[uuid.UUID]*membership{}
		}
	}
	for _, m := range found {
		if !fresh[m.UserID] {
			continue
		}
		u := h.users[m.UserID]
		r := h.rooms[m.RoomID]
		if r == nil {
			r = &room{id: m.RoomID, users: map[*user]struct{}{}}
			h.rooms[m.RoomID] = r
		}
		r.slug, r.last = m.Slug, max(m.Last, h.heard[m.RoomID])
		r.users[u] = struct{}{}
		u.rooms[m.RoomID] = &membership{room: r, read: m.Read, stamp: m.Stamp, mentions: m.Mentions}
	}
	for id := range fresh {
		for w := range h.users[id].watches {
			w.all = true
			w.wake()
		}
	}
	h.heard = nil
}

func (h *Hub) forgetRoomsLocked(u *user) {
	for id, m := range u.rooms {
		delete(m.room.users, u)
		if len(m.room.users) == 0 {
			delete(h.rooms, id)
		}
	}
	u.rooms = nil
}

func (h *Hub) staleLocked(u *user) {
	u.again = true
	h.stale[u] = struct{}{}
	signal(h.toLoad)
}

func (h *Hub) staleAll() {
	h.relist.Call()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.users {
		h.staleLocked(u)
	}
}
