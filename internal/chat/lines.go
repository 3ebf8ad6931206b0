package chat

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/store"
)

// Line is what happened to a room beside what was said in it: it stands between the messages.
type Line struct {
	Rev     int64  // its number among the room's changes
	After   int64  // seq of the message that it follows; 0: none
	Kind    string // "joined", "left", "renamed", "topic", "archived", "restored", "private", "public" or "retention"
	Actor   string // who did it, by name; "": unknown
	Subject string // who joined or left; "": nobody, or many
	From    string // the name, topic or days that messages are kept for before; "": no topic, for ever
	To      string // and after
	People  int32  // how many joined or left at once; 0: the subject
	At      time.Time
}

// Words is the line as people read it; the page's lines.js does the same for several that are alike.
func (l Line) Words() string {
	people, were := l.Subject, "was"
	if l.People > 0 {
		people, were = fmt.Sprintf("%d people", l.People), "were"
	}
	self := l.Actor != "" && l.Actor == l.Subject
	choose := func(active, passive string) string {
		if l.Actor != "" {
			return l.Actor + " " + active
		}
		return passive
	}
	switch l.Kind {
	case "joined":
		if self {
			return l.Actor + " joined"
		}
		return choose("added "+people, people+" "+were+" added")
	case "left":
		if self {
			return l.Actor + " left"
		}
		return choose("removed "+people, people+" "+were+" removed")
	case "renamed":
		return choose("renamed the room to ", "The room was renamed to ") + l.To
	case "topic":
		if l.To == "" {
			return choose("removed the topic", "The topic was removed")
		}
		return choose("changed the topic to: ", "The topic was changed to: ") + l.To
	case "retention":
		switch l.To {
		case "":
			return choose("has messages kept for ever", "Messages are kept for ever")
		case "1":
			return choose("has messages removed after a day", "Messages are removed after a day")
		}
		return choose("has messages removed after "+l.To+" days", "Messages are removed after "+l.To+" days")
	case "archived", "restored":
		return choose(l.Kind+" the room", "The room was "+l.Kind)
	}
	return choose("made the room "+l.Kind, "The room was made "+l.Kind)
}

// Lines returns at most limit lines of the room that stand after message after (0: before the first, too) and before message
// before, the newest of them, in order.
func (m *Messages) Lines(ctx context.Context, roomID uuid.UUID, after, before int64, limit int) ([]Line, error) {
	rows, err := m.queries.LinesBetween(ctx, store.LinesBetweenParams{
		RoomID: roomID, After: after, Before: before, MaxRows: int32(min(limit, 1000)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("read lines of room %s: %w", roomID, err)
	}
	lines := make([]Line, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, Line(r))
	}
	return lines, nil
}

// LinesSince returns at most limit lines of the room whose rev is above after and at most upTo, in order.
func (m *Messages) LinesSince(ctx context.Context, roomID uuid.UUID, after, upTo int64, limit int) ([]Line, error) {
	rows, err := m.queries.LinesSince(ctx, store.LinesSinceParams{
		RoomID: roomID, After: after, UpTo: upTo, MaxRows: int32(min(limit, 1000)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("read lines %d to %d of room %s: %w", after+1, upTo, roomID, err)
	}
	lines := make([]Line, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, Line(r))
	}
	return lines, nil
}
