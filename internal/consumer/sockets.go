package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"golang.org/x/sync/singleflight"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/unread"
)

// Sockets serves all WebSocket connections of an instance.
type Sockets struct {
	cfg      Config
	upgrader websocket.Upgrader
	metrics  metrics

	ctx     context.Context //nolint:containedctx // the life of what connections read, ended by Stop
	stop    context.CancelFunc
	channel string        // in the group of all instances, in which travels whose sessions have ended
	ended   chan struct{} // closed when the goroutine of Start has ended
	soon    chan struct{} // sessions are to be looked at
	missed  *layer.Pace   // looks at all of them
	telling sync.WaitGroup
	toWrite chan *conn   // to a writer that waits
	idle    atomic.Int32 // writers that wait

	readings atomic.Uint64 // of who is online in a room
	people   singleflight.Group
	toRead   chan struct{} // it is to be read how people are

	toAnnounce   chan struct{} // what is announced is to be read
	nextAnnounce *time.Timer   // when an announcement ends; look's

	mu          sync.Mutex
	announced   []chat.Announcement // current ones
	announcedAt time.Time           // when that has changed
	conns       map[*conn]struct{}
	rooms       map[uuid.UUID]*roomOnline
	check       map[uuid.UUID]bool // users whose sessions are to be looked at
	checkAll    bool
	see         map[uuid.UUID]bool // users and rooms of which it is to be looked at who may see what
	seeAll      bool
	sights      uint64                           // how often it was told that somebody may see something else
	looked      map[uuid.UUID]map[*conn]struct{} // who looks at whom
	stale       map[uuid.UUID]struct{}           // of whom it is to be read how they are
	draining    bool
	came        int // connections, ever; and how many when memory was trimmed, and when it was last thought of
	trimmed     int
	cameBefore  int
	empty       *sync.Cond // conns has become empty
}

// Config is what the consumers stand on.
type Config struct {
	Layer    layer.Layer
	Feed     *feed.Feed
	Presence *presence.Presence
	Unread   *unread.Hub
	Writer   *chat.Writer
	Rooms    *chat.Rooms
	Messages *chat.Messages
	Sessions *chat.Sessions
	Tokens   *chat.Tokens
	People   *chat.People

	Announcements *chat.Announcements
	// PostLimit limits what one user posts and changes.
	PostLimit *chat.Limiter[uuid.UUID]
	// RenderMessages, RenderLines and RenderPeople make the HTML that is put into pages.
	RenderMessages func([]chat.Message) []byte
	RenderLines    func([]chat.Line) []byte
	RenderPeople   func([]presence.Person) []byte

	RenderAnnouncements func([]chat.Announcement) []byte
	Log                 *slog.Logger
}

// Proof is what a connection's user was recognised by; it is looked at again from time to time.
type Proof struct {
	Session string // a session's token, or
	Token   string // a personal access token
}

// New makes the consumers of an instance.
func New(cfg Config) *Sockets {
	s := &Sockets{
		cfg: cfg, metrics: newMetrics(), conns: map[*conn]struct{}{}, rooms: map[uuid.UUID]*roomOnline{}, check: map[uuid.UUID]bool{}, see: map[uuid.UUID]bool{},
		looked: map[uuid.UUID]map[*conn]struct{}{}, stale: map[uuid.UUID]struct{}{}, toRead: make(chan struct{}, 1), toAnnounce: make(chan struct{}, 1),
		ended: make(chan struct{}), soon: make(chan struct{}, 1), toWrite: make(chan *conn),
		upgrader: websocket.Upgrader{
			ReadBufferSize: bufferLength, WriteBufferSize: bufferLength, WriteBufferPool: &sync.Pool{},
			HandshakeTimeout: 10 * time.Second,
			CheckOrigin:      func(*http.Request) bool { return true }, // the server has, for all routes alike
			Error:            func(http.ResponseWriter, *http.Request, int, error) {},
		},
	}
	s.empty = sync.NewCond(&s.mu)
	s.missed = layer.NewPace(missEvery, s.checkAllSoon)
	return s
}

// Start begins to look after sessions that end and to ping. The layer was started before.
func (s *Sockets) Start(ctx context.Context) error {
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.channel = s.cfg.Layer.Open(s)
	s.announceSoon()
	go s.look()
	s.telling.Go(s.readPeople)
	return s.cfg.Layer.GroupAdd(ctx, unread.Group, s.channel)
}

// Stop ends what Start began; Drain ends the connections.
func (s *Sockets) Stop(context.Context) error {
	if s.stop == nil {
		return nil
	}
	s.cfg.Layer.Close(s.channel)
	s.mu.Lock() // nothing more is told
	s.stop()
	s.mu.Unlock()
	<-s.ended
	s.telling.Wait()
	return nil
}

// ServePage upgrades the request of a page.
func (s *Sockets) ServePage(w http.ResponseWriter, r *http.Request, user chat.User, proof Proof) {
	s.serve(w, r, &s.upgrader, &page{sockets: s}, user, proof, firstWithin)
}

// ServeProgram upgrades the request of a program that speaks pgchat.v1.
func (s *Sockets) ServeProgram(w http.ResponseWriter, r *http.Request, user chat.User, proof Proof) {
	if !slices.Contains(websocket.Subprotocols(r), Protocol) {
		http.Error(w, "This address is for WebSocket connections of subprotocol "+Protocol+".", http.StatusBadRequest)
		return
	}
	upgrader := s.upgrader
	upgrader.Subprotocols = []string{Protocol}
	s.serve(w, r, &upgrader, &v1{sockets: s}, user, proof, silentFor)
}

// serve upgrades, and returns while the connection goes on.
func (s *Sockets) serve(w http.ResponseWriter, r *http.Request, upgrader *websocket.Upgrader, d dialect, user chat.User, proof Proof, first time.Duration) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		if errors.As(err, new(websocket.HandshakeError)) { // else the client has gone
			http.Error(w, "This address is for WebSocket connections: "+err.Error(), http.StatusBadRequest)
		}
		return
	}
	c := &conn{sockets: s, dialect: d, ws: ws, raw: ws.NetConn(), user: user, proof: proof}
	s.mu.Lock()
	draining := s.draining
	s.conns[c] = struct{}{}
	s.came++
	if len(s.announced) > 0 || time.Since(s.announcedAt) < time.Minute { // the page may have been made before
		c.answer(d.announced(s.announced))
	}
	s.mu.Unlock()
	s.metrics.opened.WithLabelValues(d.name()).Inc()
	if draining {
		c.end(websocket.CloseServiceRestart, "the server is stopping")
	}
	go c.read(first)
}

// enter counts a connection into a room.
func (s *Sockets) enter(c *conn, j *joined) {
	s.mu.Lock()
	r := s.rooms[j.room.ID]
	if r == nil {
		r = &roomOnline{}
		s.rooms[j.room.ID] = r
	}
	r.connections++
	s.mu.Unlock()
	s.cfg.Presence.Join(j.room.ID, c.user.ID)
	c.setIdle(j)
}

// leave counts it out again.
func (s *Sockets) leave(c *conn, j *joined) {
	j.sub.Close()
	s.leavePresence(c, j)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[j.room.ID]
	if r.connections--; r.connections == 0 {
		delete(s.rooms, j.room.ID)
	}
}

func (s *Sockets) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.lookLocked(c, nil)
	if len(s.conns) == 0 {
		s.empty.Broadcast()
	}
}

// Connections returns how many are open.
func (s *Sockets) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Sockets) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Drain closes all connections with 1012, spread over the time given so that those who come back do not come at once,
// and returns when all have ended or ctx has.
func (s *Sockets) Drain(ctx context.Context, over time.Duration) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	conns := s.all()
	for i, c := range conns {
		if i > 0 {
			select {
			case <-time.After(over / time.Duration(len(conns))):
			case <-ctx.Done():
			}
		}
		c.end(websocket.CloseServiceRestart, "the server restarts")
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.empty.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 && ctx.Err() == nil {
		s.empty.Wait()
	}
	if n := len(s.conns); n > 0 {
		return fmt.Errorf("%d connections did not end: %w", n, ctx.Err())
	}
	return nil
}
