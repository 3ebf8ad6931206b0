package consumer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/unread"
)

// Protocol is the WebSocket subprotocol for programs; docs/protocol.md describes it.
const Protocol = "pgchat.v1"

// v1 is its dialect.
type v1 struct{ sockets *Sockets }

// v1In is what a program may send.
type v1In struct {
	Type  string      `json:"type"`
	Room  string      `json:"room"`
	After string      `json:"after"`
	ID    string      `json:"id"`
	Body  string      `json:"body"`
	Seq   int64       `json:"seq"`
	Back  bool        `json:"back"`
	Emoji string      `json:"emoji"`
	On    *bool       `json:"on"`
	Files []uuid.UUID `json:"files"`

	// Of how the user is.
	Text  string `json:"text"`
	Until string `json:"until"`
	Idle  bool   `json:"idle"`

	ReplyTo int64 `json:"reply_to"`
}

type v1Unread struct {
	Type  string         `json:"type"`
	Rooms []v1UnreadRoom `json:"rooms"`
	All   bool           `json:"all,omitempty"`
}

type v1UnreadRoom struct {
	Room     string `json:"room"`
	Seq      int64  `json:"seq"`
	Read     int64  `json:"read"`
	Mentions int    `json:"mentions"`
}

type v1Joined struct {
	Type   string `json:"type"`
	Room   string `json:"room"`
	Cursor string `json:"cursor"`
	Online int    `json:"online"`

	Here   []string   `json:"here,omitempty"`
	People []v1Person `json:"people,omitempty"`
}

type v1Ack struct {
	Type string `json:"type"`
	Room string `json:"room"`
	ID   string `json:"id"`
	Seq  int64  `json:"seq"`
}

type v1Messages struct {
	Type     string      `json:"type"`
	Room     string      `json:"room"`
	Rev      int64       `json:"rev,omitempty"`
	Messages []v1Message `json:"messages"`
}

type v1Message struct {
	Seq       int64      `json:"seq"`
	ID        uuid.UUID  `json:"id"`
	Author    v1Author   `json:"author"`
	Body      string     `json:"body"`
	CreatedAt time.Time  `json:"created_at"`
	Rev       int64      `json:"rev,omitempty"`
	EditedAt  *time.Time `json:"edited_at,omitempty"`
	DeletedAt *time.Time `json:"deleted_at,omitempty"`

	Reactions []chat.Reaction `json:"reactions,omitempty"`
	Files     []chat.File     `json:"files,omitempty"`
	ReplyTo   int64           `json:"reply_to,omitempty"`
	Thread    int64           `json:"thread,omitempty"`
	Replies   int64           `json:"replies,omitempty"`
	RepliedBy []chat.Replier  `json:"replied_by,omitempty"`
	Pinned    *chat.Pin       `json:"pinned,omitempty"`
}

type v1Author struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

type v1Presence struct {
	Type   string   `json:"type"`
	Room   string   `json:"room"`
	Online int      `json:"online"`
	Joined []string `json:"joined"`
	Left   []string `json:"left"`

	People []v1Person `json:"people,omitempty"`
}

type v1Typing struct {
	Type   string   `json:"type"`
	Room   string   `json:"room"`
	Typing []string `json:"typing"`
}

type v1NewHistory struct {
	Type    string `json:"type"`
	Room    string `json:"room"`
	History string `json:"history"`
}

type v1Removed struct {
	Type  string `json:"type"`
	Room  string `json:"room"`
	First int64  `json:"first"`
}

type v1Group struct {
	Type    string          `json:"type"`
	Room    string          `json:"room"`
	Payload json.RawMessage `json:"payload"`
}

type v1Left struct {
	Type   string `json:"type"`
	Room   string `json:"room"`
	Reason string `json:"reason,omitempty"`
}

type v1Error struct {
	Type    string    `json:"type"`
	Code    chat.Code `json:"code"`
	Message string    `json:"message"`
	Room    string    `json:"room,omitempty"`
	ID      string    `json:"id,omitempty"`
}

func (v *v1) name() string { return Protocol }

func (v *v1) receive(c *conn, data []byte) error {
	var in v1In
	if err := parse(data, &in); err != nil {
		return err
	}
	err := v.handle(c, in)
	if err != nil {
		e := known(err)
		c.answer(frame(v1Error{Type: "error", Code: e.Code, Message: e.Message, Room: in.Room, ID: in.ID}))
	}
	return nil
}

func (v *v1) handle(c *conn, in v1In) error {
	switch in.Type {
	case "join":
		return v.join(c, in)
	case "edit", "delete", "undelete", "react", "pin":
		return v.change(c, in)
	case "watch":
		c.follow()
		return nil
	case "status", "dnd":
		return v.setStatus(c, in)
	case "idle":
		return c.setIdleTo(in.Idle)
	case "read":
		found, err := v.sockets.cfg.Rooms.BySlug(v.sockets.ctx, c.user.ID, in.Room)
		if err != nil {
			return err
		}
		return c.markRead(found.ID, in.Seq, in.Back)
	case "post", "leave", "typing":
		j := c.in(in.Room)
		if j == nil {
			return chat.Errorf(chat.NotJoined, "This connection has not joined the room %q.", in.Room)
		}
		switch in.Type {
		case "post":
			return c.post(j, in.ID, in.Body, in.ReplyTo, in.Files)
		case "typing":
			return c.typing(j)
		}
		c.leave(j)
		c.answer(frame(v1Left{Type: "left", Room: in.Room}))
		return nil
	case "":
		return chat.Errorf(chat.BadFrame, `The frame has no "type".`)
	}
	return chat.Errorf(chat.BadFrame, "There is no frame of type %q; a program sends join, leave, post, edit, delete, undelete, react, pin, typing, watch, read, status, dnd and idle.", in.Type)
}

// change edits, deletes or brings back a message, reacts to it or pins it, in a room that need not be joined.
func (v *v1) change(c *conn, in v1In) error {
	id, err := parseID(in.ID)
	if err != nil {
		return err
	}
	if err := c.mayPost(); err != nil {
		return err
	}
	found, err := v.sockets.cfg.Rooms.BySlug(v.sockets.ctx, c.user.ID, in.Room)
	if err != nil {
		return err
	}
	var seq int64
	switch in.Type {
	case "edit":
		seq, err = v.sockets.cfg.Messages.Edit(v.sockets.ctx, c.user.ID, found.ID, id, in.Body)
	case "react":
		seq, err = v.sockets.cfg.Messages.React(v.sockets.ctx, c.user.ID, found.ID, id, in.Emoji, in.turn())
	case "pin":
		seq, err = v.sockets.cfg.Messages.Pin(v.sockets.ctx, c.user.ID, found.ID, id, in.turn())
	default:
		seq, err = v.sockets.cfg.Messages.Delete(v.sockets.ctx, c.user.ID, found.ID, id, in.Type == "delete")
	}
	if err != nil {
		return err
	}
	c.answer(frame(v1Ack{Type: "ack", Room: in.Room, ID: in.ID, Seq: seq}))
	return nil
}

func (v *v1) join(c *conn, in v1In) error {
	if c.in(in.Room) != nil {
		return chat.Errorf(chat.Invalid, "This connection has joined the room %q already.", in.Room)
	}
	after := feed.Now
	if in.After != "" {
		var err error
		if after, err = chat.ParseCursor(in.After); err != nil {
			return err
		}
	}
	asOf := v.sockets.asOf()
	found, err := v.sockets.cfg.Rooms.BySlug(v.sockets.ctx, c.user.ID, in.Room)
	if err != nil {
		return err
	}
	err = c.join(asOf, room{found.ID, found.Slug}, after, func(j *joined) []byte {
		out := v1Joined{Type: "joined", Room: found.Slug, Cursor: j.sub.Cursor().String()}
		if now, err := v.sockets.online(found.ID, 0); err == nil {
			j.told, out.Online = now, len(now.people)
			_, _, special := changed(nil, now.people)
			out.Here, out.People = v1Names(now.people), v1People(special)
		}
		return frame(out)
	})
	switch {
	case errors.Is(err, feed.ErrAhead):
		return chat.Errorf(chat.CursorAhead, "The cursor %s does not hold any more: the database was set back. Drop what you have of the room and join without after.", in.After)
	case errors.Is(err, feed.ErrGone):
		return chat.Errorf(chat.NotFound, "There is no such room.")
	}
	return err
}

func (v *v1) failure(id string, err error) []byte {
	e := known(err)
	return frame(v1Error{Type: "error", Code: e.Code, Message: e.Message, ID: id})
}

func (v *v1) acknowledged(j *joined, id string, seq int64) []byte {
	return frame(v1Ack{Type: "ack", Room: j.room.Slug, ID: id, Seq: seq})
}

func (v *v1) event(j *joined, e *feed.Event) []byte {
	return e.Encoded("v1 "+j.room.Slug, func(e *feed.Event) any { //nolint:forcetypeassert // made here
		if e.Signal != nil {
			return frame(v1Group{Type: "group", Room: j.room.Slug, Payload: e.Signal})
		}
		if e.Last > 0 && len(e.Messages) == 0 {
			return []byte(nil) // they were removed, which is told by itself
		}
		if e.Last > 0 {
			return frame(v1Messages{Type: "messages", Room: j.room.Slug, Messages: v1List(e.Messages)})
		}
		return v1Changes(j.room.Slug, e)
	}).([]byte)
}

func v1List(messages []chat.Message) []v1Message {
	list := make([]v1Message, len(messages))
	for i, m := range messages {
		extra := m.Attached()
		list[i] = v1Message{
			Seq: m.Seq, ID: m.ID, Author: v1Author{m.AuthorID, m.Author}, Body: m.Body, CreatedAt: m.CreatedAt,
			Rev: m.Rev, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt,
			Reactions: extra.Reactions,
			Files:     extra.Files,
			Pinned:    extra.Pinned,
		}
		list[i].attach(extra)
	}
	return list
}

// attach tells what belongs to the message beyond its text.
func (m *v1Message) attach(x chat.Extra) {
	if x.Reply != nil {
		m.ReplyTo, m.Thread = x.Reply.Seq, x.Reply.Thread
	}
	if x.Thread != nil {
		m.Replies, m.RepliedBy = x.Thread.Count, x.Thread.By
	}
}

func (v *v1) removed(j *joined, first int64) []byte {
	return frame(v1Removed{Type: "removed", Room: j.room.Slug, First: first})
}

func (v *v1) live(j *joined, at chat.Cursor) []byte {
	if j.history == "" {
		return nil // joined has told it
	}
	return frame(v1NewHistory{Type: "history", Room: j.room.Slug, History: at.History})
}

func (v *v1) online(j *joined, told, now *online) []byte {
	if told == now {
		return nil
	}
	if told == nil {
		told = &online{}
	}
	return now.frameSince(told, false, func(told *online) []byte {
		came, went, differ := changed(told.people, now.people)
		if len(came)+len(went)+len(differ) == 0 {
			return nil
		}
		return frame(v1Presence{Type: "presence", Room: j.room.Slug, Online: len(now.people), Joined: came, Left: went, People: v1People(differ)})
	})
}

func (v *v1) unread(c unread.Changes) []byte {
	out := v1Unread{Type: "unread", All: c.All, Rooms: make([]v1UnreadRoom, 0, len(c.Rooms))}
	for _, r := range c.Rooms {
		out.Rooms = append(out.Rooms, v1UnreadRoom{Room: r.Slug, Seq: r.Last, Read: r.Read, Mentions: r.Mentions})
	}
	slices.SortFunc(out.Rooms, func(a, b v1UnreadRoom) int { return strings.Compare(a.Room, b.Room) })
	return frame(out)
}

func (v *v1) typing(j *joined, names []string) []byte {
	return frame(v1Typing{Type: "typing", Room: j.room.Slug, Typing: names})
}

func (v *v1) ended(c *conn, j *joined, err error) {
	reason := "gone"
	switch {
	case errors.Is(err, feed.ErrAhead):
		reason = "set_back"
	case errors.Is(err, errHidden):
		reason = "removed"
	case errors.Is(err, errBanned):
		reason = "banned"
	}
	c.answer(frame(v1Left{Type: "left", Room: j.room.Slug, Reason: reason}))
	c.leave(j)
}
