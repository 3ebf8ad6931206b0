package feed

import (
	"sync"

	"github.com/pgchat/pgchat/internal/chat"
)

// Event is a stretch of a room's messages, seq First to Last. Everyone in the room is handed the same one: it must not be
// changed.
type Event struct {
	First, Last int64
	Messages    []chat.Message // ascending; without those that were removed from the table
	Cursor      chat.Cursor    // what its receiver has after it

	encoded sync.Map // by format
}

// Encoded returns what make gave for this format the first time, so that an event is encoded once, however many
// connections take it.
func (e *Event) Encoded(format string, make func(*Event) any) any {
	entry, _ := e.encoded.LoadOrStore(format, sync.OnceValue(func() any { return make(e) }))
	return entry.(func() any)() //nolint:forcetypeassert // only stored here
}

func (e *Event) bytes() int {
	n := 0
	for _, m := range e.Messages {
		n += len(m.Body) + 100
	}
	return n
}

// from returns the part of the event from seq first on.
func (e *Event) from(first int64) *Event {
	if first <= e.First {
		return e
	}
	part := &Event{First: first, Last: e.Last, Cursor: e.Cursor}
	for i, m := range e.Messages {
		if m.Seq >= first {
			part.Messages = e.Messages[i:]
			break
		}
	}
	return part
}
