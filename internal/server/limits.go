package server

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	triesAtOnce = 10
	triesEvery  = 6 * time.Second
)

// allow counts one more of the key. Where that is too much, the answer will say after how many seconds it is not.
func allow[K comparable](w http.ResponseWriter, l *chat.Limiter[K], key K) error {
	wait, err := l.Allow(key)
	if err != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return err
}

// mayPost counts one more of what the user posts or changes.
func (s *Server) mayPost(w http.ResponseWriter, r *http.Request) error {
	return allow(w, s.PostLimit, of(r).user.ID)
}
