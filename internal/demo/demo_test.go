package demo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgchat/pgchat/internal/demo"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

func TestAnEmptyDatabaseIsFilledOnce(t *testing.T) {
	pool := pgtest.Pool(t)
	now := time.Date(2026, 11, 24, 7, 30, 0, 0, time.Local)
	filled, err := demo.Fill(t.Context(), pool, "pgchat demo", now)
	if err != nil {
		t.Fatal(err)
	}
	if filled.People != 8 || filled.Rooms != 11 || filled.Messages < 90 || filled.Reactions < 30 || filled.Files != 2 {
		t.Errorf("filled %+v", filled)
	}
	for what, sql := range map[string]string{
		"messages in the future, or out of order": `select count(*) from chat.messages m left join chat.messages b on b.room_id = m.room_id and b.seq = m.seq - 1
			where m.created_at > $1 or m.created_at < b.created_at`,
		"pins, muted and archived rooms other than there should be": `select count(*) from (select 1) x where $1::timestamptz is not null and ((select count(*) from chat.pins) <> 2
			or (select count(*) from chat.members where notify = 'nothing') <> 1 or (select count(*) from chat.rooms where archived_at is not null) <> 1)`,
		"rooms with gaps": `select count(*) from chat.gaps where $1::timestamptz is not null`,
		"too few replies and threads": `select count(*) from (select 1) x where $1::timestamptz is not null and ((select count(*) from chat.replies) < 10
			or (select count(distinct thread) from chat.replies r join chat.messages m on m.room_id = r.room_id and m.seq = r.thread where m.extra ? 'thread') < 5)`,
		"members other than ada who have not read all": `select count(*) from chat.members m join chat.room_heads h using (room_id) join chat.users u on u.id = m.user_id
			where u.name <> 'ada' and m.last_read_seq <> h.last_seq and $1::timestamptz is not null`,
		"messages of who is not in the room": `select count(*) from chat.messages s left join chat.members m on m.room_id = s.room_id and m.user_id = s.author_id
			where m.user_id is null and $1::timestamptz is not null`,
	} {
		var n int
		if err := pool.QueryRow(t.Context(), sql, now).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
	var unread int
	if err := pool.QueryRow(t.Context(), `select sum(h.last_seq - m.last_read_seq) from chat.members m join chat.room_heads h using (room_id)
		join chat.users u on u.id = m.user_id where u.name = 'ada'`).Scan(&unread); err != nil || unread != 5 {
		t.Errorf("ada has %d unread, %v; want 5", unread, err)
	}
	if _, err := demo.Fill(t.Context(), pool, "pgchat demo", now); !errors.Is(err, demo.ErrNotEmpty) {
		t.Errorf("filled twice: %v", err)
	}
}
