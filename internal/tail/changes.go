package tail

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// What can change of a message.
const (
	Edited    = "edited"    // its text
	Deleted   = "deleted"   // it shows no longer
	Restored  = "restored"  // it shows again
	Reacted   = "reacted"   // By with Emoji
	Unreacted = "unreacted" // By took Emoji back
	Attached  = "attached"  // a File
	Detached  = "detached"  // a File
	Pinned    = "pinned"    // By
	Unpinned  = "unpinned"
	Replied   = "replied" // its thread has another number of Replies
)

// Change is one thing that became otherwise with a message.
type Change struct {
	What    string `json:"what"`
	By      string `json:"by,omitempty"` // by name; "": not known
	Emoji   string `json:"emoji,omitempty"`
	File    string `json:"file,omitempty"` // its name
	Replies int64  `json:"replies,omitempty"`
}

// remembered is how many messages of all rooms together are known as they were.
const remembered = 20_000

type place struct {
	room uuid.UUID
	seq  int64
}

// state is of a message what its changes are told from.
type state struct {
	rev     int64
	edited  time.Time
	deleted bool
	extra   []byte
}

// memory knows the latest messages as they were. The oldest goes first.
type memory struct {
	states map[place]state
	order  []place // a ring, once it is full
	next   int
}

func stateOf(m chat.Message) state {
	s := state{rev: m.Rev, deleted: m.DeletedAt != nil, extra: m.Extra}
	if m.EditedAt != nil {
		s.edited = *m.EditedAt
	}
	return s
}

func (k *memory) know(m chat.Message) {
	at := place{m.RoomID, m.Seq}
	if _, known := k.states[at]; !known {
		if k.states == nil {
			k.states = map[place]state{}
		}
		if len(k.order) < remembered {
			k.order = append(k.order, at)
		} else {
			delete(k.states, k.order[k.next])
			k.order[k.next] = at
			k.next = (k.next + 1) % remembered
		}
	}
	k.states[at] = stateOf(m)
}

// changed takes a message as it now is and returns what has changed of it, nothing where that is not known; false: it is known in
// this state already.
func (k *memory) changed(m chat.Message) ([]Change, bool) {
	before, known := k.states[place{m.RoomID, m.Seq}]
	if known && before.rev >= m.Rev {
		return nil, false
	}
	k.know(m)
	if !known {
		return nil, true
	}
	return between(before, stateOf(m)), true
}

// between tells what became otherwise from one state of a message to the next.
func between(before, after state) (changes []Change) {
	add := func(c Change) { changes = append(changes, c) }
	if before.deleted != after.deleted {
		if after.deleted {
			return []Change{{What: Deleted}}
		}
		add(Change{What: Restored})
	}
	if !before.edited.Equal(after.edited) {
		add(Change{What: Edited})
	}
	if before.deleted || after.deleted { // what belongs to one that is deleted is not told
		return changes
	}
	old, now := extraOf(before.extra), extraOf(after.extra)
	for _, f := range now.Files {
		if !slices.ContainsFunc(old.Files, func(o chat.File) bool { return o.ID == f.ID }) {
			add(Change{What: Attached, File: f.Name})
		}
	}
	for _, f := range old.Files {
		if !slices.ContainsFunc(now.Files, func(n chat.File) bool { return n.ID == f.ID }) {
			add(Change{What: Detached, File: f.Name})
		}
	}
	for _, r := range now.Reactions {
		for range reactedOnly(r, old.Reactions, func(name string) { add(Change{What: Reacted, Emoji: r.Emoji, By: name}) }) {
			add(Change{What: Reacted, Emoji: r.Emoji})
		}
	}
	for _, r := range old.Reactions {
		for range reactedOnly(r, now.Reactions, func(name string) { add(Change{What: Unreacted, Emoji: r.Emoji, By: name}) }) {
			add(Change{What: Unreacted, Emoji: r.Emoji})
		}
	}
	switch {
	case old.Pinned == nil && now.Pinned != nil:
		add(Change{What: Pinned, By: now.Pinned.By})
	case old.Pinned != nil && now.Pinned == nil:
		add(Change{What: Unpinned})
	}
	if n := replies(now); n != replies(old) {
		add(Change{What: Replied, Replies: n})
	}
	return changes
}

// reactedOnly calls each with the names that a reaction has and the same emoji among others has not, and returns how many more have
// reacted than by those names: of many only the first are named.
func reactedOnly(r chat.Reaction, others []chat.Reaction, each func(name string)) int {
	var other chat.Reaction
	if i := slices.IndexFunc(others, func(o chat.Reaction) bool { return o.Emoji == r.Emoji }); i >= 0 {
		other = others[i]
	}
	if r.Others() > 0 || other.Others() > 0 { // who is named may have been there before, unnamed
		return max(0, r.Count-other.Count)
	}
	for _, name := range r.By {
		if !slices.Contains(other.By, name) {
			each(name)
		}
	}
	return 0
}

func replies(x chat.Extra) int64 {
	if x.Thread == nil {
		return 0
	}
	return x.Thread.Count
}

func extraOf(text []byte) chat.Extra { return chat.Message{Extra: json.RawMessage(text)}.Attached() }
