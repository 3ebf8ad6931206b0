package consumer

import (
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/presence"
)

// v1Person is somebody who is not plainly online, or is so again.
type v1Person struct {
	Name     string     `json:"name"`
	Away     bool       `json:"away,omitempty"`
	Dnd      bool       `json:"dnd,omitempty"`
	DndUntil *time.Time `json:"dnd_until,omitempty"` // without: until they end it
	Emoji    string     `json:"emoji,omitempty"`
	Text     string     `json:"text,omitempty"`
	Until    *time.Time `json:"until,omitempty"` // without: until they change it
}

type v1Status struct {
	Type  string `json:"type"`
	Until string `json:"until,omitempty"`
	Emoji string `json:"emoji,omitempty"`
	Text  string `json:"text,omitempty"`
}

func v1People(people []presence.Person) []v1Person {
	list := make([]v1Person, 0, len(people))
	for _, p := range people {
		list = append(list, v1Person{
			Name: p.Name, Away: p.Away, Dnd: !p.Status.Quiet.IsZero(), DndUntil: v1End(p.Status.Quiet),
			Emoji: p.Status.Emoji, Text: p.Status.Text, Until: v1End(p.Status.Until),
		})
	}
	return list
}

func v1End(t time.Time) *time.Time {
	if t.IsZero() || !t.Before(chat.Forever()) {
		return nil
	}
	return &t
}

// setStatus sets what the user says of themselves, or until when they are not to be disturbed, and repeats it.
func (v *v1) setStatus(c *conn, in v1In) error {
	if err := c.mayPost(); err != nil {
		return err
	}
	var until *time.Time
	switch {
	case in.Until == "forever" && in.Type == "dnd":
		end := chat.Forever()
		until = &end
	case in.Until != "":
		end, err := time.Parse(time.RFC3339, in.Until)
		if err != nil {
			return &chat.Error{Code: chat.Invalid, Field: "until", Message: "until is a time such as 2031-12-31T18:00:00Z."}
		}
		until = &end
	}
	out := v1Status{Type: in.Type, Until: in.Until}
	var err error
	if in.Type == "dnd" {
		err = v.sockets.cfg.People.DoNotDisturb(v.sockets.ctx, c.user.ID, until)
	} else {
		err = v.sockets.cfg.People.SetStatus(v.sockets.ctx, c.user.ID, in.Emoji, in.Text, until)
		out.Emoji, out.Text = in.Emoji, in.Text
	}
	if err != nil {
		return err
	}
	c.answer(frame(out))
	return nil
}
