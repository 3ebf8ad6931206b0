// Package server is the chat's HTTP side: routes, middleware, one file for each page, and the one place where errors
// become responses.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
	"github.com/pgchat/pgchat/internal/presence"
)

// Config is what the server stands on.
type Config struct {
	People   *chat.People
	Sessions *chat.Sessions
	Tokens   *chat.Tokens
	Rooms    *chat.Rooms
	Messages *chat.Messages
	Reads    *chat.Reads
	Files    *chat.Files
	Search   *chat.Search
	Writer   *chat.Writer
	Presence *presence.Presence
	Sockets  *consumer.Sockets
	// PostLimit limits what one user posts and changes; Sockets has the same one.
	PostLimit *chat.Limiter[uuid.UUID]
	Pages     *page.Pages
	// Checks are what /readyz asks, by name.
	Checks map[string]func(context.Context) error
	// TrustProxy takes the client's address, scheme and request id from the headers that a proxy sets.
	TrustProxy bool
	Log        *slog.Logger
}

// Server serves the chat.
type Server struct {
	Config
	http     *http.Server
	tries    *chat.Limiter[string] // of passwords and new accounts, by address
	draining atomic.Bool
	served   chan error
}

// New makes a server.
func New(cfg Config) *Server {
	s := &Server{Config: cfg, tries: chat.NewLimiter[string](1/triesEvery.Seconds(), triesAtOnce, "Too many tries. Wait a minute and try again."), served: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Start serves on the listener. Done tells when serving has ended by itself.
func (s *Server) Start(l net.Listener) {
	go func() {
		err := s.http.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.served <- err
	}()
}

// Done receives the error that ended serving.
func (s *Server) Done() <-chan error { return s.served }

// Stop turns /readyz off, closes the WebSockets spread over drain, and lets requests end.
func (s *Server) Stop(ctx context.Context, drain time.Duration) error {
	s.draining.Store(true)
	err := s.Sockets.Drain(ctx, drain)
	if shutdown := s.http.Shutdown(ctx); shutdown != nil {
		err = errors.Join(err, fmt.Errorf("end requests: %w", shutdown))
	}
	return err
}

// Handler returns all routes with their middleware.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h handler) { mux.Handle(pattern, s.handle(h)) }
	route("GET /{$}", s.home)
	route("GET /sign-in", s.signInForm)
	route("POST /sign-in", s.signIn)
	route("GET /sign-up", s.signUpForm)
	route("POST /sign-up", s.signUp)
	route("POST /sign-out", s.signOut)
	route("GET /rooms", s.signedIn(s.roomList))
	route("GET /rooms/new", s.signedIn(s.newRoomForm))
	route("POST /rooms", s.signedIn(s.newRoom))
	route("GET /rooms/{slug}", s.signedIn(s.room))
	route("GET /rooms/{slug}/messages", s.messages)
	route("GET /rooms/{slug}/complete", s.signedIn(s.complete))
	route("POST /rooms/{slug}/messages", s.signedIn(s.post))
	route("POST /rooms/{slug}/messages/{id}/edit", s.signedIn(s.change(s.edit)))
	route("POST /rooms/{slug}/messages/{id}/delete", s.signedIn(s.change(s.deleteMessage(true))))
	route("POST /rooms/{slug}/messages/{id}/undelete", s.signedIn(s.change(s.deleteMessage(false))))
	route("GET /rooms/{slug}/messages/{id}/reactions", s.reactions)
	route("POST /rooms/{slug}/messages/{id}/reactions", s.signedIn(s.react))
	route("POST /rooms/{slug}/reactions", s.signedIn(s.reactByForm))
	route("POST /rooms/{slug}/files", s.upload)
	route("GET /files/{id}/{name}", s.file)
	route("GET /thumbnails/{id}", s.thumbnail)
	route("POST /files/{id}/discard", s.discard)
	route("POST /rooms/{slug}/messages/{id}/pin", s.signedIn(s.pin))
	route("GET /rooms/{slug}/pins", s.pins)
	route("POST /rooms/{slug}/join", s.signedIn(s.join))
	route("GET /rooms/{slug}/settings", s.signedIn(s.settings))
	route("POST /rooms/{slug}/settings", s.inRoom(s.updateRoom, s.tellRoom))
	route("POST /rooms/{slug}/retention", s.inRoom(s.keepMessages, s.tellRoom))
	route("POST /rooms/{slug}/archive", s.inRoom(s.archiveRoom, s.tellRoom))
	route("POST /rooms/{slug}/leave", s.inRoom(s.leaveRoom, s.tellLeft))
	route("GET /rooms/{slug}/members", s.signedIn(s.members))
	route("POST /rooms/{slug}/members", s.inRoom(s.invite, s.tellMembers))
	route("POST /rooms/{slug}/members/{user}/remove", s.inRoom(s.removeMember, s.tellMembers))
	route("POST /rooms/{slug}/members/{user}/owner", s.inRoom(s.setOwner, s.tellMembers))
	route("POST /rooms/{slug}/read", s.inRoom(s.markRead, s.tellRoom))
	route("POST /rooms/{slug}/preferences", s.inRoom(s.prefer, s.tellRoom))
	route("GET /direct/new", s.signedIn(s.newDirect))
	route("POST /direct", s.signedIn(s.direct))
	route("POST /announcements/{id}/dismiss", s.signedIn(s.dismiss))
	route("GET /status", s.signedIn(s.statusForm))
	route("POST /status", s.signedIn(s.setStatus))
	route("POST /status/dnd", s.signedIn(s.doNotDisturb))
	route("GET /switcher", s.signedIn(s.switcher))
	route("GET /sidebar", s.signedIn(s.sidebar))
	route("GET /search", s.search)
	route("GET /live", s.socket)
	route("GET /ws", s.programSocket)
	route("/", func(_ http.ResponseWriter, r *http.Request) error {
		return chat.Errorf(chat.NotFound, "There is nothing at %s.", r.URL.Path)
	})
	mux.Handle("GET /static/", s.Pages.Static)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	return s.middleware(compressed(mux))
}

// request is what handlers know of who asks.
type request struct {
	id     string
	user   *chat.User
	token  string        // of the session; "": none
	bearer string        // the token of a program; "": none
	body   io.ReadCloser // what was sent, without the limit of forms
}

type requestKey struct{}

func of(r *http.Request) *request {
	known, _ := r.Context().Value(requestKey{}).(*request)
	if known == nil {
		known = &request{id: uuid.NewString()}
	}
	return known
}
