package server

import (
	"context"
	"strconv"

	"github.com/pgchat/pgchat/internal/chat"
)

// replyTo reads the seq of the message that a form answers; 0: none.
func replyTo(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, &chat.Error{Code: chat.Invalid, Field: "reply_to", Message: "The form does not say which message it answers, so yours was not sent. Send it again without answering one."}
	}
	return seq, nil
}

// answered is the message that the form of a room's page is to answer; nil: there is no such message in the room.
func (s *Server) answered(ctx context.Context, room chat.Room, seq int64) (*chat.Message, error) {
	if seq < 1 || seq > room.LastSeq {
		return nil, nil
	}
	found, err := s.Messages.Between(ctx, room.ID, seq, seq)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}
