package consumer

import (
	"bytes"
	"errors"

	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

// page is the dialect of the room page: HTML in htmx's envelopes, and frames for the page's own script. Its connection is
// in one room, from its first frame on, which says what the page has.
type page struct {
	sockets *Sockets
	room    room
}

// pageIn is what a page may send.
type pageIn struct {
	Type   string `json:"type"`
	Cursor string `json:"cursor"`
	ID     string `json:"id"`
	Body   string `json:"body"`
}

// pageOut is what a page is sent. With Content htmx swaps it into Target; without, it is for the page's script.
type pageOut struct {
	Type    string    `json:"type"`
	ID      string    `json:"id,omitempty"`
	Seq     int64     `json:"seq,omitempty"`
	First   int64     `json:"first,omitempty"`
	Last    int64     `json:"last,omitempty"`
	Rev     int64     `json:"rev,omitempty"`
	Cursor  string    `json:"cursor,omitempty"`
	Online  *int      `json:"online,omitempty"`
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
	j := c.in(p.room.Slug)
	switch {
	case in.Type == "resume" && j == nil:
		return p.resume(c, in.Cursor)
	case in.Type == "resume":
		return chat.Errorf(chat.BadFrame, "This connection has been resumed before.")
	case in.Type == "post" && j == nil:
		c.end(websocket.ClosePolicyViolation, "the first frame must be a resume")
		return chat.Errorf(chat.BadFrame, "The first frame must be a resume.")
	case in.Type == "post":
		if err := c.post(j, in.ID, in.Body); err != nil {
			c.answer(p.failure(in.ID, err))
		}
		return nil
	case in.Type == "":
		return chat.Errorf(chat.BadFrame, `The frame has no "type".`)
	}
	return chat.Errorf(chat.BadFrame, "There is no frame of type %q; a page sends resume and post.", in.Type)
}

func (p *page) resume(c *conn, text string) error {
	cursor, err := chat.ParseCursor(text)
	if err != nil {
		c.end(websocket.ClosePolicyViolation, "the cursor cannot be read")
		return err
	}
	err = c.join(p.room, cursor, nil)
	switch {
	case errors.Is(err, feed.ErrAhead), errors.Is(err, feed.ErrGone):
		p.ended(c, nil, err)
		return nil
	case err != nil:
		c.end(websocket.CloseTryAgainLater, "the database cannot be reached")
	}
	return nil
}

func (p *page) failure(id string, err error) []byte {
	e := known(err)
	return frame(pageOut{Type: "error", ID: id, Code: e.Code, Message: e.Message})
}

func (p *page) acknowledged(_ *joined, id string, seq int64) []byte {
	return frame(pageOut{Type: "ack", ID: id, Seq: seq})
}

func (p *page) event(_ *joined, e *feed.Event) []byte {
	return e.Encoded("page", func(e *feed.Event) any { //nolint:forcetypeassert // made here
		if e.Last > 0 {
			return frame(pageOut{
				Type: "messages", First: e.First, Last: e.Last,
				Target: "#messages", Swap: "beforeend", Content: string(p.sockets.cfg.RenderMessages(e.Messages)),
			})
		}
		// A frame for each message, since each has its own place; the last one moves the page's cursor.
		var frames bytes.Buffer
		for i, m := range e.Changes {
			out := pageOut{
				Type: "change", Rev: m.Rev, Target: "#m-" + m.ID.String(), Swap: "outerHTML",
				Content: string(p.sockets.cfg.RenderMessages(e.Changes[i : i+1])),
			}
			frames.Write(frame(out))
		}
		frames.Write(frame(pageOut{Type: "changed", Rev: e.RevLast}))
		return frames.Bytes()
	}).([]byte)
}

func (p *page) live(_ *joined, at chat.Cursor) []byte {
	return frame(pageOut{Type: "resumed", Cursor: at.String()})
}

func (p *page) online(_ *joined, _, now *online) []byte { return now.page() }

func pageOnline(html []byte, n int) []byte {
	return frame(pageOut{Type: "presence", Online: &n, Target: "#people", Swap: "innerHTML", Content: string(html)})
}

// typing is told to programs alone, for now.
func (p *page) typing(*joined, []string) []byte { return nil }

func (p *page) ended(c *conn, _ *joined, err error) {
	if errors.Is(err, feed.ErrAhead) {
		c.answer(frame(pageOut{Type: "reload"}))
		c.end(websocket.CloseNormalClosure, "load the page anew")
		return
	}
	c.end(CloseRoomGone, "the room is gone")
}
