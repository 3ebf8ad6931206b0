package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// dismissedCookie has the ids of what was announced and the reader does not want to see any more, separated by dots. The pages' script
// reads it.
const dismissedCookie = "pgchat_dismissed"

func dismissed(r *http.Request) []string {
	cookie, err := r.Cookie(dismissedCookie)
	if err != nil {
		return nil
	}
	return strings.Split(cookie.Value, ".")
}

// announced is what is announced and was not dismissed.
func (s *Server) announced(r *http.Request) []chat.Announcement {
	gone := dismissed(r)
	return slices.DeleteFunc(slices.Clone(s.Sockets.Announced()), func(a chat.Announcement) bool { return slices.Contains(gone, a.ID.String()) })
}

// dismiss has this browser show an announcement no more.
func (s *Server) dismiss(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return chat.Errorf(chat.NotFound, "There is no such announcement.")
	}
	gone := []string{id.String()}
	for _, a := range s.Sockets.Announced() { // what has ended needs no place in the cookie
		if old := a.ID.String(); a.ID != id && slices.Contains(dismissed(r), old) {
			gone = append(gone, old)
		}
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the pages' script reads it; nothing in it is secret
		Name: dismissedCookie, Value: strings.Join(gone, "."), Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()), SameSite: http.SameSiteLaxMode, Secure: s.secure(r),
	})
	done(w, r, cameFrom(r))
	return nil
}
