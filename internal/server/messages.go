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
		slug, err := s.changed(r, r.PathValue("id"), act)
		if err != nil {
			return err
		}
		done(w, r, roomPath(slug))
		return nil
	}
}

// changed changes a message of the room in the address and returns the room's slug.
func (s *Server) changed(r *http.Request, idText string, act func(r *http.Request, userID, roomID, id uuid.UUID) error) (string, error) {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return "", err
	}
	id, err := messageID(idText)
	if err != nil {
		return "", err
	}
	return room.Slug, act(r, of(r).user.ID, room.ID, id)
}

func messageID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, chat.Errorf(chat.Invalid, "%q is no message's id.", text)
	}
	return id, nil
}

// done answers a change: the pages' script needs nothing, a plain form goes on to the path.
func done(w http.ResponseWriter, r *http.Request, path string) {
	if r.Header.Get("HX-Request") == "true" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // a path of this site
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
