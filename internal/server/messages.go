package server

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// act changes a message and returns its seq.
type act func(r *http.Request, userID, roomID, id uuid.UUID) (seq int64, err error)

// change is a handler that changes the message in the address. The change itself comes to every open page by the room's events.
func (s *Server) change(do act) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return badForm(err)
		}
		slug, _, err := s.changed(r, r.PathValue("id"), do)
		if err != nil {
			return err
		}
		done(w, r, roomPath(slug))
		return nil
	}
}

// changed changes a message of the room in the address and returns the room's slug and the message's seq.
func (s *Server) changed(r *http.Request, idText string, do act) (slug string, seq int64, err error) {
	user, room, err := s.callerIn(r)
	if err != nil {
		return "", 0, err
	}
	id, err := messageID(idText)
	if err != nil {
		return "", 0, err
	}
	seq, err = do(r, user.ID, room.ID, id)
	return room.Slug, seq, err
}

func messageID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, chat.Errorf(chat.Invalid, "%q is no message's id.", text)
	}
	return id, nil
}

// byScript reports whether the pages' script asks. It gets errors as text, and shows them in their place.
func byScript(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// done answers a change: the pages' script needs nothing, a plain form goes on to the path.
func done(w http.ResponseWriter, r *http.Request, path string) {
	if byScript(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // a path of this site
}

func (s *Server) edit(r *http.Request, userID, roomID, id uuid.UUID) (int64, error) {
	return s.Messages.Edit(r.Context(), userID, roomID, id, r.PostForm.Get("body"))
}

func (s *Server) deleteMessage(deleted bool) act {
	return func(r *http.Request, userID, roomID, id uuid.UUID) (int64, error) {
		return s.Messages.Delete(r.Context(), userID, roomID, id, deleted)
	}
}
