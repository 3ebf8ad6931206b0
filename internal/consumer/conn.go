package consumer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/unread"
)

const (
	maxFrame     = 64 << 10         // bytes that a frame may have
	maxInFlight  = 64               // posts of one connection that wait for their answer
	maxAnswers   = 4 * maxInFlight  // frames for one connection alone that wait to be written
	maxRooms     = 200              // that one connection may have joined
	firstWithin  = 10 * time.Second // for a page's first frame
	writeWithin  = 10 * time.Second // for a frame to leave
	closeWithin  = 3 * time.Second  // for the client to answer that the connection closes
	pingEvery    = 25 * time.Second
	silentFor    = 65 * time.Second // without a frame or a pong for so long, the client is gone
	slack        = 5 * time.Second  // deadlines are moved once they have lost so much: moving them costs
	firstRetry   = 50 * time.Millisecond
	lastRetry    = 2 * time.Second
	bufferLength = 256
)

// Errors that end a joined room.
var (
	errHidden = errors.New("the user may not see the room any more")
	errBanned = errors.New("the user is banned from the room")
)

// dialect is what differs between the kinds of connection. Its methods are called by the connection's goroutines.
type dialect interface {
	name() string
	// receive handles a frame of the client; an error is told to it.
	receive(c *conn, data []byte) error
	// failure tells the client that a frame, or the post with this id, was refused.
	failure(id string, err error) []byte
	// acknowledged tells that a post is stored.
	acknowledged(j *joined, id string, seq int64) []byte
	// event is what the room has; made once for all connections that take the same event.
	event(j *joined, e *feed.Event) []byte
	// removed tells that the room keeps messages from this one on.
	removed(j *joined, first int64) []byte
	// live tells that the room's past has been sent, and again where another history of the database has begun and nothing was lost; it may be nil.
	live(j *joined, at chat.Cursor) []byte
	// online tells who is there; told is what the client knew before, nil at first.
	online(j *joined, told, now *online) []byte
	// unread tells what has moved in the user's rooms.
	unread(c unread.Changes) []byte
	// typing tells who is typing.
	typing(j *joined, names []string) []byte
	// announced tells all that is announced.
	announced(list []chat.Announcement) []byte
	// ended tells that the room delivers nothing more.
	ended(c *conn, j *joined, err error)
}

// conn is one connection.
type conn struct {
	sockets *Sockets
	dialect dialect
	ws      *websocket.Conn // to read from
	raw     net.Conn        // to write whole frames to; each Write is one, so that those of gorilla's pongs do not mix with them
	user    chat.User
	proof   Proof
	readBy  time.Time // the reader's

	typingLimit *rate.Limiter // the reader's; nil: nothing was typed
	idleLimit   *rate.Limiter // the reader's; nil: the client has not said whether somebody is there
	nowhere     *joined       // the reader's; no room, in which a page is that shows none
	looksAt     []uuid.UUID   // under sockets.mu

	mu       sync.Mutex
	rooms    []*joined
	woken    []*joined                     // rooms that may have something
	watch    *unread.Watch                 // nil: the client did not ask what moves in the user's rooms
	stirred  bool                          // something may have
	answers  [][]byte                      // to this connection alone
	inFlight int                           // posts that wait for their answer
	idle     bool                          // nobody uses the client
	people   map[uuid.UUID]presence.Person // whom the client looks at, as it knows them
	news     map[uuid.UUID]struct{}        // of whom it does not know yet how they are
	ping     bool
	closing  *closeFrame
	writing  bool      // a writer runs
	ended    bool      // nothing more is written
	writeBy  time.Time // the writer's
}

// read is the reader: connect, receive until the end, disconnect.
func (c *conn) read(first time.Duration) {
	defer c.disconnect()
	c.ws.SetReadLimit(maxFrame)
	c.ws.SetPongHandler(func(string) error { c.heard(); return nil })
	c.alive(first)
	for {
		kind, frame, err := c.ws.NextReader()
		if err != nil {
			c.drain(err)
			return
		}
		if !c.heard() {
			continue // what came after the close frame is not looked at
		}
		data := buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // only buffers are in it
		data.Reset()
		if _, err = data.ReadFrom(frame); err != nil {
			c.drain(err)
			return
		}
		if kind == websocket.TextMessage {
			err = c.dialect.receive(c, data.Bytes())
		} else {
			err = chat.Errorf(chat.BadFrame, "Frames are text, JSON in UTF-8.")
		}
		if data.Cap() <= 8<<10 {
			buffers.Put(data)
		}
		if err != nil {
			c.answer(c.dialect.failure("", err))
		}
	}
}

// drain takes the rest of a frame that is too large, so that the client sees the close code that it was sent.
func (c *conn) drain(err error) {
	if errors.Is(err, websocket.ErrReadLimit) {
		_ = c.raw.SetReadDeadline(time.Now().Add(closeWithin))
		_, _ = io.Copy(io.Discard, c.raw)
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (c *conn) alive(within time.Duration) {
	if by := time.Now().Add(within); within != silentFor || by.Sub(c.readBy) > slack {
		c.readBy = by
		_ = c.ws.SetReadDeadline(by)
	}
}

// heard notes that the client is there; it reports false when the connection has been told to close, and leaves closeWithin.
func (c *conn) heard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.alive(silentFor)
	}
	return !c.ended
}

func (c *conn) disconnect() {
	c.mu.Lock()
	c.ended = true
	rooms, watch := c.rooms, c.watch
	c.rooms, c.woken, c.answers, c.watch = nil, nil, nil, nil
	c.mu.Unlock()
	if watch != nil {
		watch.Close()
	}
	_ = c.raw.Close()
	for _, j := range rooms {
		c.sockets.leave(c, j)
	}
	c.outside(false)
	c.sockets.remove(c)
}

// mayPost counts one more of what the user posts or changes.
func (c *conn) mayPost() error {
	_, err := c.sockets.cfg.PostLimit.Allow(c.user.ID)
	return err
}

// post submits a message; its ack or error follows. A returned error is about the frame, and no message was submitted.
func (c *conn) post(j *joined, idText, body string, replyTo int64, files []uuid.UUID) error {
	id, err := parseID(idText)
	if err != nil {
		return err
	}
	if err := c.mayPost(); err != nil {
		return err
	}
	p, err := chat.CheckPost(chat.Post{RoomID: j.room.ID, ID: id, AuthorID: c.user.ID, Body: body, ReplyTo: replyTo, Files: files})
	if err != nil {
		return err
	}
	if replyTo < 0 {
		return &chat.Error{Code: chat.Invalid, Field: "reply_to", Message: "reply_to is the seq of the message that is answered."}
	}
	if j.typing {
		j.typing = false
		c.sockets.typedOut(j.room.ID, c.user.Name)
	}
	c.mu.Lock()
	full := c.inFlight >= maxInFlight
	if !full {
		c.inFlight++
	}
	c.mu.Unlock()
	if full {
		return chat.Errorf(chat.Busy, "Too many messages wait to be stored. Send it again in a moment.")
	}
	c.sockets.cfg.Writer.Submit(p, func(seq int64, err error) {
		c.mu.Lock()
		c.inFlight--
		c.mu.Unlock()
		if err == nil {
			c.answer(c.dialect.acknowledged(j, idText, seq))
			return
		}
		if !errors.As(err, new(*chat.Error)) {
			c.sockets.cfg.Log.Error("a message could not be stored", "room", j.room.ID, "error", err)
		}
		c.answer(c.dialect.failure(idText, err))
	})
	return nil
}

// markRead takes how far the user has read a room; with back also where they had read further.
func (c *conn) markRead(roomID uuid.UUID, seq int64, back bool) error {
	if seq < 0 {
		return &chat.Error{Code: chat.Invalid, Field: "seq", Message: "seq is the number of a message, or 0: nothing is read."}
	}
	c.sockets.cfg.Unread.Read(chat.Mark{RoomID: roomID, UserID: c.user.ID, Seq: seq, Back: back})
	return nil
}

// answer queues a frame for this connection alone; it never blocks. A client that does not take its answers is closed,
// and sends again what it has no answer to.
func (c *conn) answer(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if len(c.answers) >= maxAnswers {
		c.endLocked(closeFrame{websocket.CloseTryAgainLater, "answers are not taken"})
		return
	}
	c.answers = append(c.answers, frame)
	c.startLocked()
}

// wake makes the writer look at the room. The feed may call it while join is under way, which looks at its end itself.
func (c *conn) wake(j *joined) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j.entered && !j.woken && !c.ended {
		j.woken = true
		c.woken = append(c.woken, j)
		c.startLocked()
	}
}

// follow has the client told what moves in the user's rooms. It is the reader's.
func (c *conn) follow() {
	if c.watch != nil {
		return
	}
	w := c.sockets.cfg.Unread.Watch(c.user.ID, c.stir)
	c.mu.Lock()
	c.watch = w
	c.mu.Unlock()
	c.stir()
}

func (c *conn) stir() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.stirred {
		c.stirred = true
		c.startLocked()
	}
}

// end makes the writer close the connection.
func (c *conn) end(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(closeFrame{code, reason})
}

func (c *conn) endLocked(f closeFrame) {
	if c.closing == nil && !c.ended {
		c.closing = &f
		c.startLocked()
	}
}

func (c *conn) sendPing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ping = true
		c.startLocked()
	}
}
