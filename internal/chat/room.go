package chat

import (
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// Room is a place to talk in, as one user sees it.
type Room struct {
	ID        uuid.UUID
	Slug      string // its name in addresses
	Name      string
	Topic     string // one line; may be empty
	Everyone  bool   // every user is a member
	Archived  bool   // nothing can be posted
	Member    bool   // the user may post
	Members   int
	LastSeq   int64 // seq of its newest message
	LastRev   int64 // rev of its newest change
	Read      int64 // seq up to which the user has read; of who is not a member, LastSeq
	Mentions  int   // messages beyond that address the user
	CreatedAt time.Time
}

// Unread is how many messages the user has not read.
func (r Room) Unread() int64 { return max(0, r.LastSeq-r.Read) }

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
