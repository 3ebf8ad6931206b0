package consumer

import (
	"bytes"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

// v1Event is what happened to a room beside what was said in it.
type v1Event struct {
	Type    string    `json:"type"`
	Room    string    `json:"room"`
	Rev     int64     `json:"rev"`
	Kind    string    `json:"kind"`
	After   int64     `json:"after"` // seq of the message that it follows
	Actor   string    `json:"actor,omitempty"`
	Subject string    `json:"subject,omitempty"`
	People  int32     `json:"people,omitempty"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	At      time.Time `json:"at"`
}

// v1Changes tells the changes, each in the order of its rev where they are of both kinds: whoever keeps the rev of the frame that
// came last misses nothing when the connection is lost between two.
func v1Changes(slug string, e *feed.Event) []byte {
	if len(e.Lines) == 0 {
		return frame(v1Messages{Type: "changes", Room: slug, Rev: e.RevLast, Messages: v1List(e.Changes)})
	}
	var frames bytes.Buffer
	changes := e.Changes
	until := func(rev int64) {
		var before []chat.Message
		for len(changes) > 0 && changes[0].Rev <= rev {
			before, changes = append(before, changes[0]), changes[1:]
		}
		if len(before) > 0 {
			frames.Write(frame(v1Messages{Type: "changes", Room: slug, Rev: before[len(before)-1].Rev, Messages: v1List(before)}))
		}
	}
	for _, l := range e.Lines {
		until(l.Rev)
		frames.Write(frame(v1Event{"event", slug, l.Rev, l.Kind, l.After, l.Actor, l.Subject, l.People, l.From, l.To, l.At}))
	}
	until(e.RevLast)
	return frames.Bytes()
}
