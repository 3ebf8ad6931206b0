package chat

import (
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// Kinds of rooms.
const (
	Public  = "public"  // everybody may look in and join
	Private = "private" // its members alone know of it
	Direct  = "direct"  // a conversation of its members, which nobody joins or leaves
)

// What a member may be notified of.
const (
	NotifyAll      = "all"
	NotifyMentions = "mentions" // and direct conversations
	NotifyNothing  = "nothing"  // the room is muted
)

// Room is a place to talk in, as one user sees it.
type Room struct {
	ID        uuid.UUID
	Slug      string // its name in addresses
	Name      string // of a direct conversation the other people's
	Topic     string // one line; may be empty
	Kind      string // Public, Private or Direct
	Everyone  bool   // every user is a member
	Archived  bool   // nothing can be posted
	Member    bool   // the user may post
	Owner     bool   // the user may rename and archive it, and put people out of it
	Starred   bool   // by the user
	Notify    string // what the user is notified of: NotifyAll, NotifyMentions or NotifyNothing
	Members   int
	KeepDays  int       // for how many days messages are kept; 0: for ever
	FirstSeq  int64     // seq of its oldest message that is kept; LastSeq + 1: none is
	LastSeq   int64     // seq of its newest message
	LastRev   int64     // rev of its newest change
	History   string    // in which they are
	Read      int64     // seq up to which the user has read; of who is not a member, LastSeq
	Mentions  int       // messages beyond that address the user
	Stamp     int32     // changes with what the room is called, its topic, whether it is archived, and how the user wants it
	Other     uuid.UUID // of a direct conversation the first of the other people; else the room's id
	CreatedAt time.Time
}

// Head is how far the room has come.
func (r Room) Head() Cursor { return Cursor{Seq: r.LastSeq, Rev: r.LastRev, History: r.History} }

// Kept says for how long the room keeps its messages, or kept those that are gone: "Messages of this room are removed after 30 days."; ""
// where it has kept all of them, and does.
func (r Room) Kept() string {
	switch {
	case r.KeepDays > 0:
		return "Messages of this room are removed after " + daysOf(r.KeepDays) + "."
	case r.FirstSeq > 1:
		return "Older messages of this room were removed."
	}
	return ""
}

// Unread is how many messages the user has not read.
func (r Room) Unread() int64 { return max(0, r.LastSeq-r.Read) }

// Muted reports whether the user wants to hear of mentions only.
func (r Room) Muted() bool { return r.Member && r.Notify == NotifyNothing }

// reserved are the words that stand in addresses where a slug might.
var reserved = map[string]bool{"new": true, "browse": true}

// Slug makes a room's name fit for addresses: letters and digits in lower case, each run of anything else one "-". A name
// without either gives "room".
func Slug(name string) string {
	var slug strings.Builder
	gap := false
	for _, r := range norm.NFC.String(strings.ToLower(name)) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) {
			gap = slug.Len() > 0
			continue
		}
		if gap {
			slug.WriteByte('-')
			gap = false
		}
		slug.WriteRune(r)
	}
	switch s := slug.String(); {
	case s == "":
		return "room"
	case reserved[s]:
		return s + "-room"
	default:
		return s
	}
}
