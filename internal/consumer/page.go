package consumer

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/unread"
)

// page is the dialect of the pages: HTML in htmx's envelopes, and frames for the pages' own script. A page keeps one
// connection while its reader goes from room to room: one of them is open, and each frame about it names it, so that the
// page can tell what is still of the room before.
type page struct{ sockets *Sockets }

// pageIn is what a page may send.
type pageIn struct {
	Type   string      `json:"type"`
	Room   string      `json:"room"`
	Cursor string      `json:"cursor"`
	ID     string      `json:"id"`
	Body   string      `json:"body"`
	Seq    int64       `json:"seq"`
	Back   bool        `json:"back"`
	Files  []uuid.UUID `json:"files"`
	Most   int64       `json:"most"`  // missed messages that it wants to be sent; 0: all
	Lists  bool        `json:"lists"` // it lists rooms, or the members of one

	Idle  bool        `json:"idle"`
	Users []uuid.UUID `json:"users"`

	ReplyTo int64 `json:"reply_to"` // seq of the message that a post answers; 0: none
}

// pageOut is what a page is sent. With Content htmx swaps it into Target; without, it is for the page's script.
type pageOut struct {
	Type    string    `json:"type"`
	Room    string    `json:"room,omitempty"`
	ID      string    `json:"id,omitempty"`
	Seq     int64     `json:"seq,omitempty"`
	First   int64     `json:"first,omitempty"`
	Last    int64     `json:"last,omitempty"`
	Rev     int64     `json:"rev,omitempty"`
	History string    `json:"history,omitempty"`
	Online  *int      `json:"online,omitempty"`
	Rooms   any       `json:"rooms,omitempty"`
	All     bool      `json:"all,omitempty"`
	Lists   bool      `json:"lists,omitempty"`
	Typing  *[]string `json:"typing,omitempty"` // names
	People  any       `json:"people,omitempty"`
	Lines   string    `json:"lines,omitempty"` // HTML

	Payload       json.RawMessage `json:"payload,omitempty"`
	Announcements *string         `json:"announcements,omitempty"` // HTML

	Code    chat.Code `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	Target  string    `json:"target,omitempty"`
	Swap    string    `json:"swap,omitempty"`
	Content string    `json:"content,omitempty"`
}

func (p *page) name() string { return "page" }

func (p *page) receive(c *conn, data []byte) error {
	var in pageIn
	if err := parse(data, &in); err != nil {
		return err
	}
	switch in.Type {
	case "open":
		c.follow()
		if in.Lists {
			c.watch.Lists()
		}
		return p.open(c, in)
	case "read":
		return p.read(c, in)
	case "typing":
		return p.types(c, in)
	case "idle":
		return c.setIdleTo(in.Idle)
	case "people":
		return c.lookAt(in.Users)
	case "post":
		if err := p.post(c, in); err != nil {
			c.answer(p.failure(in.ID, err))
		}
		return nil
	case "":
		return chat.Errorf(chat.BadFrame, `The frame has no "type".`)
	}
	return chat.Errorf(chat.BadFrame, "There is no frame of type %q; a page sends open, post, read, typing, idle and people.", in.Type)
}

// open leaves the room that is open and opens another at the cursor, or, where the page has missed more than it wants to be
// sent, at the newest message; without a room it only leaves.
func (p *page) open(c *conn, in pageIn) error {
	c.leaveAll()
	c.outside(in.Room == "")
	if in.Room == "" {
		return nil
	}
	id, err := parseRoom(in.Room)
	if err != nil {
		return err
	}
	cursor, err := chat.ParseCursor(in.Cursor)
	if err != nil {
		return err
	}
	asOf := p.sockets.asOf()
	found, err := p.sockets.cfg.Rooms.ByID(p.sockets.ctx, c.user.ID, id)
	if err == nil {
		var behind func(*joined) []byte
		if in.Most > 0 && found.LastSeq-max(cursor.Seq, found.FirstSeq-1) > in.Most {
			// It reads them when somebody scrolls there.
			cursor, err = p.sockets.cfg.Feed.Current(p.sockets.ctx, id, cursor, found.Head())
			cursor.Seq = found.LastSeq
			behind = func(j *joined) []byte { return frame(pageOut{Type: "behind", Room: id.String(), Seq: cursor.Seq}) }
		}
		if err == nil {
			err = c.join(asOf, room{found.ID, found.Slug}, cursor, behind)
		}
	}
	var refused *chat.Error
	switch {
	case errors.As(err, &refused) && refused.Code == chat.NotFound:
		c.answer(ended(id, feed.ErrGone))
	case errors.As(err, &refused) && refused.Code == chat.Banned:
		c.answer(ended(id, errBanned))
	case errors.Is(err, feed.ErrAhead), errors.Is(err, feed.ErrGone):
		c.answer(ended(id, err))
	case err != nil:
		c.end(websocket.CloseTryAgainLater, "the database cannot be reached")
	}
	return nil
}

// post submits a message to any room, the open one or another: what could not be sent there is sent later.
func (p *page) post(c *conn, in pageIn) error {
	id, err := parseRoom(in.Room)
	if err != nil {
		return err
	}
	j := c.at(id)
	if j == nil {
		j = &joined{room: room{ID: id}}
	}
	return c.post(j, in.ID, in.Body, in.ReplyTo, in.Files)
}

// read takes how far the user has read a room.
func (p *page) read(c *conn, in pageIn) error {
	id, err := parseRoom(in.Room)
	if err != nil {
		return err
	}
	return c.markRead(id, in.Seq, in.Back)
}

// unread tells of each room its newest message, how far the user has read, how many messages beyond address them, and the
// stamp by which the page knows that the room looks otherwise; and to a page that lists rooms or members, that those may.
func (p *page) unread(c unread.Changes) []byte {
	rooms := make(map[uuid.UUID][4]int64, len(c.Rooms))
	for id, r := range c.Rooms {
		rooms[id] = [4]int64{r.Last, r.Read, int64(r.Mentions), int64(r.Stamp)}
	}
	return frame(pageOut{Type: "unread", Rooms: rooms, All: c.All, Lists: c.Lists})
}

func parseRoom(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, &chat.Error{Code: chat.Invalid, Field: "room", Message: "The room's id is not a UUID."}
	}
	return id, nil
}

func (p *page) failure(id string, err error) []byte {
	e := known(err)
	return frame(pageOut{Type: "error", ID: id, Code: e.Code, Message: e.Message})
}

func (p *page) acknowledged(j *joined, id string, seq int64) []byte {
	return frame(pageOut{Type: "ack", Room: j.room.ID.String(), ID: id, Seq: seq})
}

// within is the part of the page that a selector finds while it shows this room.
func within(room uuid.UUID, selector string) string {
	return `[data-room="` + room.String() + `"] ` + selector
}

func (p *page) event(j *joined, e *feed.Event) []byte {
	at := j.room.ID
	return e.Encoded("page", func(e *feed.Event) any { //nolint:forcetypeassert // made here
		if e.Signal != nil {
			return frame(pageOut{Type: "group", Room: at.String(), Payload: e.Signal})
		}
		if e.Last > 0 {
			return frame(pageOut{ // which the page's script puts in, some at a time where they come fast
				Type: "messages", Room: at.String(), First: e.First, Last: e.Last, Content: string(p.sockets.cfg.RenderMessages(e.Messages)),
			})
		}
		// A frame for each message, since each has its own place; the last one moves the page's cursor.
		var frames bytes.Buffer
		for i, m := range e.Changes {
			out := pageOut{
				Type: "change", Room: at.String(), Rev: m.Rev, Target: within(at, "#m-"+m.ID.String()), Swap: "outerHTML",
				Content: string(p.sockets.cfg.RenderMessages(e.Changes[i : i+1])),
			}
			frames.Write(frame(out))
		}
		if len(e.Lines) > 0 { // the page's script puts each where it belongs
			frames.Write(frame(pageOut{Type: "lines", Room: at.String(), Lines: string(p.sockets.cfg.RenderLines(e.Lines))}))
		}
		frames.Write(frame(pageOut{Type: "changed", Room: at.String(), Rev: e.RevLast}))
		return frames.Bytes()
	}).([]byte)
}

func (p *page) removed(j *joined, first int64) []byte {
	return frame(pageOut{Type: "removed", Room: j.room.ID.String(), First: first})
}

func (p *page) live(j *joined, at chat.Cursor) []byte {
	return frame(pageOut{Type: "opened", Room: j.room.ID.String(), History: at.History})
}

// online tells the whole list, or, where the same people are there as before, who of them is otherwise now.
func (p *page) online(j *joined, told, now *online) []byte {
	if told == nil {
		return now.page()
	}
	return now.frameSince(told, true, func(told *online) []byte {
		came, went, differ := changed(told.people, now.people)
		if len(came)+len(went) > 0 {
			return now.page()
		}
		if len(differ) == 0 {
			return nil
		}
		return frame(pageOut{Type: "people", Room: j.room.ID.String(), People: shortly(differ)})
	})
}

func pageOnline(room uuid.UUID, html []byte, n int) []byte {
	return frame(pageOut{Type: "presence", Room: room.String(), Online: &n, Target: within(room, "#people"), Swap: "innerHTML", Content: string(html)})
}

// types takes that the user types in the open room; of a room that was left meanwhile nobody needs to know.
func (p *page) types(c *conn, in pageIn) error {
	id, err := parseRoom(in.Room)
	if err != nil {
		return err
	}
	if j := c.at(id); j != nil {
		return c.typing(j)
	}
	return nil
}

func (p *page) typing(j *joined, names []string) []byte {
	return frame(pageOut{Type: "typing", Room: j.room.ID.String(), Typing: &names})
}

func (p *page) ended(c *conn, j *joined, err error) {
	c.answer(ended(j.room.ID, err))
	c.leave(j)
}

// ended tells that a room delivers nothing more: it is gone, or is to be loaded anew.
func ended(room uuid.UUID, err error) []byte {
	out := pageOut{Type: "gone", Room: room.String(), Message: "This room is gone"}
	switch {
	case errors.Is(err, feed.ErrAhead):
		out.Type, out.Message = "reload", ""
	case errors.Is(err, errHidden):
		out.Message = "You are no longer in this room"
	case errors.Is(err, errBanned):
		out.Message = "You are banned from this room"
	}
	return frame(out)
}
