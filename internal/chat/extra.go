package chat

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Extra is what belongs to a message beyond its text.
type Extra struct {
	Files     []File     `json:"files,omitempty"`     // in the order in which they were attached
	Reactions []Reaction `json:"reactions,omitempty"` // in the order of their first use
	Reply     *Reply     `json:"reply,omitempty"`     // nil: it answers no other
	Thread    *Thread    `json:"thread,omitempty"`    // nil: nothing answers it
	Pinned    *Pin       `json:"pinned,omitempty"`    // nil: it is not
}

// Reply is the message that another one answers, as it now is.
type Reply struct {
	Seq    int64     `json:"seq"`
	Thread int64     `json:"thread"` // seq of the first message of the thread, which may be that one
	ID     uuid.UUID `json:"id"`
	Author string    `json:"author"` // the author's name
	Quote  *string   `json:"quote"`  // how its body begins; nil: it was deleted
}

// Thread is what the first message of a thread tells of the others.
type Thread struct {
	Count int64     `json:"count"` // replies that show
	Last  time.Time `json:"last"`  // when the latest of them was posted
	By    []Replier `json:"by"`    // at most three, who replied last at the end
}

// Replier is somebody who wrote one of the newest replies of a thread.
type Replier struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

// Attached returns what belongs to the message beyond its text. What this version does not know is left out.
func (m Message) Attached() Extra {
	var extra Extra
	if len(m.Extra) > 0 {
		_ = json.Unmarshal(m.Extra, &extra) // triggers wrote it; a message without it can still be read
	}
	return extra
}
