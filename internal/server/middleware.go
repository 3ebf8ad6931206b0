package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	maxForm      = 128 << 10 // bytes of a form: 8000 characters, each percent-encoded, and to spare
	cookieName   = "pgchat_session"
	securePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// middleware is what every request passes, outermost first.
func (s *Server) middleware(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return s.logged(s.recovered(secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := sameOrigin(protection, r); err != nil {
			s.fail(w, r, err)
			return
		}
		of(r).body = r.Body
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := s.withUser(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	}))))
}

// sameOrigin refuses what another site's page sends: unsafe methods, and WebSockets, which are safe by their method but
// not by what they do.
func sameOrigin(protection *http.CrossOriginProtection, r *http.Request) error {
	checked := r
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		checked = r.Clone(r.Context())
		checked.Method = http.MethodPost
	}
	if protection.Check(checked) != nil {
		return chat.Errorf(chat.BadOrigin, "This was sent from another site's page, so it was not done.")
	}
	return nil
}

// withUser looks up the token or else the session, once for each request that may need it, and renews the cookie of a session that
// was extended. Who sends a token is judged by it alone.
func (s *Server) withUser(w http.ResponseWriter, r *http.Request) error {
	if strings.HasPrefix(r.URL.Path, "/static/") || strings.HasSuffix(r.URL.Path, "z") && strings.Count(r.URL.Path, "/") == 1 {
		return nil
	}
	if token, ok := bearer(r); ok {
		user, err := s.Tokens.User(r.Context(), token)
		if err != nil {
			return err
		}
		of(r).user, of(r).bearer = &user, token
		return nil
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil //nolint:nilerr // no cookie: nobody
	}
	user, extended, err := s.Sessions.User(r.Context(), cookie.Value)
	switch {
	case err == nil:
		known := of(r)
		known.user, known.token = &user, cookie.Value
		if !extended.IsZero() {
			http.SetCookie(w, s.cookie(r, cookie.Value, extended))
		}
		return nil
	case status(err) == http.StatusUnauthorized:
		return nil
	case strings.HasPrefix(r.URL.Path, "/sign-"): // who is banned may sign out, and in as somebody else
		of(r).token = cookie.Value
		return nil
	}
	return err
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", securePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if why := recover(); why != nil {
				if why == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is compared
					panic(why)
				}
				s.fail(w, r, fmt.Errorf("panic: %v\n%s", why, debug.Stack()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

var goodRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// logged gives the request its id and writes one line when it is done.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		if given := r.Header.Get("X-Request-ID"); s.TrustProxy && goodRequestID.MatchString(given) {
			id = given
		}
		w.Header().Set("X-Request-ID", id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id: id}))
		began := time.Now()
		recorder := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		level := slog.LevelInfo
		if strings.HasPrefix(r.URL.Path, "/static/") || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			level = slog.LevelDebug
		}
		s.Log.Log(r.Context(), level, "request", "request", id, "method", r.Method, "path", r.URL.Path,
			"status", recorder.status, "took_ms", float64(time.Since(began).Microseconds())/1000, "from", s.address(r))
	})
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// address is the client's, without the port.
func (s *Server) address(r *http.Request) string {
	if s.TrustProxy {
		// The last entry is the one that our own proxy wrote.
		given := r.Header.Values("X-Forwarded-For")
		if len(given) > 0 {
			entries := strings.Split(given[len(given)-1], ",")
			return strings.TrimSpace(entries[len(entries)-1])
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// secure reports whether the browser came by TLS.
func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || s.TrustProxy && r.Header.Get("X-Forwarded-Proto") == "https"
}

// Hijack hands over the connection of a WebSocket; gorilla asks for it here.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}
