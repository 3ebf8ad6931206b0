package chat

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// MaxBody is the longest body of a message, in characters.
const MaxBody = 8000

// Message is what somebody said in a room.
type Message struct {
	RoomID    uuid.UUID
	Seq       int64 // its place in the room, from 1, without gaps
	ID        uuid.UUID
	AuthorID  uuid.UUID
	Author    string // the author's name
	Body      string
	CreatedAt time.Time
	Rev       int64      // the room's change number at its latest change; 0: never changed
	EditedAt  *time.Time // nil: never edited
	DeletedAt *time.Time // nil: it shows
	Extra     []byte     // what belongs to it beyond its text: the JSON object of chat.messages.extra; nil: nothing
}

// CheckBody returns the body without white space around it. The error is an [Error] of code Invalid about the field "body".
func CheckBody(body string) (string, error) {
	invalid := func(format string, args ...any) (string, error) {
		return "", &Error{Code: Invalid, Field: "body", Message: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(body) {
		return invalid("The message is not valid UTF-8 text.")
	}
	if strings.ContainsRune(body, 0) {
		return invalid("The message has a NUL character, which cannot be stored. Remove it and send again.")
	}
	body = strings.TrimSpace(body)
	switch n := utf8.RuneCountInString(body); {
	case n == 0:
		return invalid("A message needs some text.")
	case n > MaxBody:
		return invalid("A message has at most %d characters; this one has %d. Shorten it or send it in parts.", MaxBody, n)
	}
	return body, nil
}
