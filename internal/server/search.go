package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/page"
)

// search is the page of what was found: ?q=TEXT, &sort=newest, &tz=MINUTES east of UTC in which days are meant, and &at=PLACE, which
// comes from a page's link to more. Programs get JSON.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if wantsJSON(r) {
		user, err := s.caller(r)
		if err != nil {
			return err
		}
		found, err := s.find(r.Context(), user, q)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, consumer.Found(found))
		return nil
	}
	return s.signedIn(s.searchPage)(w, r)
}

func (s *Server) searchPage(w http.ResponseWriter, r *http.Request) (err error) {
	q := r.URL.Query()
	data := page.Search{Query: q.Get("q"), Order: order(q), Zone: q.Get("tz"), Later: q.Get("at") != ""}
	if data.Base, err = s.base(r); err != nil {
		return err
	}
	code := http.StatusOK
	if data.Asked = q.Get("q") != ""; data.Asked {
		if data.Found, err = s.find(r.Context(), *of(r).user, q); err != nil {
			fields, ok := fieldErrors(err)
			if !ok || fields["q"] == "" {
				return err
			}
			data.Errors, code = fields, status(err)
		}
	}
	if data.Found.Next != "" {
		data.Next = searchPath(q, data.Order, data.Found.Next)
	}
	data.Other = searchPath(q, map[chat.Order]chat.Order{chat.BestFirst: chat.NewestFirst}[data.Order], "")
	return s.render(w, code, data)
}

// find searches for what the address asks for.
func (s *Server) find(ctx context.Context, user chat.User, q url.Values) (chat.Found, error) {
	east, err := strconv.Atoi(cmp.Or(q.Get("tz"), "0"))
	if err != nil || east < -24*60 || east > 24*60 {
		return chat.Found{}, chat.Errorf(chat.Invalid, "tz is a number of minutes east of UTC.")
	}
	query, err := chat.ParseQuery(q.Get("q"), time.FixedZone("", east*60), time.Now())
	if err != nil {
		return chat.Found{}, err
	}
	if query.Empty() {
		return chat.Found{}, &chat.Error{Code: chat.Invalid, Field: "q", Message: "Nothing is searched for: type a word."}
	}
	return s.Search.Find(ctx, user, query, order(q), q.Get("at"))
}

func order(q url.Values) chat.Order {
	if q.Get("sort") == string(chat.NewestFirst) {
		return chat.NewestFirst
	}
	return chat.BestFirst
}

// searchPath is the address of the same search, ordered so and from a place on.
func searchPath(q url.Values, order chat.Order, at string) string {
	to := url.Values{"q": {q.Get("q")}}
	for name, value := range map[string]string{"tz": q.Get("tz"), "sort": string(order), "at": at} {
		if value != "" {
			to.Set(name, value)
		}
	}
	return "/search?" + to.Encode()
}
