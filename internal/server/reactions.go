package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
)

// react adds a reaction to the message in the address, or takes it back: on=true, on=false, or, without on, the other of the two.
func (s *Server) react(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r); err != nil {
		return err
	}
	turn, err := turnIn(r)
	if err != nil {
		return err
	}
	return s.turnReaction(w, r, r.PathValue("id"), r.PostForm.Get("emoji"), turn)
}

// reactByForm does the same for the room's one form, whose buttons say "ID EMOJI": the messages, which are made for all their
// readers and rooms at once, do not know their room's address.
func (s *Server) reactByForm(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	id, emoji, _ := strings.Cut(r.PostForm.Get("reaction"), " ")
	return s.turnReaction(w, r, id, emoji, chat.Toggle)
}

func (s *Server) turnReaction(w http.ResponseWriter, r *http.Request, idText, emoji string, turn chat.Turn) error {
	room, seq, err := s.changed(w, r, idText, func(r *http.Request, userID, roomID, id uuid.UUID) (int64, error) {
		return s.Messages.React(r.Context(), userID, roomID, id, emoji, turn)
	})
	if err != nil {
		return err
	}
	return s.doneMessage(w, r, http.StatusOK, room, seq, fmt.Sprintf("%s?at=%d", roomPath(room.Slug), seq))
}

// turnIn reads what is to become of a reaction or a pin. Left out by a program it is there afterwards, as with frames.
func turnIn(r *http.Request) (chat.Turn, error) {
	text := r.PostForm.Get("on")
	switch text {
	case "":
		if wantsJSON(r) {
			return chat.On, nil
		}
		return chat.Toggle, nil
	case "true":
		return chat.On, nil
	case "false":
		return chat.Off, nil
	}
	return 0, chat.Errorf(chat.Invalid, `on is "true", "false" or left out, not %q.`, text)
}

// reactions tells who has reacted to a message, all of them, as JSON.
func (s *Server) reactions(w http.ResponseWriter, r *http.Request) error {
	user, room, err := s.callerIn(r)
	if err != nil {
		return err
	}
	id, err := messageID(r.PathValue("id"))
	if err != nil {
		return err
	}
	found, err := s.Messages.Reactions(r.Context(), user.ID, room.ID, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, consumer.Reactions(room.Slug, id, found))
	return nil
}
