package bench

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// world is the rooms and users of a run.
type world struct {
	pool    *pgxpool.Pool
	prefix  string
	rooms   []place
	secrets []string // by connection: a token, or a session's
	history int      // messages of each room
}

// place is a room.
type place struct{ slug, id string }

// found makes rooms and users: each connection is a user, a member of the one room that it joins.
func found(ctx context.Context, pool *pgxpool.Pool, s Scenario, say func(string, ...any)) (*world, error) {
	random := make([]byte, 4)
	_, _ = cryptorand.Read(random) // never fails
	w := &world{pool: pool, prefix: "bench-" + hex.EncodeToString(random)}
	hashes := make([][]byte, s.Rooms*s.PerRoom)
	for i := range hashes {
		secret := make([]byte, 32)
		_, _ = cryptorand.Read(secret)
		w.secrets = append(w.secrets, base64.RawURLEncoding.EncodeToString(secret))
		sum := sha256.Sum256([]byte(w.secrets[i]))
		hashes[i] = sum[:]
	}
	var slugs, ids []string
	for i := range s.Rooms {
		slugs, ids = append(slugs, fmt.Sprintf("%s-%d", w.prefix, i)), append(ids, uuid.NewString())
		w.rooms = append(w.rooms, place{slugs[i], ids[i]})
	}
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`insert into chat.rooms (slug, name, id) select r, r, i from unnest($1::text[], $2::uuid[]) t (r, i)`, []any{slugs, ids}},
		{`insert into chat.users (name) select $1 || '-' || g from generate_series(0, $2::int - 1) g`, []any{w.prefix, len(hashes)}},
		{`insert into chat.members (room_id, user_id)
			select r.id, u.id from chat.users u join chat.rooms r on r.slug = $1 || '-' || (split_part(u.name, '-', 3)::int / $2::int)
			where u.name like $1 || '-%'`, []any{w.prefix, s.PerRoom}},
		{`insert into chat.tokens (user_id, name, token_hash)
			select u.id, 'bench', h from unnest($2::bytea[]) with ordinality as t (h, n) join chat.users u on u.name = $1 || '-' || n - 1`, []any{w.prefix, hashes}},
		{`insert into chat.sessions (token_hash, user_id, expires_at) select token_hash, user_id, now() + interval '1 day' from chat.tokens
			where user_id in (select id from chat.users where name like $1 || '-%')`, []any{w.prefix}},
	} {
		if _, err := pool.Exec(ctx, step.sql, step.args...); err != nil {
			_ = w.remove(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("make rooms and users: %w", err)
		}
	}
	if err := w.fill(ctx, s, say); err != nil {
		_ = w.remove(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("make the history: %w", err)
	}
	if err := w.tidy(ctx); err != nil {
		_ = w.remove(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("tidy up before measuring: %w", err)
	}
	return w, nil
}

// tidy does what autovacuum and the checkpointer would do about the new rows while it is measured.
func (w *world) tidy(ctx context.Context) error {
	if _, err := w.pool.Exec(ctx, `vacuum analyze`); err != nil { // the catalogs too, after migrations; what is not ours is left out
		return err
	}
	_, err := w.pool.Exec(ctx, `checkpoint`)
	if denied(err) {
		return nil // it is done by itself, only later
	}
	return err
}

// denied reports whether the role lacks the right.
func denied(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42501"
}

// fill gives the rooms their history, room by room; without triggers where the role may, since it takes a third of the time.
func (w *world) fill(ctx context.Context, s Scenario, say func(string, ...any)) error {
	w.history = s.History / s.Rooms
	if w.history == 0 {
		return nil
	}
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `reset session_replication_role`)
		conn.Release()
	}()
	_, err = conn.Exec(ctx, `set session_replication_role = replica`)
	if err != nil && !denied(err) {
		return err
	}
	statements := []string{`insert into chat.messages (room_id, seq, id, author_id, body, created_at)
			select r.id, g, gen_random_uuid(), m.user_id, 'message ' || g || ' of a long history, such as rooms have after years',
				now() - ($2 - g) * interval '1 second'
			from chat.rooms r
			cross join lateral (select user_id from chat.members where room_id = r.id limit 1) m
			cross join generate_series(1, $2::int) g where r.slug = $1`}
	if err == nil { // else triggers count, and nobody else may
		statements = append(statements, `update chat.room_heads set last_seq = $2 where room_id = (select id from chat.rooms where slug = $1)`)
	}
	told := time.Now()
	for i, room := range w.rooms {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql, room.slug, w.history); err != nil {
				return err
			}
		}
		if time.Since(told) > 10*time.Second {
			say("  %d of %d messages of history", (i+1)*w.history, s.History)
			told = time.Now()
		}
	}
	return nil
}

// page reads 50 messages of a room, from somewhere in its history or its newest, and returns how long the database took.
func (w *world) page(ctx context.Context, newest bool) (time.Duration, error) {
	before := int64(51 + rand.IntN(w.history)) //nolint:gosec // any place will do
	if newest {
		before = math.MaxInt64
	}
	began := time.Now()
	rows, err := w.pool.Query(ctx, `select m.seq, m.id, u.name, m.body, m.created_at from chat.messages m join chat.users u on u.id = m.author_id
		where m.room_id = (select id from chat.rooms where slug = $1) and m.seq < $2 order by m.seq desc limit 50`,
		w.rooms[rand.IntN(len(w.rooms))].slug, before) //nolint:gosec // any room will do
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		// Only the time counts.
	}
	return time.Since(began), rows.Err()
}

// wal is how many bytes of WAL the server has written so far; 0 where it does not tell.
func (w *world) wal(ctx context.Context) (n int64, err error) {
	err = w.pool.QueryRow(ctx, `select case when pg_is_in_recovery() then 0 else pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') end::bigint`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read how much WAL was written: %w", err)
	}
	return n, nil
}

// remove removes all that the run has made.
func (w *world) remove(ctx context.Context) error {
	_, err := w.pool.Exec(ctx, `delete from chat.rooms where slug like $1 || '-%'`, w.prefix)
	if err == nil && w.history > 0 {
		// Each user's messages are looked for, in a table that has no index for it and is full of dead ones.
		_, err = w.pool.Exec(ctx, `vacuum chat.messages`)
	}
	if err == nil {
		_, err = w.pool.Exec(ctx, `delete from chat.users where name like $1 || '-%'`, w.prefix)
	}
	if err != nil {
		return fmt.Errorf("remove the bench's rooms and users (names begin with %s): %w", w.prefix, err)
	}
	return nil
}
