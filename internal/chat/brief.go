package chat

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// briefly does what changes a room, in a transaction that waits for no lock for more than a second: where another program holds the room
// the error is an [Error], of code Unavailable. Who waits has a connection of the pool meanwhile, and everybody needs these.
func briefly(ctx context.Context, pool *pgxpool.Pool, do func(*store.Queries) error) error {
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL lock_timeout = '1s'"}, func(tx pgx.Tx) error {
		return do(store.New(tx))
	})
	if locked(err) {
		return Errorf(Unavailable, "Nothing can be changed in this room at the moment: another program holds it in a transaction. Try again in a moment.")
	}
	return err
}
