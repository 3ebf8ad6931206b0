package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// copyOfRoom is what a client keeps: the messages as it was told of them, and its cursor.
type copyOfRoom struct {
	at   chat.Cursor
	told map[int64]chat.Message
}

// take reads until the copy has come to the cursor.
func (c *copyOfRoom) take(ctx context.Context, s *subscriber, until chat.Cursor) error {
	for c.at.Seq < until.Seq || c.at.Rev < until.Rev {
		u, err := s.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range u.Events {
			for _, m := range e.Messages {
				if m.Seq != c.at.Seq+1 {
					panic("a message is missing, doubled or out of order")
				}
				c.told[m.Seq], c.at.Seq = m, m.Seq
			}
			for _, m := range e.Changes {
				if _, has := c.told[m.Seq]; has {
					c.told[m.Seq] = m
				}
			}
			c.at.Rev = max(c.at.Rev, e.RevLast)
		}
		c.at = u.Cursor
	}
	return nil
}

func TestChangesArriveAndEveryCopyEndsAsTheTable(t *testing.T) {
	w := start(t)
	w.insert(t, 50, "x")
	const writers, each = 4, 60
	var writing, reading sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				sql := []string{
					`insert into chat.messages (room_id, author_id, body) values ($1, $2, $3)`,
					`update chat.messages set body = $3 || random() where room_id = $1 and author_id = $2 and seq = 1 + floor(random() * 50)`,
					`insert into chat.reactions (room_id, seq, user_id, emoji) select m.room_id, m.seq, $2, (array['👍', '🎉', '👀'])[1 + floor(random() * 3)]
						from chat.messages m where m.room_id = $1 and m.author_id = $2 and m.seq = 1 + floor(random() * 50) and $3 <> '' on conflict do nothing`,
					`update chat.messages set deleted_at = now() where room_id = $1 and author_id = $2 and seq = 1 + floor(random() * 50) and $3 <> ''`,
				}[rand.IntN(4)]
				body := "changed "
				if rand.IntN(20) == 0 {
					body = strings.Repeat("large ", 1300) // does not fit into a notification
				}
				if _, err := w.pool.Exec(t.Context(), sql, w.room, w.ada, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = 'all at once' where room_id = $1`, w.room); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan struct{})
	copies := make([]*copyOfRoom, 12)
	for i := range copies {
		c := &copyOfRoom{told: map[int64]chat.Message{}}
		copies[i] = c
		reading.Go(func() {
			// Leaves and comes back with its cursor, again and again, until nothing is written any more.
			for done := false; !done; {
				select {
				case <-wrote:
					done = true
				default:
				}
				heads, err := chat.NewMessages(w.pool).Heads(t.Context(), w.room)
				if err != nil {
					t.Error(err)
					return
				}
				s, err := w.from(t.Context(), c.at)
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.take(t.Context(), s, heads[w.room].Cursor); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	writing.Wait()
	close(wrote)
	reading.Wait()
	all, err := chat.NewMessages(w.pool).Between(t.Context(), w.room, 1, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range copies {
		if len(c.told) != len(all) {
			t.Fatalf("copy %d has %d messages, the table %d", i, len(c.told), len(all))
		}
		for _, m := range all {
			if got := c.told[m.Seq]; got.Body != m.Body || (got.DeletedAt == nil) != (m.DeletedAt == nil) || got.Rev != m.Rev ||
				extra(got) != extra(m) {
				t.Fatalf("copy %d has message %d as %+v, the table as %+v", i, m.Seq, got, m)
			}
		}
	}
}

// extra is a message's as it compares: a notification and the table write the same object with other spaces.
func extra(m chat.Message) string { return strings.ReplaceAll(string(m.Extra), " ", "") }

func TestAnUpdateThatChangesNothingIsNoChangeAndKeysNeverChange(t *testing.T) {
	w := start(t)
	w.insert(t, 1, "x")
	rev := func() (rev int64) {
		if err := w.pool.QueryRow(t.Context(), `select last_rev from chat.room_heads where room_id = $1`, w.room).Scan(&rev); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	for sql, want := range map[string]int64{
		`update chat.messages set body = body`: 0,
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil || rev() != want {
			t.Errorf("%s: rev %d, error %v; want %d", sql, rev(), err, want)
		}
	}
	for _, sql := range []string{`update chat.messages set seq = 7`, `update chat.messages set id = gen_random_uuid()`} {
		if _, err := w.pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "never change") {
			t.Errorf("%s: got %v", sql, err)
		}
	}
	if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = 'y'`); err != nil || rev() != 1 {
		t.Errorf("an edit: rev %d, error %v; want 1", rev(), err)
	}
}

// The notification of a message may be lost with the listener, and that of a change to it come on the next one.
func TestAChangeNeverComesBeforeItsMessage(t *testing.T) {
	w := start(t)
	s := w.subscribe(t, 0)
	for i, body := range []string{"small", strings.Repeat("large ", 1300)} {
		seq := int64(i + 1)
		tx, err := w.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{ // without triggers nobody is told
			`set local session_replication_role = replica`,
			fmt.Sprintf(`insert into chat.messages (room_id, author_id, seq, body, created_at) values ('%s', '%s', %d, 'untold', now())`, w.room, w.ada, seq),
			fmt.Sprintf(`update chat.room_heads set last_seq = %d where room_id = '%s'`, seq, w.room),
		} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = $1 where room_id = $2 and seq = $3`, body, w.room, seq); err != nil {
			t.Fatal(err)
		}
		var got []string
		for len(got) < 2 {
			u, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range u.Events {
				for _, m := range e.Messages {
					got = append(got, fmt.Sprint("message ", m.Seq))
				}
				for _, m := range e.Changes {
					got = append(got, fmt.Sprint("change of ", m.Seq))
				}
			}
		}
		if want := []string{fmt.Sprint("message ", seq), fmt.Sprint("change of ", seq)}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What one statement does to very many messages, two instances read from the table, and end as it is.
func TestTwoInstancesAfterVeryManyChangesAtOnce(t *testing.T) {
	w, n := start(t), pgtest.Rows(t, 20_000)
	log := slog.New(slog.DiscardHandler)
	second := &world{pool: w.pool, room: w.room, ada: w.ada, layer: postgres.New(w.pool, w.pool.Config().ConnString(), uuid.New(), log)}
	second.Feed = feed.New(second.layer, chat.NewMessages(w.pool), log)
	if err := errors.Join(second.Start(t.Context()), second.layer.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = second.Stop(context.Background())
		_ = second.layer.Stop(context.Background())
	})
	w.insert(t, 20, "before")
	var open []*subscriber
	var copies []*copyOfRoom
	for _, instance := range []*world{w, second} {
		s := instance.subscribe(t, 0)
		c := &copyOfRoom{told: map[int64]chat.Message{}}
		if err := c.take(t.Context(), s, chat.Cursor{Seq: 20}); err != nil {
			t.Fatal(err)
		}
		open, copies = append(open, s), append(copies, c)
	}
	w.insert(t, n, "one of very many")
	for _, sql := range []string{`update chat.messages set body = 'changed'`, `delete from chat.messages where seq % 1000 = 7`, `update chat.messages set deleted_at = now() where seq % 1000 = 8`} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := chat.NewMessages(w.pool).Heads(t.Context(), w.room)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range copies {
		if err := c.take(t.Context(), open[i], heads[w.room].Cursor); err != nil {
			t.Fatal(err)
		}
	}
	all, err := chat.NewMessages(w.pool).Between(t.Context(), w.room, 1, 1<<40)
	if err != nil || len(all) != n+20 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	for i, c := range copies {
		for _, m := range all {
			if got := c.told[m.Seq]; got.Body != m.Body || got.Rev != m.Rev || (got.DeletedAt == nil) != (m.DeletedAt == nil) {
				t.Fatalf("instance %d has message %d as %+v, the table as %+v", i, m.Seq, got, m)
			}
		}
	}
}
