package layer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgchat/pgchat/internal/layer"
)

func next(t *testing.T, m *layer.Mailbox, want layer.Event) {
	t.Helper()
	got, err := m.Next(t.Context())
	if err != nil || got != want {
		t.Fatalf("got %+v, error %v; want %+v", got, err, want)
	}
}

func TestAFullMailboxDropsTheOldestAndSaysSo(t *testing.T) {
	m := layer.NewMailbox(3, 0)
	for i := range 5 {
		m.Receive("g", fmt.Sprint(i))
	}
	next(t, m, layer.Event{Group: "g", Payload: "2", Missed: true})
	next(t, m, layer.Event{Group: "g", Payload: "3"})
	m.Receive("", "5")
	next(t, m, layer.Event{Group: "g", Payload: "4"})
	next(t, m, layer.Event{Payload: "5"})
	if n := m.Dropped(); n != 2 {
		t.Errorf("%d were dropped, want 2", n)
	}
}

func TestWhatIsNotTakenInTimeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := layer.NewMailbox(10, time.Second)
		m.Receive("g", "old")
		time.Sleep(600 * time.Millisecond)
		m.Receive("g", "young")
		time.Sleep(600 * time.Millisecond)
		next(t, m, layer.Event{Group: "g", Payload: "young", Missed: true})
		m.Receive("g", "alone")
		time.Sleep(time.Second)
		next(t, m, layer.Event{Missed: true})
		if n := m.Dropped(); n != 2 {
			t.Errorf("%d were dropped, want 2", n)
		}
	})
}

func TestNextWaitsForAnEventAMissOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := layer.NewMailbox(1, time.Second)
		time.AfterFunc(time.Minute, func() { m.Receive("g", "x") })
		next(t, m, layer.Event{Group: "g", Payload: "x"})
		time.AfterFunc(time.Minute, m.Missed)
		next(t, m, layer.Event{Missed: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}
