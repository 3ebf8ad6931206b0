package page

import "github.com/pgchat/pgchat/internal/chat"

// Pins is the page of what is pinned in a room.
type Pins struct {
	Base
	Room     chat.Room
	Messages []chat.Message // those pinned last first
}

// PinList is the list on it, for the room's page.
func (p *Pages) PinList(pins Pins) []byte { return p.fragment("pin-list", pins) }
