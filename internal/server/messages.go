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
		if err := parse(r); err != nil {
			return err
		}
		room, seq, err := s.changed(w, r, r.PathValue("id"), do)
		if err != nil {
			return err
		}
		return s.doneMessage(w, r, http.StatusOK, room, seq, roomPath(room.Slug))
	}
}

// changed changes a message of the room in the address and returns the room and the message's seq.
func (s *Server) changed(w http.ResponseWriter, r *http.Request, idText string, do act) (chat.Room, int64, error) {
	user, room, err := s.callerIn(r)
	if err != nil {
		return chat.Room{}, 0, err
	}
	id, err := messageID(idText)
	if err != nil {
		return chat.Room{}, 0, err
	}
	if err := s.mayPost(w, r); err != nil {
		return chat.Room{}, 0, err
	}
	seq, err := do(r, user.ID, room.ID, id)
	return room, seq, err
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

// doneMessage answers what was done to a message: a program gets it as it now is.
func (s *Server) doneMessage(w http.ResponseWriter, r *http.Request, status int, room chat.Room, seq int64, path string) error {
	if wantsJSON(r) {
		return s.tellMessage(w, r, status, room, seq)
	}
	done(w, r, path)
	return nil
}

// done answers a change: the pages' script and programs need nothing, a plain form goes on to the path.
func done(w http.ResponseWriter, r *http.Request, path string) {
	if byScript(r) || wantsJSON(r) {
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
