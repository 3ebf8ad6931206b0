package consumer

import (
	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

type v1Reactions struct {
	Type      string          `json:"type"`
	Room      string          `json:"room"`
	ID        uuid.UUID       `json:"id"`
	Reactions []chat.Reaction `json:"reactions"`
}

// Reactions is who has reacted to a message, in the form of a frame of [Protocol].
func Reactions(slug string, id uuid.UUID, reactions []chat.Reaction) any {
	return v1Reactions{Type: "reactions", Room: slug, ID: id, Reactions: reactions}
}

// turn is what a frame's "on" asks for, which is true where it is left out.
func (in v1In) turn() chat.Turn {
	if in.On != nil && !*in.On {
		return chat.Off
	}
	return chat.On
}
