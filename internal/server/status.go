package server

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

// localTime is how a form without a script gives a day and time.
const localTime = "2006-01-02T15:04"

// statusForm is the page on which one sets one's status; the pages' script asks for its form alone.
func (s *Server) statusForm(w http.ResponseWriter, r *http.Request) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	now := base.People[of(r).user.ID].Status
	data := page.Status{Base: base, Emoji: now.Emoji, Text: now.Text, Ends: "today"}
	if now.Says() {
		data.Ends = "never"
		if now.Until.Before(chat.Forever()) {
			data.Ends, data.Until = "custom", now.Until.UTC().Format(localTime)
		}
	}
	return s.renderStatus(w, r, http.StatusOK, data)
}

func (s *Server) renderStatus(w http.ResponseWriter, r *http.Request, status int, data page.Status) error {
	if byScript(r) {
		writeHTML(w, status, s.Pages.StatusForm(data))
		return nil
	}
	return s.render(w, status, data)
}

func (s *Server) setStatus(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	form := page.Status{Emoji: r.PostForm.Get("emoji"), Text: r.PostForm.Get("text"), Ends: r.PostForm.Get("ends"), Until: r.PostForm.Get("until")}
	for _, q := range page.QuickStatuses() {
		if r.PostForm.Get("quick") == q.Value {
			form.Emoji, form.Text, form.Ends = q.Emoji, q.Text, q.Ends
		}
	}
	if r.PostForm.Get("clear") != "" {
		form = page.Status{Ends: "never"}
	}
	until, err := end(form.Ends, form.Until, r.PostForm)
	if err == nil {
		err = s.mayPost(w, r)
	}
	if err == nil {
		err = s.People.SetStatus(r.Context(), of(r).user.ID, form.Emoji, form.Text, until)
	}
	if err == nil {
		return s.done(w, r)
	}
	var ok bool
	if form.Errors, ok = fieldErrors(err); !ok || wantsJSON(r) {
		return err
	}
	answer := status(err)
	if form.Base, err = s.base(r); err != nil {
		return err
	}
	return s.renderStatus(w, r, answer, form)
}

func (s *Server) doNotDisturb(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	var until *time.Time
	switch given := r.PostForm.Get("for"); given {
	case "":
	case "forever":
		forever := chat.Forever()
		until = &forever
	default:
		var err error
		if until, err = end(given, "", r.PostForm); err != nil {
			return err
		}
	}
	if err := s.mayPost(w, r); err != nil {
		return err
	}
	if err := s.People.DoNotDisturb(r.Context(), of(r).user.ID, until); err != nil {
		return err
	}
	return s.done(w, r)
}

// statusCommand takes an emoji, a text, or both.
func (s *Server) statusCommand(r *http.Request, _ chat.Room, rest string) (string, error) {
	emoji, text, _ := strings.Cut(rest, " ")
	if !chat.IsEmoji(emoji) {
		emoji, text = "", rest
	}
	if err := s.People.SetStatus(r.Context(), of(r).user.ID, emoji, text, nil); err != nil {
		return "", err
	}
	if rest == "" {
		return "Your status is cleared.", nil
	}
	return "Your status is set. It stays until you change it.", nil
}

func (s *Server) dndCommand(r *http.Request, _ chat.Room, rest string) (string, error) {
	var until *time.Time
	told := "You are not disturbed any more, until you type /dnd off."
	switch rest {
	case "off":
		told = "You may be disturbed again."
	case "", "forever":
		forever := chat.Forever()
		until = &forever
	case "30m", "1h", "4h":
		var err error
		if until, err = end(rest, "", r.PostForm); err != nil {
			return "", err
		}
		told = "You are not disturbed now."
	default:
		return "", wrongCommand("Say for how long: /dnd 30m, 1h, 4h or forever. /dnd off ends it.")
	}
	return told, s.People.DoNotDisturb(r.Context(), of(r).user.ID, until)
}

// done answers a form that the menu at one's name has: the script needs nothing more, others go back to where they were.
func (s *Server) done(w http.ResponseWriter, r *http.Request) error {
	done(w, r, cameFrom(r))
	return nil
}

// cameFrom is the address of the page that has a form which every page has; "/" where that is not known, or the form's own.
func cameFrom(r *http.Request) string {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host || from.Path == "" || from.Path == "/status" {
		return "/"
	}
	return from.RequestURI()
}

// end is when a status ends that was given an end of this name; nil: never by itself. The pages' script adds what it knows of
// the reader's clock: "midnight", and "at" for the day and time that were typed. Without it they are taken as UTC.
func end(name, typed string, form url.Values) (*time.Time, error) {
	now := time.Now()
	var until time.Time
	switch name {
	case "30m", "1h", "4h":
		length, err := time.ParseDuration(name)
		if err != nil {
			return nil, badForm(err)
		}
		until = now.Add(length)
	case "today":
		until = now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		if local, err := time.Parse(time.RFC3339, form.Get("midnight")); err == nil && local.After(now) && local.Before(now.Add(26*time.Hour)) {
			until = local
		}
	case "never":
		return nil, nil //nolint:nilnil // no end
	case "custom":
		var err error
		if until, err = time.Parse(time.RFC3339, form.Get("at")); err != nil {
			if until, err = time.Parse(localTime, typed); err != nil {
				return nil, &chat.Error{Code: chat.Invalid, Field: "until", Message: "Say at what day and time it ends."}
			}
		}
	default:
		return nil, &chat.Error{Code: chat.Invalid, Field: "until", Message: "Say when it ends."}
	}
	return &until, nil
}
