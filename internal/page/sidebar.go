package page

import "github.com/pgchat/pgchat/internal/chat"

type sidebar struct {
	Base
	Here    string // the slug of the open room
	Unread  []listed
	Starred []listed
	Others  []listed
	Direct  []listed
}

// listed is a room in the sidebar.
type listed struct {
	chat.Room
	Here  bool    // it is the open one
	Other *Person // of a direct conversation of two
}

// newSidebar sorts the user's rooms: what has unread messages comes first. sidebar.js does the same when something changes.
func newSidebar(b Base, here string) sidebar {
	s := sidebar{Base: b, Here: here}
	for _, r := range b.Rooms {
		l := listed{Room: r, Here: r.Slug == here}
		if other, known := b.People[r.Other]; known && r.Kind == chat.Direct && r.Members == 2 {
			l.Other = &other
		}
		switch {
		case !r.Member:
		case !l.Here && (r.Mentions > 0 || r.Unread() > 0 && !r.Muted()):
			s.Unread = append(s.Unread, l)
		case r.Starred:
			s.Starred = append(s.Starred, l)
		case r.Kind == chat.Direct:
			s.Direct = append(s.Direct, l)
		default:
			s.Others = append(s.Others, l)
		}
	}
	return s
}
