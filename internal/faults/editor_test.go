package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

// edit changes messages by SQL, as a DBA who moderates, until ctx ends. It shares with members the database alone.
func (w *world) edit(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		sql := `update chat.messages m set body = 'edited: ' || left(m.body, 50) from chat.room_heads h
			where m.room_id = h.room_id and m.seq between h.last_seq - $1 and h.last_seq - $1 + 2`
		if random.IntN(5) == 0 {
			sql = `update chat.messages m set deleted_at = now() from chat.room_heads h where m.room_id = h.room_id and m.seq = h.last_seq - $1`
		}
		_ = w.db.try(ctx, sql, random.IntN(200))
		pause(ctx, 100*time.Millisecond, 300*time.Millisecond)
	}
}
