package feed

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/pgchat/pgchat/internal/chat"
)

// Event is either a stretch of a room's messages, seq First to Last, or of changes, rev RevFirst to RevLast: to messages, and what
// else happened to the room.
// Everyone in the room is handed the same one: it must not be changed.
type Event struct {
	First, Last int64 // 0: changes
	Messages    []chat.Message

	RevFirst, RevLast int64          // 0: messages
	Changes           []chat.Message // ascending by rev; a message that changed twice stands under its latest rev alone
	Lines             []chat.Line    // ascending by rev

	Signal json.RawMessage // what was sent to the room, for who is there at the moment: neither messages nor changes; nil: nothing

	after   chat.Cursor // what the room had delivered after it
	encoded sync.Map    // by format
}

// Encoded returns what make gave for this format the first time, so that an event is encoded once, however many
// connections take it.
func (e *Event) Encoded(format string, make func(*Event) any) any {
	if entry, ok := e.encoded.Load(format); ok {
		return entry.(func() any)() //nolint:forcetypeassert // only stored here
	}
	entry, _ := e.encoded.LoadOrStore(format, sync.OnceValue(func() any { return make(e) }))
	return entry.(func() any)() //nolint:forcetypeassert // only stored here
}

func (e *Event) bytes() int {
	n := len(e.Signal)
	for _, m := range e.Messages {
		n += len(m.Body) + len(m.Extra) + 100
	}
	for _, m := range e.Changes {
		n += len(m.Body) + len(m.Extra) + 100
	}
	for _, l := range e.Lines {
		n += len(l.From) + len(l.To) + 200
	}
	return n
}

// since returns the event without messages that have a lower seq.
func (e *Event) since(seq int64) *Event {
	before := func(m chat.Message) bool { return m.Seq < seq }
	if !slices.ContainsFunc(e.Messages, before) && !slices.ContainsFunc(e.Changes, before) {
		return e
	}
	return &Event{
		First: e.First, Last: e.Last, Messages: slices.DeleteFunc(slices.Clone(e.Messages), before),
		RevFirst: e.RevFirst, RevLast: e.RevLast, Changes: slices.DeleteFunc(slices.Clone(e.Changes), before), Lines: e.Lines, after: e.after,
	}
}

// beyond returns the part of the event that somebody at the cursor does not have; nil: none. Of changes it is all: a
// change that comes twice changes nothing.
func (e *Event) beyond(at chat.Cursor) *Event {
	switch {
	case e.Last > 0 && e.Last <= at.Seq, e.RevLast > 0 && e.RevLast <= at.Rev:
		return nil
	case e.Last == 0 || e.First > at.Seq:
		return e
	}
	part := &Event{First: at.Seq + 1, Last: e.Last, after: e.after}
	for i, m := range e.Messages {
		if m.Seq > at.Seq {
			part.Messages = e.Messages[i:]
			break
		}
	}
	return part
}

// moves returns the cursor of somebody at the cursor who takes the event.
func (e *Event) moves(at chat.Cursor) chat.Cursor {
	return chat.Cursor{Seq: max(at.Seq, e.Last), Rev: max(at.Rev, e.RevLast), History: at.History}
}
