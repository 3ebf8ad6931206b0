package tail

import (
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

// Item is one thing that happened in a room. Of Message, Line, Online, First and End one says what.
type Item struct {
	Room   chat.Room
	Cursor chat.Cursor // from which to go on after it

	Message *chat.Message // as it now is
	Changed bool          // the message was there before
	Changes []Change      // what became otherwise with it; none: not known
	Line    *chat.Line
	Online  *Online
	First   int64 // the room keeps messages from this seq on: older ones were removed; 0: something else happened
	End     End
}

// Online is who has come online in a room and who has gone, by name.
type Online struct {
	People    int // who are there now
	Came      []string
	Went      []string
	CheckedAt time.Time
}

// End is why a room is followed no longer, or anew.
type End string

// Reasons for an End.
const (
	Gone    End = "gone"     // the room was deleted
	Hidden  End = "private"  // it is no public room any more, and only those are followed
	SetBack End = "set_back" // the database is in an earlier state than it was; the room is followed from there
)

// at is when it happened, as far as the database knows.
func (i Item) at() time.Time {
	switch {
	case i.Line != nil:
		return i.Line.At
	case i.Online != nil:
		return i.Online.CheckedAt
	case i.Message == nil:
		return time.Now()
	case !i.Changed:
		return i.Message.CreatedAt
	}
	for _, c := range i.Changes {
		switch {
		case c.What == Edited && i.Message.EditedAt != nil:
			return *i.Message.EditedAt
		case c.What == Deleted && i.Message.DeletedAt != nil:
			return *i.Message.DeletedAt
		case c.What == Pinned:
			return i.Message.Attached().Pinned.At
		}
	}
	return time.Now()
}
