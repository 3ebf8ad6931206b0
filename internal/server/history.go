package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
)

const (
	pageLength = 50  // messages on a page
	mostAtOnce = 200 // that a program may ask for
	linesMost  = 200 // lines between them
)

// place is where in a room somebody wants to read: at most one of its fields is set, none: at the newest messages.
type place struct {
	before, after, at int64
	since             time.Time
}

// placeIn reads where a room's page is to open.
func placeIn(q url.Values) (place, error) {
	var p place
	given := 0
	for name, to := range map[string]*int64{"before": &p.before, "after": &p.after, "at": &p.at} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		given++
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n == 0 && name != "after" {
			return place{}, chat.Errorf(chat.Invalid, "%q is not the number of a message.", text)
		}
		*to = n
		if name == "after" { // 0 is a place as well
			p.after = n + 1
		}
	}
	if text := q.Get("date"); text != "" {
		given++
		var err error
		if p.since, err = time.Parse(time.DateOnly, text); err != nil {
			if p.since, err = time.Parse(time.RFC3339, text); err != nil {
				return place{}, chat.Errorf(chat.Invalid, "%q is not a date: it looks like 2026-03-01.", text)
			}
		}
	}
	if given > 1 {
		return place{}, chat.Errorf(chat.Invalid, "Only one of before, after, at and date can be given.")
	}
	return p, nil
}

// newest reports whether no other place was asked for.
func (p place) newest() bool { return p == place{} }

// window reads the messages at the place. data.Room is known; where what was asked for is not there, data.Notice says so.
func (s *Server) window(ctx context.Context, p place, data *page.Room) (err error) {
	room := data.Room
	if !p.since.IsZero() {
		if p.at, err = s.Messages.FirstSince(ctx, room.ID, p.since); err != nil {
			return err
		}
		switch p.at {
		case 0:
			data.Notice = "Nothing was said on that day or later. These are the newest messages."
		case room.FirstSeq:
			data.Notice = room.Kept()
		}
	}
	switch {
	case p.after > 0:
		data.Messages, err = s.Messages.After(ctx, room.ID, max(p.after, room.FirstSeq)-1, pageLength)
	case p.at > 0:
		data.At = min(max(p.at, room.FirstSeq), room.LastSeq)
		switch {
		case p.at < room.FirstSeq && room.FirstSeq > room.LastSeq:
			data.Notice = fmt.Sprintf("Message %d is no longer here. %s", p.at, room.Kept())
		case p.at < room.FirstSeq:
			data.Notice = fmt.Sprintf("Message %d is no longer here. %s This is the oldest one.", p.at, room.Kept())
		case data.At < p.at && data.At > 0:
			data.Notice = fmt.Sprintf("There is no message %d here. This is the one nearest to it.", p.at)
		}
		data.Messages, err = s.Messages.Around(ctx, room.ID, data.At, pageLength)
	}
	if err == nil && len(data.Messages) == 0 { // also where nothing comes after the newest
		data.Messages, err = s.Messages.Page(ctx, room.ID, p.before, pageLength)
	}
	if err != nil {
		return err
	}
	// The cursor was read before the messages: what comes between is sent again rather than missed.
	data.Cursor = room.Head()
	data.Latest = room.LastSeq < room.FirstSeq
	if n := len(data.Messages); n > 0 {
		first, last := data.Messages[0].Seq, data.Messages[n-1].Seq
		data.Older, data.Latest = first > room.FirstSeq, last >= room.LastSeq
		data.Cursor.Seq = max(data.Cursor.Seq, last)
	}
	// What comes after the last message belongs to the next page, if there is one.
	after, before := room.FirstSeq-1, int64(math.MaxInt64)
	if n := len(data.Messages); n > 0 {
		after = data.Messages[0].Seq - 1
		if !data.Latest {
			before = data.Messages[n-1].Seq
		}
	}
	data.Lines, err = s.Messages.Lines(ctx, room.ID, after, before, linesMost)
	return err
}

// messages is a page of a room's past, for programs; a browser is sent to the room.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) error {
	if !wantsJSON(r) {
		http.Redirect(w, r, roomPath(r.PathValue("slug"))+"?"+r.URL.RawQuery, http.StatusSeeOther) //nolint:gosec // an address of this site
		return nil
	}
	_, room, err := s.callerIn(r)
	if err != nil {
		return err
	}
	q, limit := r.URL.Query(), pageLength
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostAtOnce {
			return chat.Errorf(chat.Invalid, "limit is a number from 1 to %d.", mostAtOnce)
		}
	}
	if around := q.Get("around"); around != "" {
		q.Set("at", around)
	}
	p, err := placeIn(q)
	if err != nil {
		return err
	}
	thread, err := askedNumber(q, "thread")
	if err != nil {
		return err
	}
	var found []chat.Message
	switch {
	case thread > 0 && (p.after > 0 || p.at > 0 || !p.since.IsZero()):
		return chat.Errorf(chat.Invalid, "The replies of a thread are asked for with before, or with none of before, after, around and date.")
	case thread > 0:
		found, err = s.Messages.Replies(r.Context(), room.ID, thread, p.before, limit)
	case !p.since.IsZero():
		var first int64
		if first, err = s.Messages.FirstSince(r.Context(), room.ID, p.since); err == nil && first > 0 {
			found, err = s.Messages.After(r.Context(), room.ID, first-1, limit)
		}
	case p.after > 0:
		found, err = s.Messages.After(r.Context(), room.ID, max(p.after, room.FirstSeq)-1, limit)
	case p.at > 0:
		found, err = s.Messages.Around(r.Context(), room.ID, max(p.at, room.FirstSeq), limit)
	default:
		found, err = s.Messages.Page(r.Context(), room.ID, p.before, limit)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, consumer.History(room, found))
	return nil
}

// callerIn is who asks, and the room in the address.
func (s *Server) callerIn(r *http.Request) (chat.User, chat.Room, error) {
	user, err := s.caller(r)
	if err != nil {
		return chat.User{}, chat.Room{}, err
	}
	room, err := s.Rooms.BySlug(r.Context(), user.ID, r.PathValue("slug"))
	return user, room, err
}

// caller is who asks: by the session's cookie, or by a token.
func (s *Server) caller(r *http.Request) (chat.User, error) {
	if user := of(r).user; user != nil {
		return *user, nil
	}
	return chat.User{}, chat.Errorf(chat.Unauthenticated, "You are not signed in: send a session's cookie, or Authorization: Bearer TOKEN.")
}

// wantsJSON reports whether a program asks: it says so, or sends a token.
func wantsJSON(r *http.Request) bool {
	_, token := bearer(r)
	return token || strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
