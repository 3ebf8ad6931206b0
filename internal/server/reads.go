package server

import (
	"net/http"
	"strconv"

	"github.com/pgchat/pgchat/internal/chat"
)

// markRead takes how far the user has read: up to seq; with back=true also where they had read further. It is written at once, since
// the page that comes next is to show it.
func (s *Server) markRead(r *http.Request, user chat.User, room chat.Room) (string, error) {
	seq, err := strconv.ParseInt(r.PostForm.Get("seq"), 10, 64)
	if err != nil || seq < 0 {
		return "", chat.Errorf(chat.Invalid, "seq is the number of a message, or 0: nothing is read.")
	}
	if !room.Member {
		return "", chat.Errorf(chat.Forbidden, "You are not a member of #%s.", room.Name)
	}
	return roomPath(room.Slug), s.Reads.Mark(r.Context(), []chat.Mark{{RoomID: room.ID, UserID: user.ID, Seq: seq, Back: r.PostForm.Get("back") == "true"}})
}
