package bench

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// world is the rooms and users of a run.
type world struct {
	pool    *pgxpool.Pool
	prefix  string
	rooms   []string // slugs
	secrets []string // by connection: a token, or a session's
}

// found makes rooms and users: each connection is a user, a member of the one room that it joins.
func found(ctx context.Context, pool *pgxpool.Pool, s Scenario) (*world, error) {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	w := &world{pool: pool, prefix: "bench-" + hex.EncodeToString(random)}
	hashes := make([][]byte, s.Rooms*s.PerRoom)
	for i := range hashes {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		w.secrets = append(w.secrets, base64.RawURLEncoding.EncodeToString(secret))
		sum := sha256.Sum256([]byte(w.secrets[i]))
		hashes[i] = sum[:]
	}
	for i := range s.Rooms {
		w.rooms = append(w.rooms, fmt.Sprintf("%s-%d", w.prefix, i))
	}
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`insert into chat.rooms (slug, name) select r, r from unnest($1::text[]) r`, []any{w.rooms}},
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
	return w, nil
}

// remove removes all that the run has made.
func (w *world) remove(ctx context.Context) error {
	for _, sql := range []string{
		`delete from chat.rooms where slug like $1 || '-%'`,
		`delete from chat.users where name like $1 || '-%'`,
	} {
		if _, err := w.pool.Exec(ctx, sql, w.prefix); err != nil {
			return fmt.Errorf("remove the bench's rooms and users (names begin with %s): %w", w.prefix, err)
		}
	}
	return nil
}
