package feed_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

// ages makes messages up to one older than their room keeps them, and removes them.
func (w *world) ages(t *testing.T, upTo int) {
	t.Helper()
	for _, sql := range []string{
		fmt.Sprintf(`begin; set local session_replication_role = replica; update chat.messages set created_at = created_at - interval '9 days' where seq <= %d; commit`, upTo),
		`update chat.rooms set keep_days = 7 where slug = 'general' and keep_days is null`,
		`select chat.retain()`,
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// gets reads until the subscriber has come to a message, and where the room begins is known; it returns both, as they come.
func (s *subscriber) gets(t *testing.T, last, kept int64) (seqs []int64) {
	t.Helper()
	for s.Cursor().Seq < last || kept > 0 {
		u, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if u.Kept >= kept {
			kept = 0
		}
		for _, e := range u.Events {
			for _, m := range e.Messages {
				if m.Seq < u.Kept {
					t.Errorf("message %d was handed out by a room that begins with %d", m.Seq, u.Kept)
				}
				seqs = append(seqs, m.Seq)
			}
		}
	}
	return seqs
}

func TestWhatWasRemovedIsHandedOutNoMore(t *testing.T) {
	w := start(t)
	s := w.subscribe(t, 0)
	for range 10 { // the ring has them one by one
		w.insert(t, 1, "x")
	}
	if got := s.gets(t, 10, 1); len(got) != 10 {
		t.Fatalf("got %v", got)
	}
	w.ages(t, 6)
	if got := s.gets(t, 10, 7); len(got) != 0 {
		t.Errorf("got %v once more", got)
	}
	// Neither what is in memory nor the table has more, and who comes back is told in either case.
	for after, want := range map[int64][]int64{0: {7, 8, 9, 10}, 8: {9, 10}, 10: nil} {
		if got := w.subscribe(t, after).gets(t, 10, 7); !slices.Equal(got, want) {
			t.Errorf("after %d came %v, want %v", after, got, want)
		}
	}
	// Far more than a page may be gone in one piece.
	w.insert(t, 3000, "of very many")
	s.gets(t, 3010, 0)
	w.ages(t, 3005)
	for _, sql := range []string{`select chat.retain()`, `select chat.retain()`, `select chat.retain()`} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.gets(t, 3010, 3006)
	if got := w.subscribe(t, 0).gets(t, 3010, 3006); !slices.Equal(got, []int64{3006, 3007, 3008, 3009, 3010}) {
		t.Errorf("came %v", got)
	}
	// That the notification was lost is made up for by comparing.
	if _, err := w.pool.Exec(t.Context(), `begin; set local session_replication_role = replica; update chat.room_heads set first_seq = 3008; delete from chat.messages where seq < 3008; commit`); err != nil {
		t.Fatal(err)
	}
	w.Missed()
	s.gets(t, 3010, 3008)
	head, err := chat.NewMessages(w.pool).Heads(t.Context(), w.room)
	if err != nil || head[w.room].First != 3008 || head[w.room].Seq != 3010 {
		t.Errorf("the head is %+v, error %v", head[w.room], err)
	}
}
