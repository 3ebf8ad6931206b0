package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

const threadLength = 100 // replies that a thread shows at once

// replyTo reads the seq of the message that a form answers; 0: none.
func replyTo(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, &chat.Error{Code: chat.Invalid, Field: "reply_to", Message: "The form does not say which message it answers, so yours was not sent. Send it again without answering one."}
	}
	return seq, nil
}

// answered is the message that the form of a room's page is to answer; nil: there is no such message in the room.
func (s *Server) answered(ctx context.Context, room chat.Room, seq int64) (*chat.Message, error) {
	if seq < 1 || seq > room.LastSeq {
		return nil, nil
	}
	found, err := s.Messages.Between(ctx, room.ID, seq, seq)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// thread is the thread of a message, with its newest replies, or those before another one; nil: there is no such message in the room.
func (s *Server) thread(ctx context.Context, room chat.Room, seq, before int64) (*page.Thread, error) {
	if seq < 1 {
		return nil, nil
	}
	first, err := s.Messages.ThreadOf(ctx, room.ID, seq)
	if err != nil {
		return nil, err
	}
	root, err := s.answered(ctx, room, first)
	if err != nil || root == nil {
		return nil, err
	}
	t := &page.Thread{Room: room, First: *root, PostID: newID(), FileLimit: s.Files.Limit()}
	if t.Replies, err = s.Messages.Replies(ctx, room.ID, first, before, threadLength+1); err != nil {
		return nil, err
	}
	if len(t.Replies) > threadLength {
		t.Replies = t.Replies[1:]
		t.Earlier = t.Replies[0].Seq
	}
	return t, nil
}

// askedThread reads ?thread=SEQ, with ?earlier=SEQ the replies before that one.
func (s *Server) askedThread(r *http.Request, room chat.Room) (*page.Thread, error) {
	seq, err := askedNumber(r.URL.Query(), "thread")
	if err != nil || seq == 0 {
		return nil, err
	}
	earlier, err := askedNumber(r.URL.Query(), "earlier")
	if err != nil {
		return nil, err
	}
	t, err := s.thread(r.Context(), room, seq, earlier)
	switch {
	case err != nil || t != nil:
	case seq < room.FirstSeq:
		err = chat.Errorf(chat.NotFound, "Message %d is no longer here. %s", seq, room.Kept())
	case seq <= room.LastSeq:
		err = chat.Errorf(chat.NotFound, "The message that began this thread is no longer here. %s", room.Kept())
	default:
		err = chat.Errorf(chat.NotFound, "There is no message %d in this room.", seq)
	}
	return t, err
}

// askedNumber reads the number of a message from an address; 0: there is none.
func askedNumber(q url.Values, name string) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, chat.Errorf(chat.Invalid, "%q is not the number of a message.", text)
	}
	return seq, nil
}

// after is where the form that has posted goes to: the room, or the thread beside it.
func (s *Server) after(r *http.Request, room chat.Room, answers int64) string {
	if r.PostForm.Has("thread") {
		return roomPath(room.Slug) + "?thread=" + strconv.FormatInt(answers, 10)
	}
	return roomPath(room.Slug)
}

// refused is a room's page with what was typed in the form that it was typed in, and why it was not posted.
func (s *Server) refused(r *http.Request, room chat.Room, why map[string]string) (page.Room, error) {
	id, err := uuid.Parse(r.PostForm.Get("id"))
	if err != nil {
		id = newID()
	}
	data := page.Room{Draft: r.PostForm.Get("body"), PostID: id, Errors: why}
	answers, _ := replyTo(r.PostForm.Get("reply_to")) // why says so, where it is wrong
	if r.PostForm.Has("thread") {
		if data.Thread, err = s.thread(r.Context(), room, answers, 0); err != nil || data.Thread == nil {
			return data, err
		}
		data.Thread.Draft, data.Thread.PostID, data.Thread.Errors = data.Draft, id, why
		data.Draft, data.PostID, data.Errors = "", newID(), nil
		return data, nil
	}
	data.Answers, err = s.answered(r.Context(), room, answers)
	return data, err
}
