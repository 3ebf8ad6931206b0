package chat

import "encoding/json"

// Extra is what belongs to a message beyond its text.
type Extra struct {
	Files     []File     `json:"files,omitempty"`     // in the order in which they were attached
	Reactions []Reaction `json:"reactions,omitempty"` // in the order of their first use
}

// Attached returns what belongs to the message beyond its text. What this version does not know is left out.
func (m Message) Attached() Extra {
	var extra Extra
	if len(m.Extra) > 0 {
		_ = json.Unmarshal(m.Extra, &extra) // triggers wrote it; a message without it can still be read
	}
	return extra
}
