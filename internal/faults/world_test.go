package faults

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// world is a database, instances and members, with proxies between them.
type world struct {
	db        *database
	instances []*instance
	pgLinks   []*link // before PostgreSQL, by instance
	links     []*link // before the instances
	members   []*member

	mu     sync.Mutex
	more   *sync.Cond
	events uint64 // that have happened to members

	end  context.CancelFunc
	wg   sync.WaitGroup
	once sync.Once
}

// plan is how large a world is.
type plan struct {
	instances, members, rooms int
	pace                      time.Duration // of each member, between two posts
	bin                       string
	url                       func(pgLink *link) string // DATABASE_URL of an instance
	args                      []string
	direct                    bool // members connect past the proxies
}

// newWorld makes users, rooms and instances on the database.
func newWorld(t *testing.T, random *mathrand.Rand, db *database, p plan) *world {
	t.Helper()
	w := &world{db: db}
	w.more = sync.NewCond(&w.mu)
	rooms, tokens := w.people(t, p)
	if p.url == nil {
		p.url = func(l *link) string {
			return "host=127.0.0.1 port=" + l.port() + " user=pgchat dbname=postgres sslmode=disable"
		}
	}
	addresses := make([]string, 0, p.instances)
	for i := range p.instances {
		pg := newLink(t, fmt.Sprint("pg-", i), db.address())
		listen := fmt.Sprint("127.0.0.1:", freePort(t))
		w.pgLinks = append(w.pgLinks, pg)
		w.links = append(w.links, newLink(t, fmt.Sprint("instance-", i), listen))
		w.instances = append(w.instances, startInstance(t, p.bin, listen, p.url(pg), p.args...))
		if p.direct {
			addresses = append(addresses, listen)
		} else {
			addresses = append(addresses, w.links[i].address())
		}
	}
	for i, token := range tokens {
		m := &member{
			name: fmt.Sprint("member-", i), token: token, addresses: addresses, told: w.progress, pace: p.pace,
			random: mathrand.New(mathrand.NewPCG(random.Uint64(), uint64(i))), noPosts: "visitors",
			ledger: newLedger(append(rooms, "visitors")...),
		}
		m.address.Store(int64(i))
		w.members = append(w.members, m)
	}
	return w
}

// people makes users, all of them members of all rooms but "visitors", and gives each a token.
func (w *world) people(t *testing.T, p plan) (rooms, tokens []string) {
	t.Helper()
	hashes := make([][]byte, p.members)
	for i := range hashes {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		tokens = append(tokens, base64.RawURLEncoding.EncodeToString(secret))
		sum := sha256.Sum256([]byte(tokens[i]))
		hashes[i] = sum[:]
	}
	for i := range p.rooms {
		rooms = append(rooms, fmt.Sprint("room-", i))
	}
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`insert into chat.rooms (slug, name) select r, r from unnest($1::text[] || 'visitors'::text) r`, []any{rooms}},
		{`insert into chat.users (name) select 'member-' || g from generate_series(0, $1::int - 1) g`, []any{p.members}},
		{`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug <> 'visitors' on conflict do nothing`, nil},
		{`insert into chat.tokens (user_id, name, token_hash)
			select u.id, 'faults', h from unnest($1::bytea[]) with ordinality as t (h, n) join chat.users u on u.name = 'member-' || n - 1`, []any{hashes}},
	} {
		if err := w.db.try(t.Context(), step.sql, step.args...); err != nil {
			t.Fatal(err)
		}
	}
	return rooms, tokens
}

// start lets the members live.
func (w *world) start(t *testing.T) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	w.end = end
	for _, m := range w.members {
		w.wg.Go(func() { m.run(ctx) })
	}
	t.Cleanup(w.stop)
}

// stop ends the members.
func (w *world) stop() {
	w.once.Do(func() {
		w.end()
		w.wg.Wait()
	})
}

func (w *world) progress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events++
	w.more.Broadcast()
}

// until waits for something to become true of the members; it reports false where ctx ends first.
func (w *world) until(ctx context.Context, holds func() bool) bool {
	defer context.AfterFunc(ctx, w.progress)()
	for {
		w.mu.Lock()
		seen := w.events
		w.mu.Unlock()
		if holds() {
			return true
		}
		w.mu.Lock()
		for w.events == seen {
			w.more.Wait()
		}
		w.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
	}
}

// acked is how many posts are acknowledged.
func (w *world) acked() (n int64) {
	for _, m := range w.members {
		m.mu.Lock()
		n += int64(len(m.ledger.acked))
		m.mu.Unlock()
	}
	return n
}

// flows waits for so many more acks, which prove that what was broken has healed.
func (w *world) flows(t *testing.T, n int64) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	from := w.acked()
	if !w.until(ctx, func() bool { return w.acked() >= from+n }) {
		t.Errorf("%d posts were acknowledged within a minute, want %d\n%s", w.acked()-from, n, w.diagnosis(t))
		return false
	}
	return true
}

// diagnosis is what the instances and PostgreSQL say of themselves.
func (w *world) diagnosis(t *testing.T) string {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var said strings.Builder
	for _, i := range w.instances {
		fmt.Fprintf(&said, "%s, started %d times: %s\n", i.listen, i.starts.Load(), get(ctx, "http://"+i.listen+"/readyz"))
	}
	sessions, err := query(ctx, w.db, pgx.RowTo[string], `select concat_ws(' ', pid, application_name, backend_type, state, wait_event_type, wait_event,
		date_trunc('second', now() - state_change), left(query, 100)) from pg_stat_activity order by application_name, pid`)
	fmt.Fprintf(&said, "sessions (%v):\n  %s\n", err, strings.Join(sessions, "\n  "))
	queue, err := query(ctx, w.db, pgx.RowTo[float64], `select pg_notification_queue_usage()`)
	fmt.Fprintf(&said, "queue of notifications: %v %v\n", queue, err)
	log, _ := os.ReadFile(filepath.Join(w.db.dir, "postgres.log"))
	return said.String() + string(log[max(0, len(log)-3000):])
}

func get(ctx context.Context, url string) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.Status + " " + string(body)
}

// counted is what the members have done.
func (w *world) counted() (c counts) {
	for _, m := range w.members {
		m.mu.Lock()
		c.add(counts{
			acked: int64(len(m.ledger.acked)), refused: int64(len(m.ledger.refused)), delivered: m.ledger.received,
			again: m.ledger.again, connects: m.connects.Load(),
		})
		m.mu.Unlock()
	}
	return c
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
