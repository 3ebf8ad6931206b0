package server

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
)

// pin pins the message in the address, or takes the pin away: on=true, on=false, or, without on, the other of the two.
func (s *Server) pin(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r); err != nil {
		return err
	}
	turn, err := turnIn(r)
	if err != nil {
		return err
	}
	room, seq, err := s.changed(w, r, r.PathValue("id"), func(r *http.Request, userID, roomID, id uuid.UUID) (int64, error) {
		return s.Messages.Pin(r.Context(), userID, roomID, id, turn)
	})
	if err != nil {
		return err
	}
	to := fmt.Sprintf("%s?at=%d", roomPath(room.Slug), seq)
	if turn == chat.Off {
		to = roomPath(room.Slug) + "/pins"
	}
	return s.doneMessage(w, r, http.StatusOK, room, seq, to)
}

// pins lists the room's pinned messages: a page, for the pages' script the list alone, for programs JSON.
func (s *Server) pins(w http.ResponseWriter, r *http.Request) error {
	if !wantsJSON(r) && of(r).user == nil {
		return s.signedIn(s.pins)(w, r)
	}
	_, room, err := s.callerIn(r)
	if err != nil {
		return err
	}
	found, err := s.Messages.Pinned(r.Context(), room.ID)
	if err != nil {
		return err
	}
	data := page.Pins{Room: room, Messages: found}
	switch {
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, consumer.Pins(room.Slug, found))
		return nil
	case byScript(r):
		writeHTML(w, http.StatusOK, s.Pages.PinList(data))
		return nil
	}
	if data.Base, err = s.base(r); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, data)
}
