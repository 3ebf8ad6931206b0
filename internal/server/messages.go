package server

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// change is a handler that changes the message in the address. The change itself comes to every open page by the room's events.
func (s *Server) change(act func(r *http.Request, userID, roomID, id uuid.UUID) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return badForm(err)
		}
		room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
		if err != nil {
			return err
		}
		id, err := uuid.Parse(r.PathValue("id"))
		if err != nil {
			return chat.Errorf(chat.Invalid, "%q is no message's id.", r.PathValue("id"))
		}
		if err := act(r, of(r).user.ID, room.ID, id); err != nil {
			return err
		}
		if r.Header.Get("HX-Request") == "true" {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		http.Redirect(w, r, roomPath(room.Slug), http.StatusSeeOther)
		return nil
	}
}

func (s *Server) edit(r *http.Request, userID, roomID, id uuid.UUID) error {
	_, err := s.Messages.Edit(r.Context(), userID, roomID, id, r.PostForm.Get("body"))
	return err
}

func (s *Server) deleteMessage(deleted bool) func(r *http.Request, userID, roomID, id uuid.UUID) error {
	return func(r *http.Request, userID, roomID, id uuid.UUID) error {
		_, err := s.Messages.Delete(r.Context(), userID, roomID, id, deleted)
		return err
	}
}
