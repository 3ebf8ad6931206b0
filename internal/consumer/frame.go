package consumer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
)

// CloseSignedOut is a close code of our own; 1012 (service restart) and 1013 (try again later) are the protocol's.
const CloseSignedOut = 4401

// pingFrame is a WebSocket ping without content.
var pingFrame = []byte{0x80 | websocket.PingMessage, 0}

// frame encodes v as JSON in a WebSocket text frame, ready to be written to any number of connections. Frames that stand
// one after the other in a slice are as good as one.
func frame(v any) []byte {
	const head = 10 // the longest header
	var buffer bytes.Buffer
	buffer.Write(make([]byte, head))
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false) // it is no part of a page
	if err := encoder.Encode(v); err != nil {
		panic(err) // strings and numbers always encode
	}
	buffer.Truncate(buffer.Len() - 1) // Encode's line break
	text := buffer.Bytes()
	n, at := len(text)-head, 0
	switch {
	case n < 126:
		at = head - 2
		text[at+1] = byte(n) //nolint:gosec // below 126
	case n < 1<<16:
		at = head - 4
		text[at+1] = 126
		binary.BigEndian.PutUint16(text[at+2:], uint16(n))
	default:
		text[at+1] = 127
		binary.BigEndian.PutUint64(text[at+2:], uint64(n))
	}
	text[at] = 0x80 | websocket.TextMessage
	return text[at:]
}

// closeFrame is why the server ends a connection.
type closeFrame struct {
	code   int
	reason string // at most 123 bytes
}

// known is the chat.Error in err; anything else is told without its inner workings.
func known(err error) *chat.Error {
	var e *chat.Error
	if !errors.As(err, &e) {
		e = chat.Errorf(chat.Unavailable, "Something went wrong on the server. Send it again in a moment.")
	}
	return e
}

func parseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, &chat.Error{Code: chat.Invalid, Field: "id", Message: "The message's id is not a UUID."}
	}
	return id, nil
}

// parse reads a frame of the client into in.
func parse(data []byte, in any) error {
	if err := json.Unmarshal(data, in); err != nil {
		return chat.Errorf(chat.BadFrame, "The frame is not a JSON object that the chat knows: %v.", err)
	}
	return nil
}
