package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	typingFor   = 5 * time.Second // without being told again, somebody no longer types
	typingEvery = time.Second     // at most, subscribers are told
	typingMost  = 100             // who are told; more than that nobody reads
)

// Typing is who is typing in a room, by name. Everyone in the room is handed the same one: it must not be changed.
type Typing struct{ Names []string }

// TellTyping tells everybody in the room, on all instances, that these users are typing. It is not stored: who does not
// hear it does not learn of it. It travels in the room's own group, because each channel that is listened to costs.
func (f *Feed) TellTyping(ctx context.Context, roomID uuid.UUID, names []string) error {
	text, err := json.Marshal(map[string][]string{"typing": names})
	if err != nil {
		return fmt.Errorf("tell who is typing in room %s: %w", roomID, err)
	}
	return f.layer.GroupSend(ctx, group(roomID), string(text))
}

// typists is who types in a room.
type typists struct {
	until   map[string]time.Time // by name
	told    *Typing              // nil: nobody
	ticking bool                 // a timer looks again
}

// typed takes that these users are typing: subscribers are told at once, or with the next tick.
func (r *room) typed(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.typing
	if t.until == nil {
		t.until = map[string]time.Time{}
	}
	for _, name := range names {
		if _, known := t.until[name]; known || len(t.until) < typingMost {
			t.until[name] = time.Now().Add(typingFor)
		}
	}
	if !t.ticking {
		r.tellTypingLocked()
	}
}

// tellTypingLocked tells the subscribers who types, where that has changed, and looks again in a moment, until nobody does.
func (r *room) tellTypingLocked() {
	t, now := &r.typing, time.Now()
	names := make([]string, 0, len(t.until))
	for name, until := range t.until {
		if now.Before(until) {
			names = append(names, name)
		} else {
			delete(t.until, name)
		}
	}
	slices.Sort(names)
	var before []string
	if t.told != nil {
		before = t.told.Names
	}
	changed := !slices.Equal(before, names)
	if changed {
		t.told = nil
		if len(names) > 0 {
			t.told = &Typing{names}
		}
		r.wakeLocked()
	}
	t.ticking = (changed || len(names) > 0) && !r.closed
	if t.ticking {
		time.AfterFunc(typingEvery, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.tellTypingLocked()
		})
	}
}

// ended takes that the authors have sent what they were typing.
func (t *typists) ended(messages []chat.Message) {
	for _, m := range messages {
		delete(t.until, m.Author)
	}
}
