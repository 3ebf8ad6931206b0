package chat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// TestAHistoryIsIndexedOnceBucketByBucket: several servers at it, what comes and changes meanwhile, each message in the bucket of its time.
func TestAHistoryIsIndexedOnceBucketByBucket(t *testing.T) {
	const history = 66_000 // more than two buckets
	pool := pgtest.Pool(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`insert into chat.users (name) values ('ada'), ('bob')`)
	exec(`insert into chat.rooms (slug, name) values ('a', 'a'), ('b', 'b'), ('c', 'c')`)
	exec(`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug <> 'general' on conflict do nothing`)
	exec(`insert into chat.messages (room_id, author_id, body, created_at)
		select r.id, u.id, 'word' || g % 100 || case when g % 1000 = 0 then ' rare' else '' end, timestamptz '2026-01-01' + g * interval '1 minute'
		from generate_series(1, $1::int) g join chat.rooms r on r.slug = case when g % 10 = 0 then 'a' when g % 2 = 0 then 'b' else 'c' end cross join chat.users u where u.name = 'ada' order by r.id, g`, history)
	indexer := func() *chat.Indexer { return chat.NewIndexer(pool, slog.New(slog.DiscardHandler)) }
	started := indexer()
	started.Start(t.Context())
	var group errgroup.Group
	for range 3 {
		group.Go(func() error { _, err := indexer().Run(t.Context()); return err })
	}
	exec(`select chat.post('a', 'bob', 'rare news')`)
	exec(`update chat.messages set body = 'rare edition' where seq = 1`)
	exec(`update chat.messages set deleted_at = now() where body like '% rare' and seq <= 1000`)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := started.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for behind := true; behind; { // the one that was stopped may be at it for a moment more
		if _, err := indexer().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := pool.QueryRow(t.Context(), `select chat.search_behind() <> '{}'`).Scan(&behind); err != nil {
			t.Fatal(err)
		}
	}
	for what, sql := range map[string]string{
		"messages without a document": `select count(*) from chat.messages m where deleted_at is null and not exists (select from chat.search_documents d where d.room_id = m.room_id and d.seq = m.seq)`,
		"documents of no message":     `select count(*) from chat.search_documents d join chat.messages m using (room_id, seq) where m.deleted_at is not null`,
		"rooms behind":                `select count(*) from chat.room_heads h join chat.search_progress p using (room_id) where p.seq <> h.last_seq or p.rev <> h.last_rev`,
		"messages in a wrong bucket": `select count(*) from chat.search_documents d, (select array_agg(starts order by bucket) as starts from chat.search_buckets) b
			where not d.terms @@ quote_literal(to_hex(width_bucket(d.created_at, b.starts)) || '*')::tsquery`,
		"buckets of an odd size": `select count(*) from chat.search_buckets where messages not between 20000 and 50000 and bucket <= 2`,
		"buckets but 2 or 3":     `select count(*) from chat.search_buckets having count(*) not in (2, 3)`,
	} {
		var n int
		if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil && err.Error() != "no rows in result set" || n > 0 {
			t.Errorf("%d %s, %v", n, what, err)
		}
	}
	eve, err := chat.NewPeople(pool, true).Create(t.Context(), "eve", "correct horse battery", chat.RoleMember)
	if err != nil {
		t.Fatal(err)
	}
	var want int
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.messages where body ~ '\mrare\M' and deleted_at is null`).Scan(&want); err != nil {
		t.Fatal(err)
	}
	query, err := chat.ParseQuery("rare", time.UTC, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []chat.Order{chat.BestFirst, chat.NewestFirst} {
		var all []string
		for place := ""; ; {
			found, err := chat.NewSearch(pool).Find(t.Context(), eve, query, order, place)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range found.Hits {
				all = append(all, fmt.Sprint(h.RoomID, h.Seq))
			}
			if place = found.Next; place == "" {
				break
			}
		}
		slices.Sort(all)
		if n := len(slices.Compact(slices.Clone(all))); n != want || len(all) != want {
			t.Errorf("order %q: found %d, %d of them different, want %d", order, len(all), n, want)
		}
	}
}

// Where the next page takes too long it says so: it would have other messages than those that follow the page before.
func TestThePageThatFollowsHasTheSameMessagesOrNone(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, sql := range []string{
		`insert into chat.users (name) values ('ada')`,
		`insert into chat.rooms (slug, name, kind) values ('plans', 'plans', 'private')`,
		// Between those that are found are many that the reader may not see.
		`insert into chat.messages (room_id, author_id, body, created_at)
			select chat.find_room(case when g % 11 = 0 then 'general' else 'plans' end), chat.find_user('ada'), 'needle', timestamptz '2026-03-01' + g * interval '1 s' from generate_series(1, 550) g`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := chat.NewIndexer(pool, slog.New(slog.DiscardHandler)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	eve, err := chat.NewPeople(pool, false).Create(t.Context(), "eve", "correct horse battery", chat.RoleMember)
	if err != nil {
		t.Fatal(err)
	}
	query, err := chat.ParseQuery("needle", time.UTC, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	search := chat.NewSearch(pool)
	seen := map[int64]bool{}
	for place, pages := "", 0; pages == 0 || place != ""; pages++ {
		if place != "" && !strings.HasSuffix(place, ".0.0") { // or it begins anew
			undo := chat.WindowWithin(0)
			_, err := search.Find(t.Context(), eve, query, chat.BestFirst, place)
			undo()
			var refused *chat.Error
			if !errors.As(err, &refused) || refused.Code != chat.Unavailable {
				t.Fatalf("page %d without time: %v", pages, err)
			}
		}
		found, err := search.Find(t.Context(), eve, query, chat.BestFirst, place)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range found.Hits {
			if seen[h.Seq] {
				t.Errorf("message %d is on two pages", h.Seq)
			}
			seen[h.Seq] = true
		}
		place = found.Next
	}
	if len(seen) != 50 {
		t.Errorf("%d of 50 messages were found", len(seen))
	}
}

func TestAQueryIsReadAsItIsMeant(t *testing.T) {
	now := time.Date(2026, 3, 10, 1, 0, 0, 0, time.UTC)
	zone := time.FixedZone("", -2*60*60)
	q, err := chat.ParseQuery(`Deploy* -staging "rolled  back" from:@ada in:"Big Room" has:FILES http://x:80 time:12 after:2026-03 before:today 10:30 --x "open`, zone, now)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%q %q %q %q %q %q %s %s", q.Words, q.Phrases, q.Without, q.From, q.In, q.Has, q.Since, q.Until)
	const want = `["Deploy*" "http://x:80" "time:12" "10:30"] ["rolled  back" "open"] ["staging" "-x"] ["ada"] ["Big Room"] ["file"] 2026-03-01 00:00:00 -0200 -0200 2026-03-09 00:00:00 -0200 -0200`
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}
