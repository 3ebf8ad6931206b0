package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
	"github.com/pgchat/pgchat/internal/postgres"
)

// handler serves a request or says why not.
type handler func(http.ResponseWriter, *http.Request) error

// statuses are the HTTP status and the title of each code.
var statuses = map[chat.Code]struct {
	status int
	title  string
}{
	chat.Invalid:         {http.StatusUnprocessableEntity, "That cannot be done"},
	chat.NotFound:        {http.StatusNotFound, "Not found"},
	chat.Taken:           {http.StatusConflict, "Taken"},
	chat.Forbidden:       {http.StatusForbidden, "Not allowed"},
	chat.Banned:          {http.StatusForbidden, "Banned"},
	chat.Unauthenticated: {http.StatusUnauthorized, "Not signed in"},
	chat.RateLimited:     {http.StatusTooManyRequests, "Too fast"},
	chat.Busy:            {http.StatusServiceUnavailable, "Busy"},
	chat.TooLarge:        {http.StatusRequestEntityTooLarge, "Too large"},
	chat.BadOrigin:       {http.StatusForbidden, "Refused"},
	chat.BadFrame:        {http.StatusBadRequest, "Not understood"},
	chat.NotJoined:       {http.StatusConflict, "Not joined"},
	chat.CursorAhead:     {http.StatusConflict, "Load it anew"},
	chat.Unavailable:     {http.StatusServiceUnavailable, "Not available"},
}

// status is the HTTP status for err.
func status(err error) int {
	var e *chat.Error
	if errors.As(err, &e) {
		return statuses[e.Code].status
	}
	if postgres.Unreachable(err) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// handle runs h and turns its error into a page.
func (s *Server) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail answers with the page for err. What is not the user's to mend is logged, once, here.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = chat.Errorf(chat.TooLarge, "What was sent has more than the %d bytes that are allowed.", tooLarge.Limit)
	}
	cause := err // for the log
	if postgres.Unreachable(err) {
		err = chat.Errorf(chat.Unavailable, "The database cannot be reached. Try again in a moment.")
	}
	f := page.Failure{
		Status: http.StatusInternalServerError, Title: "Something went wrong", RequestID: of(r).id,
		Message: "The server could not do that. It has been noted; try again in a moment.",
		Draft:   r.PostForm.Get("body"),
	}
	var e *chat.Error
	if errors.As(err, &e) {
		f.Status, f.Title, f.Message = statuses[e.Code].status, statuses[e.Code].title, e.Message
	}
	if f.Status == http.StatusUnauthorized || e != nil && e.Code == chat.Banned && of(r).user == nil {
		f.SignIn = backTo(r)
	}
	if f.Status >= http.StatusInternalServerError {
		level := slog.LevelError
		if errors.Is(cause, context.Canceled) && r.Context().Err() != nil {
			level = slog.LevelDebug // who asked has gone to another page, which is nobody's fault
		}
		s.Log.Log(r.Context(), level, "a request failed", "request", f.RequestID, "method", r.Method, "path", r.URL.Path, "error", cause)
	}
	if wantsJSON(r) {
		code := chat.Unavailable
		if e != nil {
			code = e.Code
		}
		writeJSON(w, f.Status, consumer.Failure(code, f.Message))
		return
	}
	if byScript(r) { // a page's script shows it in its place
		http.Error(w, f.Message, f.Status)
		return
	}
	if err := s.render(w, f.Status, f); err != nil {
		s.Log.Error("the failure page cannot be rendered", "request", f.RequestID, "error", err)
	}
}

// render writes a page.
func (s *Server) render(w http.ResponseWriter, status int, data any) error {
	var out bytes.Buffer
	if err := s.Pages.Render(&out, data); err != nil {
		return err
	}
	rules, err := s.Pages.Static.URL("ahead.speculationrules")
	if err != nil {
		return err
	}
	w.Header().Set("Speculation-Rules", strconv.Quote(rules)) // what the pointer comes to is fetched ahead, where a page is to be loaded
	writeHTML(w, status, out.Bytes())
	return nil
}

func writeHTML(w http.ResponseWriter, status int, html []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(html) //nolint:gosec // html/template made it; the client may have gone
}

// fieldErrors sorts the chat errors that err holds by form field. ok is false where err is something else, or holds
// an error that no form can show.
func fieldErrors(err error) (fields map[string]string, ok bool) {
	fields = map[string]string{}
	var walk func(error) bool
	walk = func(err error) bool {
		if joined, is := err.(interface{ Unwrap() []error }); is {
			for _, e := range joined.Unwrap() {
				if !walk(e) {
					return false
				}
			}
			return true
		}
		var e *chat.Error
		if !errors.As(err, &e) {
			return false
		}
		if fields[e.Field] == "" {
			fields[e.Field] = e.Message
		}
		return true
	}
	return fields, walk(err)
}
