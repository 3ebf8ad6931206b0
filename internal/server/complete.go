package server

import (
	"net/http"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
)

const mostCompletions = 8

// completion is one way to go on with what is typed.
type completion struct {
	Text string `json:"text"` // that takes its place
	Note string `json:"note,omitempty"`
}

// complete answers with how ?word= may go on: "@ad", "#gen" or "/to".
func (s *Server) complete(w http.ResponseWriter, r *http.Request) error {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	word, list := r.URL.Query().Get("word"), []completion{}
	switch {
	case strings.HasPrefix(word, "@"):
		list, err = s.addressees(r, room, word[1:])
	case strings.HasPrefix(word, "#"):
		list, err = s.roomsCalled(r, word[1:])
	case strings.HasPrefix(word, "/"):
		for _, c := range commandList {
			if strings.HasPrefix(c.name, strings.ToLower(word[1:])) {
				list = append(list, completion{"/" + c.name, c.what})
			}
		}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) addressees(r *http.Request, room chat.Room, part string) ([]completion, error) {
	people, err := s.People.Addressable(r.Context(), room.ID, part, mostCompletions)
	if err != nil {
		return nil, err
	}
	list := make([]completion, 0, len(people)+2)
	for _, p := range people {
		c := completion{Text: "@" + p.Name}
		if !p.Member {
			c.Note = "not a member: is not told"
		}
		list = append(list, c)
	}
	for _, c := range []completion{{"@here", "who is online"}, {"@everyone", "all members"}} {
		if part != "" && strings.HasPrefix(c.Text[1:], strings.ToLower(part)) {
			list = append(list, c)
		}
	}
	return list, nil
}

func (s *Server) roomsCalled(r *http.Request, part string) ([]completion, error) {
	rooms, err := s.Rooms.List(r.Context(), of(r).user.ID)
	if err != nil {
		return nil, err
	}
	part = strings.ToLower(part)
	var begin, hold []completion
	for _, room := range rooms {
		if room.Kind == chat.Direct || room.Archived {
			continue
		}
		c := completion{Text: "#" + room.Slug}
		if room.Slug != strings.ToLower(room.Name) {
			c.Note = room.Name
		}
		switch {
		case strings.HasPrefix(room.Slug, part) || strings.HasPrefix(strings.ToLower(room.Name), part):
			begin = append(begin, c)
		case strings.Contains(room.Slug, part) || strings.Contains(strings.ToLower(room.Name), part):
			hold = append(hold, c)
		}
	}
	list := append(append([]completion{}, begin...), hold...)
	return list[:min(len(list), mostCompletions)], nil
}
