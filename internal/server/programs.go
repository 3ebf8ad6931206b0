package server

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
)

// bearer is the token that a program sends; ok is false where it sends none.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// parse reads a form, or the JSON object that a program sends in its place.
func parse(r *http.Request) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" || r.PostForm != nil {
		if err := r.ParseForm(); err != nil {
			return badForm(err)
		}
		return nil
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return badForm(err)
	}
	var given map[string]any
	in := json.NewDecoder(strings.NewReader(string(text)))
	in.UseNumber()
	if err := in.Decode(&given); err != nil && !errors.Is(err, io.EOF) || in.More() {
		return chat.Errorf(chat.BadFrame, "What was sent is no JSON object.")
	}
	form := url.Values{}
	for name, value := range given {
		if form[name], err = fieldOf(name, value); err != nil {
			return err
		}
	}
	r.PostForm = form
	return nil
}

// fieldOf is what a form would have for the value.
func fieldOf(name string, value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case json.Number:
		return []string{v.String()}, nil
	case []any:
		var all []string
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, chat.Errorf(chat.BadFrame, "%q is a list of texts.", name)
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, chat.Errorf(chat.BadFrame, "%q is a text, a number, true, false, or a list of texts.", name)
}

// given is what was sent for the field. A program need not send what is to stay as it is now; a form has all of its fields.
func given(r *http.Request, name, now string) string {
	if wantsJSON(r) && !r.PostForm.Has(name) {
		return now
	}
	return r.PostForm.Get(name)
}

// tell answers a program with a room as it is now; where the user may not see it any more, with that.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, status int, room chat.Room) error {
	now, err := s.Rooms.ByID(r.Context(), of(r).user.ID, room.ID)
	if lost(err) {
		return tellLeft(w, room)
	}
	if err != nil {
		return err
	}
	writeJSON(w, status, consumer.Room(now))
	return nil
}

// tellMessage answers with a message as it is now.
func (s *Server) tellMessage(w http.ResponseWriter, r *http.Request, status int, room chat.Room, seq int64) error {
	found, err := s.Messages.Between(r.Context(), room.ID, seq, seq)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return chat.Errorf(chat.NotFound, "The message was removed from the database meanwhile.")
	}
	writeJSON(w, status, consumer.Message(room.Slug, found[0]))
	return nil
}

func (s *Server) tellRoom(w http.ResponseWriter, r *http.Request, room chat.Room) error {
	return s.tell(w, r, http.StatusOK, room)
}

func (s *Server) tellMembers(w http.ResponseWriter, r *http.Request, room chat.Room) error {
	if _, err := s.Rooms.ByID(r.Context(), of(r).user.ID, room.ID); lost(err) { // who removed themselves
		return tellLeft(w, room)
	} else if err != nil {
		return err
	}
	members, err := s.Rooms.MembersOf(r.Context(), room.ID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, consumer.Members(room.Slug, members))
	return nil
}

func (s *Server) tellLeft(w http.ResponseWriter, _ *http.Request, room chat.Room) error {
	return tellLeft(w, room)
}

func tellLeft(w http.ResponseWriter, room chat.Room) error {
	writeJSON(w, http.StatusOK, consumer.Left(room.Slug))
	return nil
}

func lost(err error) bool {
	var e *chat.Error
	return errors.As(err, &e) && e.Code == chat.NotFound
}

// members lists who is in a room, for programs; a browser is sent to the page that shows them.
func (s *Server) members(w http.ResponseWriter, r *http.Request) error {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		return s.tellMembers(w, r, room)
	}
	http.Redirect(w, r, settingsPath(room)+"#members", http.StatusSeeOther) //nolint:gosec // a path of this site
	return nil
}
