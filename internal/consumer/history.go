package consumer

import "github.com/pgchat/pgchat/internal/chat"

type v1History struct {
	v1Messages
	First  int64  `json:"first,omitempty"`
	Cursor string `json:"cursor"`
}

// History is a page of a room's past as a program gets it: a frame of messages, with which message the past begins, where that is not the
// first, and how far the room has come, which is the cursor from which to go on live.
func History(room chat.Room, messages []chat.Message) any {
	return v1History{v1Messages{Type: "messages", Room: room.Slug, Messages: v1List(messages)}, firstKept(room), room.Head().String()}
}

type v1MessageNow struct {
	Type string `json:"type"`
	Room string `json:"room"`
	v1Message
}

// Message is a message as it is now, in the form of a frame of [Protocol].
func Message(slug string, m chat.Message) any {
	return v1MessageNow{Type: "message", Room: slug, v1Message: v1List([]chat.Message{m})[0]}
}

// Failure is why a program's request was refused, as the frame that says so.
func Failure(code chat.Code, message string) any {
	return v1Error{Type: "error", Code: code, Message: message}
}

// MessageFields is a message as it stands within frames of [Protocol].
func MessageFields(m chat.Message) any { return v1List([]chat.Message{m})[0] }
