package consumer

import "github.com/pgchat/pgchat/internal/chat"

// Pins is the pinned messages of a room, those pinned last first, in the form of a frame of [Protocol].
func Pins(slug string, pinned []chat.Message) any {
	return v1Messages{Type: "pins", Room: slug, Messages: v1List(pinned)}
}
