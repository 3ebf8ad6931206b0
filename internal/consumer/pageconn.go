package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

const (
	maxFrame      = 64 << 10         // bytes that a frame may have
	maxInFlight   = 64               // posts of one connection that wait for their answer
	resumeWithin  = 10 * time.Second // for the first frame
	writeWithin   = 10 * time.Second // for a frame to leave
	pingEvery     = 25 * time.Second
	silentFor     = 65 * time.Second // without a frame or a pong for so long, the client is gone
	postsASecond  = 10
	postsAtOnce   = 30
	readAgainLast = 2 * time.Second
)

type closeFrame struct {
	code   int
	reason string
}

// pageConn is one room page's connection.
type pageConn struct {
	pages  *Pages
	ws     *websocket.Conn
	user   chat.User
	token  string
	room   chat.Room
	cancel context.CancelFunc

	answers chan *websocket.PreparedMessage // to this connection alone
	closing chan closeFrame
}

// serve is the reader: connect, receive until the end, disconnect.
func (c *pageConn) serve(ctx context.Context) error {
	c.ws.SetReadLimit(maxFrame)
	cursor, err := c.resume()
	if err != nil {
		c.writeClose(closeFrame{websocket.ClosePolicyViolation, "the first frame must be a resume"})
		return err
	}
	sub, err := c.pages.cfg.Feed.Subscribe(ctx, c.room.ID, cursor)
	switch {
	case errors.Is(err, feed.ErrAhead):
		c.write(frame(outbound{Type: "reload"}))
		c.writeClose(closeFrame{websocket.CloseNormalClosure, "load the page anew"})
		return err
	case errors.Is(err, feed.ErrGone):
		c.writeClose(closeFrame{CloseRoomGone, "the room is gone"})
		return err
	case err != nil:
		c.writeClose(closeFrame{websocket.CloseTryAgainLater, "the database cannot be reached"})
		return err
	}
	defer sub.Close()
	c.pages.cfg.Presence.Join(c.room.ID, c.user.ID)
	defer c.pages.cfg.Presence.Leave(c.room.ID, c.user.ID)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writeLoop(ctx, sub)
	}()
	defer func() { <-written }()
	defer c.cancel()
	return c.readLoop()
}

// resume reads the first frame, which says what the page has.
func (c *pageConn) resume() (chat.Cursor, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(resumeWithin))
	_, data, err := c.ws.ReadMessage()
	if err != nil {
		return chat.Cursor{}, fmt.Errorf("read the first frame: %w", err)
	}
	in, err := parse(data)
	if err == nil && in.Type != "resume" {
		err = chat.Errorf(chat.BadFrame, "The first frame must be a resume.")
	}
	var cursor chat.Cursor
	if err == nil {
		cursor, err = chat.ParseCursor(in.Cursor)
	}
	if err != nil {
		c.write(failure("", err))
	}
	return cursor, err
}

func (c *pageConn) readLoop() error {
	alive := func() { _ = c.ws.SetReadDeadline(time.Now().Add(silentFor)) }
	c.ws.SetPongHandler(func(string) error { alive(); return nil })
	limit := rate.NewLimiter(postsASecond, postsAtOnce)
	inFlight := make(chan struct{}, maxInFlight)
	for {
		alive()
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		var in inbound
		if kind != websocket.TextMessage {
			err = chat.Errorf(chat.BadFrame, "Frames are text, JSON in UTF-8.")
		} else {
			in, err = parse(data)
		}
		if err == nil && in.Type == "resume" {
			err = chat.Errorf(chat.BadFrame, "This connection has been resumed before.")
		}
		if err == nil && !limit.Allow() {
			err = chat.Errorf(chat.RateLimited, "You are sending too fast. Wait a few seconds and send it again.")
		}
		if err == nil {
			err = c.post(in, inFlight)
		}
		if err != nil {
			c.answer(failure(in.ID, err))
		}
	}
}

// post submits a message; its ack or error follows.
func (c *pageConn) post(in inbound, inFlight chan struct{}) error {
	id, err := parseID(in.ID)
	if err != nil {
		return err
	}
	body, err := chat.CheckBody(in.Body)
	if err != nil {
		return err
	}
	select {
	case inFlight <- struct{}{}:
	default:
		return chat.Errorf(chat.Busy, "Too many messages wait to be stored. Send it again in a moment.")
	}
	c.pages.cfg.Writer.Submit(chat.Post{RoomID: c.room.ID, ID: id, AuthorID: c.user.ID, Body: body}, func(seq int64, err error) {
		if err == nil {
			c.answer(frame(outbound{Type: "ack", ID: in.ID, Seq: seq}))
		} else {
			var known *chat.Error
			if !errors.As(err, &known) {
				c.pages.cfg.Log.Error("a message could not be stored", "room", c.room.Slug, "error", err)
			}
			c.answer(failure(in.ID, err))
		}
		<-inFlight
	})
	return nil
}

// answer queues a frame for this connection alone; it never blocks. A client that does not take its answers is closed,
// and sends again what it has no answer to.
func (c *pageConn) answer(m *websocket.PreparedMessage) {
	select {
	case c.answers <- m:
	default:
		c.end(closeFrame{websocket.CloseTryAgainLater, "answers are not taken"})
	}
}

// end makes the writer close the connection.
func (c *pageConn) end(f closeFrame) {
	select {
	case c.closing <- f:
	default:
	}
}

// writeLoop is the writer: it ends with the connection closed.
func (c *pageConn) writeLoop(ctx context.Context, sub *feed.Subscription) {
	defer func() { _ = c.ws.Close() }()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	state := writerState{}
	for {
		ok := true
		select {
		case <-ctx.Done():
			return
		case f := <-c.closing:
			c.writeClose(f)
			return
		case m := <-c.answers:
			ok = c.write(m)
		case <-sub.Ready():
			ok = c.update(ctx, sub, &state)
		case <-ping.C:
			ok = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin)) == nil
		}
		if !ok {
			return
		}
	}
}

type writerState struct {
	resumed  bool
	told     bool   // who is online has been told
	presence uint64 // at this state
	again    time.Duration
}

// update sends what the feed has; it reports false when the connection is to end.
func (c *pageConn) update(ctx context.Context, sub *feed.Subscription, s *writerState) bool {
	u, err := sub.Next(ctx)
	switch {
	case errors.Is(err, feed.ErrAhead):
		c.write(frame(outbound{Type: "reload"}))
		c.writeClose(closeFrame{websocket.CloseNormalClosure, "load the page anew"})
		return false
	case errors.Is(err, feed.ErrGone):
		c.writeClose(closeFrame{CloseRoomGone, "the room is gone"})
		return false
	case err != nil:
		return c.pause(ctx, s)
	}
	s.again = 0
	for _, e := range u.Events {
		if !c.write(c.pages.messages(e)) {
			return false
		}
	}
	if !u.Live {
		return true
	}
	if !s.resumed {
		s.resumed = true
		if !c.write(frame(outbound{Type: "resumed", Cursor: u.Cursor.String()})) {
			return false
		}
	}
	if !s.told || s.presence != u.Presence {
		m, err := c.pages.online(ctx, c.room.ID, u.Presence)
		if err != nil {
			sub.Again()
			return c.pause(ctx, s)
		}
		s.told, s.presence = true, u.Presence
		return c.write(m)
	}
	return true
}

// pause waits a little before the database is asked again; longer each time.
func (c *pageConn) pause(ctx context.Context, s *writerState) bool {
	s.again = min(max(2*s.again, 50*time.Millisecond), readAgainLast)
	select {
	case <-time.After(s.again):
		return true
	case <-ctx.Done():
		return false
	}
}

// write sends a frame; it reports false when the connection has ended or does not take it in time.
func (c *pageConn) write(m *websocket.PreparedMessage) bool {
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeWithin))
	err := c.ws.WritePreparedMessage(m)
	return err == nil
}

func (c *pageConn) writeClose(f closeFrame) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(f.code, f.reason), time.Now().Add(time.Second))
}
