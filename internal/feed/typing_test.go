package feed

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

// watched is a room whose changes of who is typing are recorded.
type watched struct {
	*room
	began time.Time
	told  chan string
}

func watch() *watched {
	w := &watched{began: time.Now(), told: make(chan string, 100)}
	w.room = &room{subs: map[*Subscription]struct{}{}}
	w.subs[&Subscription{room: w.room, wake: func() { // with the room's lock held
		var names []string
		if w.typing.told != nil {
			names = w.typing.told.Names
		}
		w.told <- fmt.Sprintf("%s %v", time.Since(w.began), names)
	}}] = struct{}{}
	return w
}

func (w *watched) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	for _, text := range want {
		if got := <-w.told; got != text {
			t.Errorf("told %s, want %s", got, text)
		}
	}
	if len(w.told) > 0 {
		t.Errorf("told %s as well", <-w.told)
	}
}

func TestTypingEndsByItselfAndIsToldOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch()
		w.typed([]string{"ada"})
		w.want(t, "0s [ada]")
		time.Sleep(100 * time.Millisecond)
		w.typed([]string{"eve"})
		w.typed([]string{"bob", "ada"})
		time.Sleep(3 * time.Second)
		w.typed([]string{"bob"}) // renewed
		w.want(t, "1s [ada bob eve]")
		time.Sleep(time.Minute)
		w.want(t, "6s [bob]", "9s []")
	})
}

func TestAMessageEndsItsAuthorsTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch()
		w.typed([]string{"ada", "bob"})
		w.want(t, "0s [ada bob]")
		w.mu.Lock()
		w.typing.ended([]chat.Message{{Author: "ada"}})
		w.mu.Unlock()
		w.typed([]string{"eve"})
		time.Sleep(time.Second)
		w.want(t, "1s [bob eve]")
		w.mu.Lock()
		w.typing.ended([]chat.Message{{Author: "eve"}, {Author: "bob"}})
		w.mu.Unlock()
		time.Sleep(time.Second)
		w.want(t, "2s []")
		// Who begins again at once is told an interval later.
		w.typed([]string{"ada"})
		time.Sleep(time.Minute)
		w.want(t, "3s [ada]", "7s []")
	})
}

func TestAtMostSoManyAreToldToType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch()
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprint(i)
		}
		w.typed(names)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.typing.told.Names); n != typingMost {
			t.Errorf("%d are told", n)
		}
		w.closed = true // ends its timer
	})
}
