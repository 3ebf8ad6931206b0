package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
)

// base is what every page of somebody who is signed in has.
func (s *Server) base(r *http.Request) (page.Base, error) {
	user := of(r).user
	rooms, err := s.Rooms.List(r.Context(), user.ID)
	if err != nil {
		return page.Base{}, err
	}
	ids := []uuid.UUID{user.ID}
	for _, room := range rooms {
		if room.Kind == chat.Direct && room.Members == 2 {
			ids = append(ids, room.Other)
		}
	}
	people, err := s.people(r.Context(), ids)
	return page.Base{User: user, Rooms: rooms, People: people, Announcements: s.announced(r)}, err
}

// people is how these users are.
func (s *Server) people(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]page.Person, error) {
	found, err := s.Presence.People(ctx, ids)
	if err != nil {
		return nil, err
	}
	people := make(map[uuid.UUID]page.Person, len(found))
	for id, p := range found {
		people[id] = page.Person(p)
	}
	return people, nil
}

// sidebar is the list of rooms alone.
func (s *Server) sidebar(w http.ResponseWriter, r *http.Request) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	writeHTML(w, http.StatusOK, s.Pages.Sidebar(base))
	return nil
}

func (s *Server) roomList(w http.ResponseWriter, r *http.Request) error {
	if wantsJSON(r) {
		rooms, err := s.Rooms.List(r.Context(), of(r).user.ID)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, consumer.Rooms(rooms))
		return nil
	}
	base, err := s.base(r)
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, page.RoomList{Base: base})
}

func (s *Server) newRoomForm(w http.ResponseWriter, r *http.Request) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, page.NewRoom{Base: base})
}

func (s *Server) newRoom(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r); err != nil {
		return err
	}
	name, topic, kind := r.PostForm.Get("name"), r.PostForm.Get("topic"), chat.Public
	if private := r.PostForm.Get("private"); private != "" && private != "false" {
		kind = chat.Private
	}
	err := s.mayPost(w, r)
	var room chat.Room
	if err == nil {
		room, err = s.Rooms.Create(r.Context(), *of(r).user, name, topic, kind)
	}
	switch {
	case err != nil && wantsJSON(r):
		return err
	case err == nil && wantsJSON(r):
		return s.tell(w, r, http.StatusCreated, room)
	case err == nil:
		http.Redirect(w, r, roomPath(room.Slug), http.StatusSeeOther)
		return nil
	}
	fields, ok := fieldErrors(err)
	if !ok {
		return err
	}
	base, baseErr := s.base(r)
	if baseErr != nil {
		return baseErr
	}
	return s.render(w, status(err), page.NewRoom{Base: base, Name: name, Topic: topic, Private: kind == chat.Private, Errors: fields})
}

func roomPath(slug string) string { return "/rooms/" + url.PathEscape(slug) }

// room is the room page at its newest messages, or at another place: ?before=SEQ, ?after=SEQ, ?at=SEQ, ?date=DAY. With ?reply=SEQ its
// form answers that message, with ?thread=SEQ the thread of a message is beside it. The pages' script
// asks for fragments: the room's part of the page, or, of another place, the messages alone, unless with ?view; the thread alone.
func (s *Server) room(w http.ResponseWriter, r *http.Request) error {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, consumer.Room(room))
		return nil
	}
	at, err := placeIn(r.URL.Query())
	if err != nil {
		return err
	}
	data, fragment := page.Room{PostID: newID()}, byScript(r)
	if data.Thread, err = s.askedThread(r, room); err != nil {
		return err
	}
	switch {
	case fragment && data.Thread != nil:
		writeHTML(w, http.StatusOK, s.Pages.Thread(*data.Thread))
		return nil
	case fragment && !at.newest() && !r.URL.Query().Has("view"):
		data.Room = room
		if err := s.window(r.Context(), at, &data); err != nil {
			return err
		}
		writeHTML(w, http.StatusOK, s.Pages.Window(data))
		return nil
	case fragment:
		if err := s.fillRoom(r, room, at, &data); err != nil {
			return err
		}
		view, err := s.Pages.View(data)
		if err != nil {
			return err
		}
		writeHTML(w, http.StatusOK, view)
		return nil
	}
	seq, err := replyTo(r.URL.Query().Get("reply"))
	if err != nil {
		return err
	}
	if data.Answers, err = s.answered(r.Context(), room, seq); err != nil {
		return err
	}
	return s.renderRoom(w, r, http.StatusOK, room, at, data)
}

func (s *Server) renderRoom(w http.ResponseWriter, r *http.Request, status int, room chat.Room, at place, data page.Room) error {
	var err error
	notice := data.Notice
	if data.Base, err = s.base(r); err != nil {
		return err
	}
	data.Notice = notice
	if err := s.fillRoom(r, room, at, &data); err != nil {
		return err
	}
	return s.render(w, status, data)
}

// fillRoom fills in what every showing of a room has.
func (s *Server) fillRoom(r *http.Request, room chat.Room, at place, data *page.Room) error {
	data.Room, data.May = room, room.May(*of(r).user)
	data.FileLimit = s.Files.Limit()
	data.Address = s.origin(r) + roomPath(room.Slug)
	if err := s.window(r.Context(), at, data); err != nil {
		return err
	}
	var err error
	if data.Pins, err = s.Messages.PinnedSeqs(r.Context(), room.ID); err != nil {
		return err
	}
	people, err := s.Presence.Online(r.Context(), room.ID)
	if err != nil {
		return err
	}
	for _, p := range people {
		data.People = append(data.People, page.Person(p))
	}
	return nil
}

// origin is the scheme and host under which the browser came.
func (s *Server) origin(r *http.Request) string {
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// newID makes the id under which the plain form posts.
func newID() uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.New()
	}
	return id
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) error {
	if isMultipart(r) {
		return s.postForm(w, r)
	}
	if err := parse(r); err != nil {
		return err
	}
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	files, err := uploadedBefore(r)
	if err == nil {
		err = s.postMessage(w, r, room, files)
	}
	if err != nil {
		return s.showRefused(w, r, room, err)
	}
	return nil
}

// postID is the id under which the message is stored. A program may leave it out; a form has one, that it is stored once however often
// it is sent.
func postID(r *http.Request) (uuid.UUID, error) {
	if wantsJSON(r) && !r.PostForm.Has("id") {
		return newID(), nil
	}
	id, err := uuid.Parse(r.PostForm.Get("id"))
	switch {
	case err == nil && id != uuid.Nil:
		return id, nil
	case wantsJSON(r):
		return uuid.Nil, &chat.Error{Code: chat.Invalid, Field: "id", Message: "The message's id is not a UUID."}
	}
	r.PostForm.Set("id", newID().String())
	return uuid.Nil, &chat.Error{Code: chat.Invalid, Field: "id", Message: "The form had no valid id, so the message was not sent. It has one now: send it again."}
}

// postMessage posts what is in the form, or does what it commands, and goes back to the room. The pages' script, which posts by the
// connection, has commands done here; what a program posts is a message, whatever it begins with.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request, room chat.Room, files []uuid.UUID) error {
	id, err := postID(r)
	if err != nil {
		return err
	}
	if err := s.mayPost(w, r); err != nil {
		return err
	}
	told, body, isCommand := "", r.PostForm.Get("body"), false
	if !wantsJSON(r) {
		told, body, isCommand, err = s.command(r, room, body, len(files))
	}
	switch {
	case err != nil:
		return err
	case isCommand && byScript(r):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(told)) //nolint:gosec // plain text
		return nil
	case isCommand:
		if room, err = s.Rooms.BySlug(r.Context(), of(r).user.ID, room.Slug); err != nil { // as the command has made it
			return err
		}
		return s.renderRoom(w, r, http.StatusOK, room, place{}, page.Room{Base: page.Base{Notice: told}, PostID: id})
	}
	answers, err := replyTo(r.PostForm.Get("reply_to"))
	if err != nil {
		return err
	}
	seq, err := s.Writer.Post(r.Context(), chat.Post{RoomID: room.ID, ID: id, AuthorID: of(r).user.ID, Body: body, ReplyTo: answers, Files: files})
	if err != nil {
		return err
	}
	return s.doneMessage(w, r, http.StatusCreated, room, seq, s.after(r, room, answers))
}

// showRefused shows the room, with the text still in its form, and why it was not posted.
func (s *Server) showRefused(w http.ResponseWriter, r *http.Request, room chat.Room, err error) error {
	fields, ok := fieldErrors(err)
	failed := status(err)
	if byScript(r) || wantsJSON(r) || !ok && failed >= http.StatusInternalServerError {
		return err
	}
	data, err := s.refused(r, room, fields)
	if err != nil {
		return err
	}
	return s.renderRoom(w, r, failed, room, place{}, data)
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	room, err := s.Rooms.BySlug(r.Context(), of(r).user.ID, r.PathValue("slug"))
	if err != nil {
		return err
	}
	if room.Archived {
		return chat.Errorf(chat.Forbidden, "#%s is archived: nobody can join it.", room.Name)
	}
	if err := s.mayPost(w, r); err != nil {
		return err
	}
	if err := s.Rooms.Join(r.Context(), room.ID, of(r).user.ID); err != nil {
		return err
	}
	if wantsJSON(r) {
		return s.tellRoom(w, r, room)
	}
	http.Redirect(w, r, roomPath(room.Slug), http.StatusSeeOther)
	return nil
}

// socket serves the pages' WebSocket. What is refused is refused before the upgrade.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) error {
	known := of(r)
	if known.token == "" { // a token is for programs
		return chat.Errorf(chat.Unauthenticated, "You are not signed in.")
	}
	if s.draining.Load() {
		return chat.Errorf(chat.Unavailable, "The server is stopping.")
	}
	s.Sockets.ServePage(w, r, *known.user, consumer.Proof{Session: known.token})
	return nil
}

// programSocket serves the WebSocket of programs, which join rooms by frames.
func (s *Server) programSocket(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return chat.Errorf(chat.Unavailable, "The server is stopping.")
	}
	user, err := s.caller(r)
	if err != nil {
		return err
	}
	s.Sockets.ServeProgram(w, r, user, consumer.Proof{Session: of(r).token, Token: of(r).bearer})
	return nil
}
