package consumer

import (
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
)

// Close codes of our own; 1012 (service restart) and 1013 (try again later) are the protocol's.
const (
	CloseSignedOut = 4401
	CloseRoomGone  = 4404
)

// inbound is what a page may send.
type inbound struct {
	Type   string `json:"type"`
	Cursor string `json:"cursor"`
	ID     string `json:"id"`
	Body   string `json:"body"`
}

// outbound is what a page is sent. With Content htmx swaps it into Target; without, it is for the page's own script.
type outbound struct {
	Type    string    `json:"type"`
	ID      string    `json:"id,omitempty"`
	Seq     int64     `json:"seq,omitempty"`
	First   int64     `json:"first,omitempty"`
	Last    int64     `json:"last,omitempty"`
	Cursor  string    `json:"cursor,omitempty"`
	Online  *int      `json:"online,omitempty"`
	Code    chat.Code `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	Target  string    `json:"target,omitempty"`
	Swap    string    `json:"swap,omitempty"`
	Content string    `json:"content,omitempty"`
}

// frame encodes once what may be sent to many.
func frame(o outbound) *websocket.PreparedMessage {
	text, err := json.Marshal(o)
	if err == nil {
		var m *websocket.PreparedMessage
		if m, err = websocket.NewPreparedMessage(websocket.TextMessage, text); err == nil {
			return m
		}
	}
	panic(err) // strings and numbers always encode
}

// failure is the error frame for err: a chat.Error is told as it is, anything else without its inner workings.
func failure(id string, err error) *websocket.PreparedMessage {
	var e *chat.Error
	if !errors.As(err, &e) {
		e = chat.Errorf(chat.Unavailable, "Something went wrong on the server. Send it again in a moment.")
	}
	return frame(outbound{Type: "error", ID: id, Code: e.Code, Message: e.Message})
}

// parse reads a frame. The error is a chat.Error; id is the frame's own id where it could be read.
func parse(data []byte) (in inbound, err error) {
	if err := json.Unmarshal(data, &in); err != nil {
		return in, chat.Errorf(chat.BadFrame, "The frame is not a JSON object that the chat knows: %v.", err)
	}
	switch in.Type {
	case "resume", "post":
		return in, nil
	case "":
		return in, chat.Errorf(chat.BadFrame, `The frame has no "type".`)
	}
	return in, chat.Errorf(chat.BadFrame, "There is no frame of type %q; a page sends resume and post.", in.Type)
}

func parseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, &chat.Error{Code: chat.Invalid, Field: "id", Message: "The message's id is not a UUID."}
	}
	return id, nil
}
