package store_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMessagesAreMovedWithWhatBelongsToThem(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	do(t, pool, `select chat.create_room('Other', members => '{ada,bob}')`)
	team, other := one[uuid.UUID](t, pool, `select chat.find_room('team')`), one[uuid.UUID](t, pool, `select chat.find_room('other')`)
	times := `select string_agg(created_at::text, ' ' order by seq) from chat.messages where room_id = $1 and body <> ''`
	before := one[string](t, pool, times+` and seq in (1, 3, 5, 6)`, team)
	said := one[string](t, pool, `select string_agg(body, '|' order by seq) from chat.messages where room_id = $1`, team)
	conn := listen(t, pool, team, other)

	wants(t, pool, `select seq || ' ' || new_seq from chat.move_messages('team', '{6,5,3,1,4,1}', 'other', by => 'ada')`, "1 1", "3 2", "5 3", "6 4")
	var told []string
	for _, n := range heard(t, pool, conn) {
		told = append(told, strings.Replace(strings.Replace(n.Channel, team.String(), "team", 1), other.String(), "other", 1)+" "+n.Payload)
	}
	// The last is what other servers' clients of the room they left read: four changes.
	if got := strings.Join(told, "\n"); !strings.Contains(got, `room:other {"first":1,"last":4,"messages":[{"seq":1,`) || !strings.HasPrefix(told[len(told)-1], `room:team {"rev_first"`) {
		t.Errorf("told\n%s", got)
	}
	// What was deleted stayed; what answers a message that stayed answers the first of its thread.
	wants(t, pool, fmt.Sprintf(`select concat_ws(' ', m.seq, u.name, nullif(m.body, ''), m.extra #>> '{reactions,0,by}', m.extra ->> 'pinned', m.extra #>> '{files,0,name}', m.extra ->> 'reply', m.extra #>> '{thread,count}')
		from chat.messages m join chat.users u on u.id = m.author_id where m.room_id = '%s' order by m.seq`, other),
		`1 ada one, @bob ["bob", "ada"] 1`, `2 ada three, better {"seq": 1, "thread": 1}`, `3 bob five, @ada`, `4 ada a.txt a.txt`)
	wants(t, pool, fmt.Sprintf(`select concat_ws(' ', m.seq, nullif(m.body, ''), m.deleted_at is not null, m.extra) from chat.messages m where m.room_id = '%s' order by m.seq`, team),
		`1 t {"thread": `+one[string](t, pool, `select extra ->> 'thread' from chat.messages where room_id = $1 and seq = 1`, team)+`}`,
		`2 two f {"reply": {"seq": 1, "thread": 1}, "reactions": [{"by": ["ada"], "count": 1, "emoji": "🎉"}]}`, `3 t`, `4 four t {"reply": {"seq": 1, "thread": 1}}`, `5 t`, `6 t`, `7 not in the index yet f`)
	if got := one[string](t, pool, times, other); got != before {
		t.Errorf("in an empty room they have the times %s, had %s", got, before)
	}
	wants(t, pool, `select u.name || ' ' || c.seq from chat.mentions c join chat.users u on u.id = c.user_id where c.room_id = chat.find_room('other') order by c.seq`, "bob 1", "ada 3")
	wants(t, pool, `select distinct actor || ' ' || operation || ' ' || rows from chat.audit_log where table_name = 'messages' and operation = 'DELETE'`, "ada DELETE 1")
	if got := one[string](t, pool, `select coalesce(current_setting('chat.actor', true), '')`); got != "" {
		t.Errorf("afterwards %q acts", got)
	}
	wantNoGaps(t, pool)

	// Where a clock was wrong when they were written they cannot keep their times.
	do(t, pool, `select chat.create_room('Third', members => '{ada,bob}')`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do(t, tx, `set local session_replication_role = replica`)
	do(t, tx, `update chat.messages set created_at = created_at - interval '1 hour' where room_id = $1 and seq = 2`, other)
	do(t, tx, `set local session_replication_role = origin`)
	do(t, tx, `select chat.move_messages('other', '{1,2}', 'third')`)
	if n := one[int](t, tx, `select count(*) from chat.messages where room_id = chat.find_room('third') and created_at > now()`); n != 2 {
		t.Errorf("%d messages are of now, want 2", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Back behind what was said since, they are of now: time goes with seq.
	do(t, pool, `select chat.post('team', 'bob', 'meanwhile')`)
	wants(t, pool, `select seq || ' ' || new_seq from chat.move_messages('other', '{1,2,3,4}', 'team')`, "1 9", "2 10", "3 11", "4 12")
	for part := range strings.SplitSeq(said, "|") {
		if n := one[int](t, pool, `select count(*) from chat.messages where room_id = $1 and body = $2`, team, part); n != 1 && part != "" {
			t.Errorf("%q is there %d times", part, n)
		}
	}
	wantWhole(t, pool)
	wantNoGaps(t, pool)
	wants(t, pool, `select * from chat.move_messages('team', '{1,4}', 'other')`) // both are deleted
	wants(t, pool, `select * from chat.move_messages('team', '{}', 'other')`)
	do(t, pool, `select chat.index_messages(1000)`)
	wantNoGaps(t, pool)

	do(t, pool, `select chat.create_room('Closed'), chat.archive_room('closed')`)
	for call, why := range map[string][2]string{
		`chat.move_messages('nowhere', '{1}', 'team')`:                 {"P0002", "there is no room 'nowhere'"},
		`chat.move_messages('team', '{1}', 'nowhere')`:                 {"P0002", "there is no room 'nowhere'"},
		`chat.move_messages('team', '{1}', 'team')`:                    {"22023", "the messages are in room 'team'"},
		`chat.move_messages('team', '{7,99}', 'other')`:                {"P0002", "there is no message 99 in room 'team'"},
		`chat.move_messages('team', '{0}', 'other')`:                   {"P0002", "there is no message 0 in room 'team'"},
		`chat.move_messages('team', '{null}', 'other')`:                {"P0002", "there is no message NULL in room 'team'"},
		`chat.move_messages('team', '{7}', 'direct-1')`:                {"23514", "'direct-1' is a direct conversation"},
		`chat.move_messages('team', '{7}', 'closed')`:                  {"23514", "room 'closed' is archived"},
		`chat.move_messages('team', '{7}', 'other', by => 'nobody')`:   {"P0002", "there is no user 'nobody'"},
		`chat.move_messages('team'';drop schema chat', '{7}', 'team')`: {"P0002", "there is no room 'team'';drop schema chat'"},
	} {
		refused(t, pool, why[0], why[1], `select * from `+call)
	}
	// Nothing is erased that was not stored.
	do(t, pool, `create function skip() returns trigger language plpgsql as 'begin return null; end';
		create trigger skip before insert on chat.messages for each row when (new.body = 'one, @bob') execute function skip()`)
	refused(t, pool, "09000", "1 of 2 messages were stored in room 'other'", `select * from chat.move_messages('team', '{8,9}', 'other')`)
	wantNoGaps(t, pool)
}

func TestFilesGoToAnotherRoomWithTheirMessageOnly(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select chat.find_room('general'), id, 'hers' from chat.users where name = 'ada'`)
	refused(t, pool, "23514", "never changes", `update chat.files set id = gen_random_uuid()`)
	refused(t, pool, "23514", "never changes", `update chat.files set room_id = chat.find_room('general'), seq = null`)
	var e *pgconn.PgError
	if _, err := pool.Exec(t.Context(), `update chat.files set room_id = chat.find_room('general')`); !errors.As(err, &e) || e.Code != "23503" {
		t.Errorf("to a message that is not there: %v", err)
	}
	do(t, pool, `update chat.files set room_id = chat.find_room('general'), seq = 1`)
	wants(t, pool, `select r.slug from chat.messages m join chat.rooms r on r.id = m.room_id where m.extra ? 'files'`, "general")
	wantNoGaps(t, pool)
}

func TestWhatMessagesShowIsMendedByTheTablesThatHaveIt(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	for _, wrong := range []string{`null`, `'{"colour": "red"}'`, `extra || '{"thread": {"count": 7}}'`} {
		do(t, pool, `begin; set local session_replication_role = replica; update chat.messages set extra = `+wrong+`; commit`)
		if len(broken(t, pool)) == 0 {
			t.Errorf("nothing is wrong with extra = %s", wrong)
		}
		do(t, pool, `update chat.messages set extra = chat.extra_of(room_id, seq) where extra is distinct from chat.extra_of(room_id, seq)`)
		wantNoGaps(t, pool)
	}
}

func TestUsersAreMerged(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	id := func(name string) uuid.UUID { return one[uuid.UUID](t, pool, `select chat.find_user($1)`, name) }
	ada, bob, eve := id("ada"), id("bob"), id("eve")
	key := func(ids ...uuid.UUID) string {
		return one[string](t, pool, `select string_agg(i::text, ',' order by i) from unnest($1::uuid[]) i`, ids)
	}
	direct := func(slug, name string, ids ...uuid.UUID) {
		t.Helper()
		do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) values ($1, $2, 'direct', $3)`, slug, name, key(ids...))
	}
	direct("direct-2", "bob, eve", bob, eve)
	direct("direct-3", "ada, bob, eve", ada, bob, eve)
	direct("direct-4", "ada, eve", ada, eve)
	for _, sql := range []string{
		`select chat.post('direct-2', 'bob', 'to eve'), chat.post('direct-3', 'eve', 'to both'), chat.post('direct-4', 'ada', 'also to eve')`,
		`select chat.create_room('Bobs', owner => 'bob', members => '{ada}'), chat.create_room('Own', owner => 'bob', kind => 'private')`,
		`select chat.add_member('team', 'eve')`,
		`select chat.react('team', 7, 'bob', '🎉'), chat.pin('team', 7, 'bob'), chat.post('team', 'eve', '@bob and @ada'), chat.edit('team', 7, 'edited', by => 'bob')`,
		`select chat.ban('bob', 'general', until => now() + interval '1 day'), chat.ban('bob', 'team', reason => 'his'), chat.ban('ada', 'team', reason => 'hers', until => now() + interval '1 hour')`,
		`update chat.members set last_read_seq = case when user_id = chat.find_user('bob') then 5 else 3 end where room_id = chat.find_room('team')`,
		`insert into chat.sessions (token_hash, user_id, expires_at) values (sha256('x'), chat.find_user('bob'), now() + interval '1 day')`,
		`insert into chat.tokens (user_id, name, token_hash) values (chat.find_user('bob'), 'x', sha256('x'))`,
	} {
		do(t, pool, sql)
	}
	team, his := one[uuid.UUID](t, pool, `select chat.find_room('team')`), one[int](t, pool, `select count(*) from chat.messages where author_id = $1`, bob)
	conn := listen(t, pool, team)

	if n := one[int](t, pool, `select chat.merge_users('BOB', 'ada')`); n != his || his < 5 {
		t.Errorf("%d messages have another author now, want %d", n, his)
	}
	told := ""
	for _, n := range heard(t, pool, conn) {
		told += n.Payload + "\n"
	}
	if !regexp.MustCompile(`"author" : "ada", "body" : "two"`).MatchString(told) {
		t.Errorf("told\n%s", told)
	}
	wants(t, pool, `select name from chat.users order by name`, "ada", "eve")
	for _, table := range []string{
		"chat.messages where author_id = $1", "chat.message_history where author_id = $1", "chat.reactions where user_id = $1", "chat.pins where user_id = $1", "chat.members where user_id = $1",
		"chat.mentions where user_id = $1", "chat.rooms where created_by = $1 or direct_key like '%' || $1 || '%'", "chat.room_events where $1 in (actor_id, subject_id)", "chat.bans where user_id = $1",
	} {
		if n := one[int](t, pool, `select count(*) from `+strings.ReplaceAll(table, "$1", "'"+bob.String()+"'")); n != 0 {
			t.Errorf("%d rows left in %s", n, table)
		}
	}
	wants(t, pool, `select count(*)::text from (select user_id from chat.sessions union all select user_id from chat.tokens) s`, "0")
	// Both had a conversation with eve: the second one is a private room. That of the two is ada's own; that of three is one of two, which exists.
	wants(t, pool, `select concat_ws(' ', r.slug, r.kind, regexp_replace(r.name, '[0-9a-f]{8}', '…'), r.archived_at is not null, (select string_agg(u.name, '+' order by u.name) from chat.members m join chat.users u on u.id = m.user_id where m.room_id = r.id))
		from chat.rooms r where r.slug like 'direct%' order by r.slug`,
		"direct-1 direct ada f ada", "direct-2 private bob, eve (…) t ada+eve", "direct-3 private ada, bob, eve (…) t ada+eve", "direct-4 direct ada, eve f ada+eve")
	if got := one[string](t, pool, `select direct_key from chat.rooms where slug = 'direct-1'`); got != ada.String() {
		t.Errorf("the conversation with oneself has the key %s", got)
	}
	wants(t, pool, `select concat_ws(' ', r.slug, m.role, m.last_read_seq) from chat.members m join chat.rooms r on r.id = m.room_id where m.user_id = chat.find_user('ada') and r.slug in ('team', 'bobs', 'own') order by 1`,
		"bobs owner 0", "own owner 0", "team owner 5")
	wants(t, pool, `select concat_ws(' ', r.slug, b.reason, isfinite(b.until)) from chat.bans b join chat.rooms r on r.id = b.room_id where b.user_id = chat.find_user('ada') order by 1`, "general  t", "team his f")
	wants(t, pool, `select m.body from chat.mentions c join chat.messages m on m.room_id = c.room_id and m.seq = c.seq where c.user_id = chat.find_user('ada')`, "@bob and @ada")
	wants(t, pool, `select extra #>> '{reactions,0,by}' from chat.messages where room_id = chat.find_room('team') and seq in (1, 7) order by seq`, `["ada"]`, `["ada"]`)
	wants(t, pool, `select operation || ' ' || (old ->> 'name') from chat.audit_log where table_name = 'users' and operation = 'DELETE'`, "DELETE bob")
	wantWhole(t, pool)
	wantNoGaps(t, pool)
	do(t, pool, `select chat.index_messages(1000)`)
	wantNoGaps(t, pool)

	for call, why := range map[string][2]string{
		`chat.merge_users('bob', 'ada')`:                   {"P0002", "there is no user 'bob'"},
		`chat.merge_users('eve', e'a''b"')`:                {"P0002", `there is no user 'a''b"'`},
		`chat.merge_users('eve', 'EVE')`:                   {"22023", "'eve' and 'EVE' are the same user"},
		`chat.merge_users('eve', 'ada', by => 'somebody')`: {"P0002", "there is no user 'somebody'"},
	} {
		refused(t, pool, why[0], why[1], `select `+call)
	}
	wants(t, pool, `select name from chat.users order by name`, "ada", "eve")
}

// Who goes on posting in many rooms neither stops a merge nor is stopped by it but by an outcome, and nothing is lost.
func TestUsersAreMergedWhileTheyPost(t *testing.T) {
	pool := pgtest.Pool(t)
	eve, twin := addUser(t, pool, "eve"), addUser(t, pool, "eve2")
	var rooms []uuid.UUID
	for i := range 5 {
		rooms = append(rooms, addRoom(t, pool, fmt.Sprint("r", i)))
	}
	var posting sync.WaitGroup
	var posted [4]int
	begun := make(chan struct{}, len(posted))
	for w := range posted {
		posting.Go(func() {
			for i := 0; ; i++ {
				batch := []message{{rooms[i%5], uuid.New(), twin, "x"}, {rooms[(i+w)%5], uuid.New(), eve, "x"}, {rooms[(i+2*w)%5], uuid.New(), twin, "x"}}
				out, err := postBatch(t.Context(), pool, batch...)
				if err != nil {
					t.Error(err)
					return
				}
				for _, o := range out {
					if o.Outcome == "posted" {
						posted[w]++
					}
				}
				if i == 5 {
					begun <- struct{}{}
				}
				if out[0].Outcome == "not_a_member" {
					return
				}
			}
		})
	}
	for range posted {
		<-begun
	}
	do(t, pool, `select chat.merge_users('eve2', 'eve')`)
	posting.Wait()
	want := 0
	for _, n := range posted {
		want += n
	}
	if n := one[int](t, pool, `select count(*) from chat.messages where author_id = $1`, eve); n != want {
		t.Errorf("%d messages, %d were posted", n, want)
	}
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}
