package feed_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer/memory"
)

// A layer in memory hears nothing of the database, as the PostgreSQL layer behind a transaction pooler.
func TestPollingFindsWhatIsNewAndSeldomReadsWhoIsOnline(t *testing.T) {
	w := start(t)
	carrier := memory.New()
	w.Feed = feed.New(carrier, chat.NewMessages(w.pool), slog.New(slog.DiscardHandler))
	if err := errors.Join(w.Start(t.Context()), carrier.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(w.Stop(context.Background()), carrier.Stop(context.Background())) })
	s := w.subscribe(t, 0)
	const polls = 100
	for i := range int64(polls) {
		w.insert(t, 1, "x")
		w.Missed()
		mustTake(t, s, i, i+1)
	}
	u, err := s.Subscription.Next(t.Context())
	if err != nil || u.Presence == 0 || u.Presence > polls/10 {
		t.Errorf("who is online was told to have changed %d times in %d polls, error %v", u.Presence, polls, err)
	}
	// A message that is changed, and a room that is deleted, are found as well.
	if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = 'changed' where seq = 1`); err != nil {
		t.Fatal(err)
	}
	w.Missed()
	for u.Cursor.Rev < 1 {
		if u, err = s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.pool.Exec(t.Context(), `delete from chat.messages; delete from chat.rooms`); err != nil {
		t.Fatal(err)
	}
	w.Missed()
	for err == nil {
		_, err = s.Next(t.Context())
	}
	if !errors.Is(err, feed.ErrGone) {
		t.Errorf("the room was deleted: got %v, want ErrGone", err)
	}
}
