package feed_test

import (
	"errors"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

// setBack has the room be as it was at seq, as a restore would, whose history begins there; n messages follow.
func (w *world) setBack(t testing.TB, seq int64, n int) {
	t.Helper()
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `set local session_replication_role = replica`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`delete from chat.messages where seq > $1`, `update chat.room_heads set last_seq = $1`} {
		if _, err := tx.Exec(t.Context(), sql, seq); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(t.Context(), `select chat.begin_history()`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.insert(t, n, "after the restore")
}

func (w *world) history(t testing.TB) (id string) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), `select chat.history()`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestACursorHoldsAsFarAsTheHistoriesAreOne(t *testing.T) {
	w := start(t)
	w.insert(t, 10, "x")
	first := w.history(t)
	open := w.subscribe(t, 10) // the feed has the room as it was in the first history
	if err := take(t.Context(), open, 10, 10); err != nil {
		t.Fatal(err)
	}
	w.setBack(t, 8, 5) // to 13: further than anybody was before
	second := w.history(t)
	w.setBack(t, 12, 3) // to 15
	// Whoever had the room open with what is gone is told, though it does not leave, and others have it open anew.
	for {
		if _, err := open.Next(t.Context()); errors.Is(err, feed.ErrAhead) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for cursor, holds := range map[chat.Cursor]bool{
		{Seq: 8, History: first}: true, {Seq: 9, History: first}: false, {Seq: 10, History: first}: false, {Seq: 1, Rev: 1, History: first}: false,
		{Seq: 12, History: second}: true, {Seq: 13, History: second}: false, {Seq: 15, History: w.history(t)}: true, {Seq: 16, History: w.history(t)}: false,
		{Seq: 1, History: "unknown"}: false, {Seq: 9}: true, {Seq: 16}: false,
	} {
		s, err := w.from(t.Context(), cursor)
		switch {
		case holds && err != nil, !holds && !errors.Is(err, feed.ErrAhead):
			t.Errorf("cursor %s: got error %v, holds: %v", cursor, err, holds)
		case holds:
			if err := take(t.Context(), s, cursor.Seq, 15); err != nil {
				t.Errorf("cursor %s: %v", cursor, err)
			}
			if got := s.Cursor().History; got != w.history(t) {
				t.Errorf("cursor %s became one of history %q, want %q", cursor, got, w.history(t))
			}
			s.Close()
		}
	}
}

func TestAHistoryThatTakesNothingAwayIsToldWithoutALoad(t *testing.T) {
	w := start(t)
	w.insert(t, 3, "x")
	s := w.subscribe(t, 0)
	if err := take(t.Context(), s, 0, 3); err != nil {
		t.Fatal(err)
	}
	first := s.Cursor().History
	if _, err := w.pool.Exec(t.Context(), `select chat.begin_history()`); err != nil {
		t.Fatal(err)
	}
	for s.Cursor().History == first {
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.insert(t, 1, "x")
	mustTake(t, s, 3, 4)
}
