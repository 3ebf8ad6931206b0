package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"golang.org/x/sync/singleflight"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/presence"
)

// Pages serves the WebSocket of the room page.
type Pages struct {
	cfg      PagesConfig
	upgrader websocket.Upgrader
	people   singleflight.Group

	channel   string // in the group of all instances
	stop      context.CancelFunc
	checked   chan struct{} // closed when checkSessions has ended
	checkSoon chan struct{}

	mu       sync.Mutex
	conns    map[*pageConn]struct{}
	check    map[uuid.UUID]bool // users whose sessions are to be looked at
	checkAll bool
	draining bool
	empty    *sync.Cond // conns has become empty
}

// PagesConfig is what the room page's consumers stand on.
type PagesConfig struct {
	Layer    layer.Layer
	Feed     *feed.Feed
	Presence *presence.Presence
	Writer   *chat.Writer
	Sessions *chat.Sessions
	// RenderMessages and RenderPeople make the HTML that is swapped in.
	RenderMessages func([]chat.Message) []byte
	RenderPeople   func([]presence.Person) []byte
	Log            *slog.Logger
}

// NewPages makes the consumers of the room page.
func NewPages(cfg PagesConfig) *Pages {
	p := &Pages{
		cfg: cfg, conns: map[*pageConn]struct{}{}, check: map[uuid.UUID]bool{},
		checked: make(chan struct{}), checkSoon: make(chan struct{}, 1),
		upgrader: websocket.Upgrader{
			ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{},
			HandshakeTimeout: 10 * time.Second,
			CheckOrigin:      func(*http.Request) bool { return true }, // the server has, for all routes alike
			Error:            func(http.ResponseWriter, *http.Request, int, error) {},
		},
	}
	p.empty = sync.NewCond(&p.mu)
	return p
}

// Start begins to look after sessions that end. The layer was started before.
func (p *Pages) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.channel = p.cfg.Layer.Open(p)
	go p.checkSessions(run)
	return p.cfg.Layer.GroupAdd(ctx, Activity, p.channel)
}

// Stop ends what Start began; Drain ends the connections.
func (p *Pages) Stop(context.Context) error {
	if p.stop == nil {
		return nil
	}
	p.cfg.Layer.Close(p.channel)
	p.stop()
	<-p.checked
	return nil
}

// Serve upgrades the request and serves the connection until it ends. Whether the user may see the room was settled
// before. A session that ends closes the connection: at once when it is deleted, within
// a minute when it expires.
func (p *Pages) Serve(w http.ResponseWriter, r *http.Request, user chat.User, token string, room chat.Room) {
	ws, err := p.upgrader.Upgrade(w, r, nil)
	if err != nil {
		if !errors.As(err, new(websocket.HandshakeError)) {
			return // the client has gone
		}
		http.Error(w, "This address is for WebSocket connections: "+err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c := &pageConn{
		pages: p, ws: ws, user: user, token: token, room: room, cancel: cancel,
		answers: make(chan *websocket.PreparedMessage, maxInFlight+16), closing: make(chan closeFrame, 1),
	}
	defer func() { _ = ws.Close() }()
	if !p.add(c) {
		c.writeClose(closeFrame{websocket.CloseServiceRestart, "the server is stopping"})
		return
	}
	defer p.remove(c)
	if err := c.serve(ctx); err != nil {
		p.cfg.Log.Debug("a connection has ended", "user", user.Name, "room", room.Slug, "error", err)
	}
}

// Connections returns how many are open.
func (p *Pages) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Drain closes all connections with 1012, spread over the time given so that those who come back do not come at once,
// and returns when all have ended or ctx has.
func (p *Pages) Drain(ctx context.Context, over time.Duration) error {
	p.mu.Lock()
	p.draining = true
	conns := make([]*pageConn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for i, c := range conns {
		if i > 0 {
			select {
			case <-time.After(over / time.Duration(len(conns))):
			case <-ctx.Done():
			}
		}
		c.end(closeFrame{websocket.CloseServiceRestart, "the server restarts"})
	}
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.empty.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.conns) > 0 && ctx.Err() == nil {
		p.empty.Wait()
	}
	if n := len(p.conns); n > 0 {
		return fmt.Errorf("%d connections did not end: %w", n, ctx.Err())
	}
	return nil
}

func (p *Pages) add(c *pageConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Pages) remove(c *pageConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	if len(p.conns) == 0 {
		p.empty.Broadcast()
	}
}

// messages is the frame of an event, made once for all connections.
func (p *Pages) messages(e *feed.Event) *websocket.PreparedMessage {
	return e.Encoded("page", func(e *feed.Event) any { //nolint:forcetypeassert // made here
		return frame(outbound{
			Type: "messages", First: e.First, Last: e.Last, Cursor: e.Cursor.String(),
			Target: "#messages", Swap: "beforeend", Content: string(p.cfg.RenderMessages(e.Messages)),
		})
	}).(*websocket.PreparedMessage)
}

// online is the frame of who is online, read and made once for all connections that want the same state at the
// same time.
func (p *Pages) online(ctx context.Context, roomID uuid.UUID, state uint64) (*websocket.PreparedMessage, error) {
	got, err, _ := p.people.Do(fmt.Sprintf("%s %d", roomID, state), func() (any, error) {
		people, err := p.cfg.Presence.Online(ctx, roomID)
		if err != nil {
			return nil, err
		}
		n := len(people)
		return frame(outbound{
			Type: "presence", Online: &n,
			Target: "#people", Swap: "innerHTML", Content: string(p.cfg.RenderPeople(people)),
		}), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*websocket.PreparedMessage), nil //nolint:forcetypeassert // made above
}
