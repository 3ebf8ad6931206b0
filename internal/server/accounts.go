package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	to := "/rooms/general"
	if of(r).user == nil {
		empty, err := s.People.Empty(r.Context())
		if err != nil {
			return err
		}
		to = "/sign-in"
		if empty { // where sign-up is closed, the page says how to make the first account
			to = "/sign-up"
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *Server) signInForm(w http.ResponseWriter, r *http.Request) error {
	if of(r).user != nil {
		http.Redirect(w, r, next(r), http.StatusSeeOther) //nolint:gosec // next lets addresses of this site through only
		return nil
	}
	return s.render(w, http.StatusOK, page.SignIn{Next: next(r), SignupOpen: s.People.SignupOpen()})
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	form := page.SignIn{Name: r.PostForm.Get("name"), Next: next(r), SignupOpen: s.People.SignupOpen()}
	var user chat.User
	err := allow(w, s.tries, s.address(r))
	if err == nil {
		user, err = s.People.SignIn(r.Context(), form.Name, r.PostForm.Get("password"))
	}
	if err != nil {
		var ok bool
		if form.Errors, ok = fieldErrors(err); !ok {
			return err
		}
		return s.render(w, status(err), form)
	}
	return s.welcome(w, r, user)
}

func (s *Server) signUpForm(w http.ResponseWriter, r *http.Request) error {
	empty, err := s.People.Empty(r.Context())
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, page.SignUp{Next: next(r), First: empty, Open: s.People.SignupOpen()})
}

func (s *Server) signUp(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	form := page.SignUp{Name: r.PostForm.Get("name"), Next: next(r), Open: s.People.SignupOpen()}
	var user chat.User
	err := allow(w, s.tries, s.address(r))
	if err == nil {
		user, err = s.People.SignUp(r.Context(), form.Name, r.PostForm.Get("password"))
	}
	if err != nil {
		answer, ok := status(err), false
		if form.Errors, ok = fieldErrors(err); !ok {
			return err
		}
		if form.First, err = s.People.Empty(r.Context()); err != nil {
			return err
		}
		return s.render(w, answer, form)
	}
	return s.welcome(w, r, user)
}

// welcome starts a session. The one that the browser had before ends: a token that somebody planted is worth nothing.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, user chat.User) error {
	if old, err := r.Cookie(cookieName); err == nil {
		if err := s.Sessions.End(r.Context(), old.Value); err != nil {
			return err
		}
	}
	token, expires, err := s.Sessions.Start(r.Context(), user.ID, r.UserAgent())
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(r, token, expires))
	http.Redirect(w, r, next(r), http.StatusSeeOther) //nolint:gosec // next lets addresses of this site through only
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if known := of(r); known.token != "" {
		if err := s.Sessions.End(r.Context(), known.token); err != nil {
			return err
		}
	}
	http.SetCookie(w, s.cookie(r, "", time.Unix(1, 0)))
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	return nil
}

func (s *Server) cookie(r *http.Request, token string, expires time.Time) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where the browser came by TLS; a cookie that asks for it would be lost on plain HTTP
		Name: cookieName, Value: token, Path: "/", Expires: expires,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure(r),
	}
}

// signedIn sends who is not signed in to the sign-in page, and back afterwards.
func (s *Server) signedIn(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if of(r).user != nil {
			return h(w, r)
		}
		if wantsJSON(r) {
			_, err := s.caller(r)
			return err
		}
		if typed(r) != "" {
			// A redirect would lose what was typed.
			return chat.Errorf(chat.Unauthenticated, "You are not signed in any more, so the message was not sent. Copy it, sign in and send it again.")
		}
		http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(backTo(r)), http.StatusSeeOther)
		return nil
	}
}

// backTo is where to go after signing in: to the page that was asked for, or the room that a form was about.
func backTo(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	if slug := r.PathValue("slug"); slug != "" {
		return roomPath(slug)
	}
	return "/"
}

// next is where to go after signing in: an address of this site, else the start page.
func next(r *http.Request) string {
	to := r.FormValue("next")
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") ||
		strings.ContainsAny(to, "\\\r\n\t") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return to
}

func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return chat.Errorf(chat.TooLarge, "What was sent has more than the %d KiB that are allowed. Go back: your text is still in the form. Shorten it, or send it in parts.", tooLarge.Limit>>10)
	}
	return chat.Errorf(chat.Invalid, "The form cannot be read. Load the page again and send it anew.")
}
