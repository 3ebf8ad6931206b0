package tail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/terminal"
)

// object is an item for programs; docs/listening.md documents it.
type object struct {
	Type    string   `json:"type"`
	Room    string   `json:"room"`
	Cursor  string   `json:"cursor"`
	Message any      `json:"message,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	Event   *event   `json:"event,omitempty"`
	Online  *online  `json:"presence,omitempty"`
	First   int64    `json:"first,omitempty"`
	Reason  End      `json:"reason,omitempty"`
}

type online struct {
	Online int      `json:"online"`
	Joined []string `json:"joined"`
	Left   []string `json:"left"`
}

// event is what happened to a room, named as in pgchat.v1.
type event struct {
	Rev     int64     `json:"rev"`
	Kind    string    `json:"kind"`
	After   int64     `json:"after"`
	Actor   string    `json:"actor,omitempty"`
	Subject string    `json:"subject,omitempty"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	People  int32     `json:"people,omitempty"`
	At      time.Time `json:"at"`
}

// AppendJSON adds what happened to text, as a JSON object in a line of its own.
func AppendJSON(text []byte, i Item) []byte {
	o := object{Room: i.Room.Slug, Cursor: i.Cursor.String()}
	switch {
	case i.Message != nil:
		o.Type, o.Message, o.Changes = "message", consumer.MessageFields(*i.Message), i.Changes
		if i.Changed {
			o.Type = "change"
		}
	case i.Line != nil:
		l := eventOf(*i.Line)
		o.Type, o.Event = "event", &l
	case i.Online != nil:
		o.Type, o.Online = "presence", &online{i.Online.People, i.Online.Came, i.Online.Went}
	case i.First > 0:
		o.Type, o.First = "removed", i.First
	default:
		o.Type, o.Reason = "end", i.End
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(o); err != nil {
		panic(err) // strings and numbers always encode
	}
	// Control characters stand in strings alone. encoding/json escapes those below 32; a terminal obeys others as well.
	for _, r := range line.String() {
		if r != '\n' && terminal.Commands(r) {
			text = fmt.Appendf(text, `\u%04x`, r)
		} else {
			text = append(text, string(r)...)
		}
	}
	return text
}

func eventOf(l chat.Line) event {
	return event{l.Rev, l.Kind, l.After, l.Actor, l.Subject, l.From, l.To, l.People, l.At}
}
