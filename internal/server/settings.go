package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

const (
	peopleAtOnce = 500 // listed to choose from
	peopleFound  = 20  // listed of those who are called as was typed
)

// inRoom is a handler of a form about the room in the address. What its form got wrong is shown on the room's settings page. A
// program is told what has become of the room.
func (s *Server) inRoom(act func(r *http.Request, user chat.User, room chat.Room) (to string, err error), tell func(http.ResponseWriter, *http.Request, chat.Room) error) handler {
	return s.signedIn(func(w http.ResponseWriter, r *http.Request) error {
		if err := parse(r); err != nil {
			return err
		}
		user := *of(r).user
		room, err := s.Rooms.BySlug(r.Context(), user.ID, r.PathValue("slug"))
		if err != nil {
			return err
		}
		err, to := s.mayPost(w, r), ""
		if err == nil {
			to, err = act(r, user, room)
		}
		switch {
		case err != nil && (wantsJSON(r) || byScript(r)):
			return err
		case err == nil && wantsJSON(r):
			return tell(w, r, room)
		case err == nil:
			done(w, r, to)
			return nil
		}
		fields, ok := fieldErrors(err)
		if !ok {
			return err
		}
		return s.renderSettings(w, r, status(err), room, page.Settings{
			Name: inForm(r, "name", room.Name), Topic: inForm(r, "topic", room.Topic), Names: r.PostForm.Get("names"), KeepDays: inForm(r, "keep_days", daysKept(room)), Errors: fields,
		})
	})
}

// inForm is what was typed into a field of the form that was sent; of another form's what it is now.
func inForm(r *http.Request, name, now string) string {
	if !r.PostForm.Has(name) {
		return now
	}
	return r.PostForm.Get(name)
}

// daysKept is for how many days the room keeps its messages; "": for ever.
func daysKept(room chat.Room) string {
	if room.KeepDays == 0 {
		return ""
	}
	return strconv.Itoa(room.KeepDays)
}

func settingsPath(room chat.Room) string { return roomPath(room.Slug) + "/settings" }

func (s *Server) settings(w http.ResponseWriter, r *http.Request) error {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return s.renderSettings(w, r, http.StatusOK, room, page.Settings{Name: room.Name, Topic: room.Topic, KeepDays: daysKept(room)})
}

func (s *Server) renderSettings(w http.ResponseWriter, r *http.Request, status int, room chat.Room, data page.Settings) error {
	var err error
	if data.Base, err = s.base(r); err != nil {
		return err
	}
	if data.Members, err = s.Rooms.MembersOf(r.Context(), room.ID); err != nil {
		return err
	}
	ids := make([]uuid.UUID, 0, len(data.Members))
	for _, m := range data.Members {
		ids = append(ids, m.ID)
	}
	members, err := s.people(r.Context(), ids)
	if err != nil {
		return err
	}
	maps.Copy(data.People, members)
	data.Room, data.May = room, room.May(*of(r).user)
	return s.render(w, status, data)
}

func (s *Server) updateRoom(r *http.Request, user chat.User, room chat.Room) (string, error) {
	return roomPath(room.Slug), s.Rooms.Update(r.Context(), user, room, given(r, "name", room.Name), given(r, "topic", room.Topic))
}

// keepMessages takes for how many days the room keeps its messages: a number, or for ever. Fewer than before are confirmed.
func (s *Server) keepMessages(r *http.Request, user chat.User, room chat.Room) (string, error) {
	days, text := 0, strings.TrimSpace(r.PostForm.Get("keep_days"))
	switch {
	case wantsJSON(r) && !r.PostForm.Has("keep_days"):
		return "", chat.Errorf(chat.Invalid, "keep_days is for how many days messages are kept; null: for ever.")
	case r.PostForm.Get("keep") == "forever", wantsJSON(r) && text == "":
	default:
		var err error
		if days, err = strconv.Atoi(text); err != nil || days < 1 {
			return "", &chat.Error{Code: chat.Invalid, Field: "keep_days", Message: fmt.Sprintf("Say for how many days, from 1 to %d.", chat.MaxKeepDays)}
		}
	}
	return settingsPath(room) + "#retention", s.Rooms.Keep(r.Context(), user, room, days, r.PostForm.Get("confirm") == "true")
}

func (s *Server) archiveRoom(r *http.Request, user chat.User, room chat.Room) (string, error) {
	return settingsPath(room), s.Rooms.Archive(r.Context(), user, room, r.PostForm.Get("archived") == "true")
}

func (s *Server) leaveRoom(r *http.Request, user chat.User, room chat.Room) (string, error) {
	return "/rooms", s.Rooms.Leave(r.Context(), user, room)
}

func (s *Server) invite(r *http.Request, user chat.User, room chat.Room) (string, error) {
	return settingsPath(room) + "#members", s.Rooms.Invite(r.Context(), user, room, strings.Join(r.PostForm["names"], " "))
}

func (s *Server) removeMember(r *http.Request, user chat.User, room chat.Room) (string, error) {
	member, err := memberOf(r)
	if err != nil {
		return "", err
	}
	return settingsPath(room) + "#members", s.Rooms.Remove(r.Context(), user, room, member)
}

func (s *Server) setOwner(r *http.Request, user chat.User, room chat.Room) (string, error) {
	member, err := memberOf(r)
	if err != nil {
		return "", err
	}
	return settingsPath(room) + "#members", s.Rooms.SetOwner(r.Context(), user, room, member, r.PostForm.Get("owner") == "true")
}

func memberOf(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("user"))
	if err != nil {
		return uuid.Nil, chat.Errorf(chat.Invalid, "%q is no user's id.", r.PathValue("user"))
	}
	return id, nil
}

// prefer takes what is given and keeps the rest.
func (s *Server) prefer(r *http.Request, user chat.User, room chat.Room) (string, error) {
	to := settingsPath(room)
	if !room.Member {
		return "", chat.Errorf(chat.Forbidden, "You are not a member of #%s.", room.Name)
	}
	starred, notify := room.Starred, room.Notify
	if given := r.PostForm.Get("starred"); given != "" {
		starred, to = given == "true", roomPath(room.Slug)
	}
	if given := r.PostForm.Get("notify"); given != "" {
		notify, to = given, settingsPath(room) // the form there sends both
	}
	return to, s.Rooms.Prefer(r.Context(), user.ID, room.ID, starred, notify)
}

// newDirect is the page on which people are chosen to write to.
func (s *Server) newDirect(w http.ResponseWriter, r *http.Request) error {
	return s.renderNewDirect(w, r, http.StatusOK, page.NewDirect{})
}

func (s *Server) renderNewDirect(w http.ResponseWriter, r *http.Request, status int, data page.NewDirect) error {
	var err error
	if data.Base, err = s.base(r); err != nil {
		return err
	}
	data.Query = r.FormValue("q")
	data.People, err = s.People.Find(r.Context(), data.Query, peopleAtOnce)
	if err != nil {
		return err
	}
	return s.render(w, status, data)
}

func (s *Server) direct(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r); err != nil {
		return err
	}
	var others []uuid.UUID
	for _, given := range r.PostForm["user"] {
		id, err := uuid.Parse(given)
		if err != nil {
			return chat.Errorf(chat.Invalid, "%q is no user's id.", given)
		}
		others = append(others, id)
	}
	if len(others) == 0 && wantsJSON(r) {
		return chat.Errorf(chat.Invalid, "user is the ids of those with whom it is, or your own for notes.")
	}
	if len(others) == 0 {
		return s.renderNewDirect(w, r, http.StatusUnprocessableEntity, page.NewDirect{Errors: map[string]string{"user": "Choose somebody."}})
	}
	err := s.mayPost(w, r)
	var room chat.Room
	if err == nil {
		room, err = s.Rooms.Direct(r.Context(), *of(r).user, others...)
	}
	switch {
	case err != nil && wantsJSON(r):
		return err
	case wantsJSON(r):
		return s.tellRoom(w, r, room)
	case err != nil:
		fields, ok := fieldErrors(err)
		if !ok {
			return err
		}
		return s.renderNewDirect(w, r, status(err), page.NewDirect{Errors: fields})
	}
	http.Redirect(w, r, roomPath(room.Slug), http.StatusSeeOther)
	return nil
}

// switcher is what the quick switcher chooses from: the rooms and the people, or, with ?q=NAME, people who are called so.
func (s *Server) switcher(w http.ResponseWriter, r *http.Request) error {
	data := page.Switcher{}
	var err error
	if part := strings.TrimSpace(r.URL.Query().Get("q")); part != "" {
		if data.People, err = s.People.Called(r.Context(), part, peopleFound); err != nil {
			return err
		}
		writeHTML(w, http.StatusOK, s.Pages.Switcher(data))
		return nil
	}
	if data.Rooms, err = s.Rooms.List(r.Context(), of(r).user.ID); err != nil {
		return err
	}
	if data.People, err = s.People.Called(r.Context(), "", peopleAtOnce); err != nil {
		return err
	}
	data.More = len(data.People) == peopleAtOnce
	data.People = slices.DeleteFunc(data.People, func(p chat.Member) bool { // a conversation with them is among the rooms
		return slices.ContainsFunc(data.Rooms, func(r chat.Room) bool { return r.Kind == chat.Direct && r.Members == 2 && r.Other == p.ID })
	})
	writeHTML(w, http.StatusOK, s.Pages.Switcher(data))
	return nil
}
