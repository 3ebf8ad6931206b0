package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// extra returns what belongs to the message beyond its text, and its rev.
func extra(t *testing.T, db querier, room uuid.UUID, seq int64) (text string, rev int64) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `select coalesce(extra #- '{pinned,at}', '{}')::text, coalesce(rev, 0)
		from chat.messages where room_id = $1 and seq = $2`, room, seq).Scan(&text, &rev); err != nil {
		t.Fatal(err)
	}
	return text, rev
}

// refused fails unless the statement fails with this SQLSTATE and a message with these words, and says what to do.
func refused(t *testing.T, db querier, state, words, sql string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql, args...)
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != state || !strings.Contains(e.Message, words) || e.Hint == "" {
		t.Errorf("%s: %v (%+v)", sql, err, e)
	}
}

func TestReactionsShowHoweverTheyCome(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve := addUser(t, pool, "ada"), addUser(t, pool, "eve")
	room := addRoom(t, pool, "r")
	mustPost(t, pool, message{room, uuid.New(), ada, "one"}, message{room, uuid.New(), ada, "two"})
	shows := func(seq int64, want string, wantRev int64) {
		t.Helper()
		if got, rev := extra(t, pool, room, seq); got != want || rev != wantRev {
			t.Errorf("message %d shows %s at rev %d, want %s at %d", seq, got, rev, want, wantRev)
		}
	}
	conn := listen(t, pool, room)
	do(t, pool, `select chat.react('r', 1, 'ada', '👍')`)
	shows(1, `{"reactions": [{"by": ["ada"], "count": 1, "emoji": "👍"}]}`, 1)
	do(t, pool, `insert into chat.reactions (room_id, seq, user_id, emoji) select $1, g, u, e from generate_series(1, 2) g, unnest($2::uuid[]) u, unnest(array['👍', '❤️']) e on conflict do nothing`,
		room, []uuid.UUID{ada, eve})
	shows(1, `{"reactions": [{"by": ["ada", "eve"], "count": 2, "emoji": "👍"}, {"by": ["ada", "eve"], "count": 2, "emoji": "❤️"}]}`, 2)
	do(t, pool, `delete from chat.reactions where user_id = $1`, ada)
	shows(2, `{"reactions": [{"by": ["eve"], "count": 1, "emoji": "👍"}, {"by": ["eve"], "count": 1, "emoji": "❤️"}]}`, 5)
	do(t, pool, `update chat.reactions set seq = 1, emoji = '🎉' where seq = 2 and emoji = '👍'`)
	shows(2, `{"reactions": [{"by": ["eve"], "count": 1, "emoji": "❤️"}]}`, 6)
	do(t, pool, `update chat.users set name = 'eva' where name = 'eve'`)
	shows(2, `{"reactions": [{"by": ["eva"], "count": 1, "emoji": "❤️"}]}`, 9)
	do(t, pool, `select chat.react('r', 2, 'EVA', '❤️', false)`)
	shows(2, `{}`, 10)
	// Nothing changes: nothing is told.
	do(t, pool, `select chat.react('r', 2, 'eva', '❤️', false)`)
	do(t, pool, `delete from chat.reactions where false`)
	shows(2, `{}`, 10)
	notes := heard(t, pool, conn)
	last := notes[len(notes)-1].Payload
	var told struct {
		Last    int64                      `json:"rev_last"`
		Changes []struct{ Seq, Rev int64 } `json:"changes"`
	}
	if err := json.Unmarshal([]byte(last), &told); err != nil || told.Last != 10 || len(told.Changes) != 1 || told.Changes[0].Seq != 2 {
		t.Errorf("told last: %s", last)
	}

	// They go with their user and with their message, and a room goes with all of them.
	bob := addUser(t, pool, "bob")
	do(t, pool, `select chat.react('r', 2, 'bob', '🚀')`)
	do(t, pool, `delete from chat.users where id = $1`, bob)
	shows(2, `{}`, 12)
	do(t, pool, `select chat.react('r', 2, 'ada', '🚀'), chat.pin('r', 2, 'ada')`)
	do(t, pool, `delete from chat.messages where room_id = $1 and seq = 2`, room)
	var n int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from chat.reactions where seq = 2) + (select count(*) from chat.pins)`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d are left, %v", n, err)
	}
	do(t, pool, `delete from chat.rooms where id = $1`, room)
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.reactions`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d are left, %v", n, err)
	}
}

func TestWhatIsRefusedOfReactionsSaysWhy(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	addUser(t, pool, "eve")
	room := addRoom(t, pool, "r")
	do(t, pool, `update chat.rooms set everyone = false`)
	do(t, pool, `delete from chat.members m using chat.users u where u.id = m.user_id and u.name = 'eve'`)
	mustPost(t, pool, message{room, uuid.New(), ada, "one"}, message{room, uuid.New(), ada, "two"})
	const missing, check, foreign = "P0002", "23514", "23503"
	refused(t, pool, missing, "there is no room 'q'", `select chat.react('q', 1, 'ada', '👍')`)
	refused(t, pool, missing, "there is no user 'bob'", `select chat.react('r', 1, 'bob', '👍')`)
	refused(t, pool, missing, "there is no message 3 in room 'r'", `select chat.react('r', 3, 'ada', '👍')`)
	refused(t, pool, check, "'eve' is not a member of room 'r'", `select chat.pin('r', 1, 'eve')`)
	refused(t, pool, foreign, "there is no message 3", `insert into chat.reactions values ($1, 3, '👍', $2)`, room, ada)
	refused(t, pool, foreign, "there is no message 3", `insert into chat.pins values ($1, 3, $2)`, room, ada)
	for _, emoji := range []string{"", "x", "👍 ", ":tada:", "<b>", "👍<", "1", "\u200d", strings.Repeat("👍", 17), "é", "漢"} {
		refused(t, pool, check, "is not an emoji", `select chat.react('r', 1, 'ada', $1)`, emoji)
	}
	do(t, pool, `select chat.react('r', 1, 'ada', e::text) from (select chr(128512 + g) as e from generate_series(1, 20) g) g`)
	refused(t, pool, check, "at most 20 different", `select chat.react('r', 1, 'ada', '👍')`)
	do(t, pool, `update chat.messages set deleted_at = now() where seq = 2`)
	refused(t, pool, check, "message 2 of room 'r' was deleted", `select chat.react('r', 2, 'ada', '👍')`)
	do(t, pool, `update chat.rooms set archived_at = now()`)
	refused(t, pool, check, "room 'r' is archived", `select chat.react('r', 1, 'ada', '👍', false)`)
}

func TestEveryEmojiOfThePickerIsOne(t *testing.T) {
	pool := pgtest.Pool(t)
	text, err := os.ReadFile("../../web/static/vendor/emoji.json")
	if err != nil {
		t.Fatalf("make web fetches it: %v", err)
	}
	table := map[string]string{}
	if err := json.Unmarshal(text, &table); err != nil || len(table) < 1800 {
		t.Fatalf("%d emoji, %v", len(table), err)
	}
	var wrong []string
	if err := pool.QueryRow(t.Context(), `select array_agg(value) from jsonb_each_text($1) where not chat.is_emoji(value)`, table).Scan(&wrong); err != nil || len(wrong) > 0 {
		t.Errorf("none: %q, %v", wrong, err)
	}
}

func TestManyReactAtOnce(t *testing.T) {
	pool := pgtest.Pool(t)
	room := addRoom(t, pool, "r")
	ada := addUser(t, pool, "ada")
	mustPost(t, pool, message{room, uuid.New(), ada, "one"})
	var all sync.WaitGroup
	for i := range 40 {
		name := fmt.Sprint("user", i)
		addUser(t, pool, name)
		all.Go(func() {
			if _, err := pool.Exec(t.Context(), `select chat.react('r', 1, $1, '👍'), chat.react('r', 1, $1, '🎉')`, name); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	do(t, pool, `insert into chat.users (name) select 'more' || g from generate_series(1, 100) g`)
	do(t, pool, `insert into chat.reactions (room_id, seq, user_id, emoji) select $1, 1, id, '👍' from chat.users on conflict do nothing`, room)
	var counts []int
	if err := pool.QueryRow(t.Context(), `select array[(extra->'reactions'->0->>'count')::int, (extra->'reactions'->1->>'count')::int, jsonb_array_length(extra->'reactions'->0->'by')]
		from chat.messages where extra->'reactions'->0->>'emoji' = '👍' or true`).Scan(&counts); err != nil || counts[0]+counts[1] != 141+40 || counts[2] > 50 {
		t.Errorf("counts %v, %v", counts, err)
	}
}
