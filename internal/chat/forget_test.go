package chat_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// TestWordsOfRemovedMessagesLeaveTheVocabulary: whichever way a message loses them, and no word that another still has.
func TestWordsOfRemovedMessagesLeaveTheVocabulary(t *testing.T) {
	pool, ctx := pgtest.Pool(t), t.Context()
	indexer := chat.NewIndexer(pool, slog.New(slog.DiscardHandler))
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	index := func() {
		t.Helper()
		if _, err := indexer.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want, sql string) {
		t.Helper()
		var got string
		if err := pool.QueryRow(ctx, sql).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", sql, got, err, want)
		}
	}
	const vocabulary = `select coalesce(string_agg(word, ' ' order by word), '') from chat.search_vocabulary`
	exec(`insert into chat.users (name) values ('ada')`)
	exec(`insert into chat.rooms (slug, name) values ('old', 'old')`)
	exec(`insert into chat.members select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'old'`)
	exec(`select chat.post('old', 'ada', 'only early: nothing')`)
	index()
	exec(`insert into chat.search_buckets (bucket, starts) values (2, now())`)
	exec(`select chat.post('general', 'ada', body) from unnest(array['the secret hunter2', 'the early word', 'edited passw0rd', 'the gone swordfish']) body`)
	index()
	is("early edited gone hunter2 nothing only passw0rd secret swordfish the word", vocabulary)

	exec(`update chat.messages set deleted_at = now() where body like '%hunter2'`)
	exec(`update chat.messages set body = 'edited well' where body like '%passw0rd'`)
	exec(`delete from chat.messages where body like '%swordfish'`)
	exec(`update chat.messages set deleted_at = now() where body like 'the early%'`) // "early" is in the bucket before
	index()
	is("early edited nothing only well", vocabulary)
	is("", `select coalesce(string_agg(word, ' '), '') from chat.search_forgotten`)

	// What is brought back has its words again; a room takes its own along.
	exec(`update chat.messages set deleted_at = null where body like '%hunter2'`)
	index()
	is("early edited hunter2 nothing only secret the well", vocabulary)
	exec(`delete from chat.rooms where slug = 'old'`)
	index()
	is("edited hunter2 secret the well", vocabulary)
	// So does an index that is made anew.
	exec(`delete from chat.search_progress`)
	exec(`delete from chat.search_buckets`)
	index()
	is("edited hunter2 secret the well", vocabulary)

	// In pieces: one word at least, however short the time.
	exec(`update chat.messages set deleted_at = now() where body like '%hunter2'`)
	exec(`select chat.index_messages(100)`)
	for _, more := range []string{"true", "true", "false", "false"} { // hunter2, secret, the; then nothing
		is(more, `select chat.forget_words('0')::text`)
	}
	is("edited well", vocabulary)

	// A word that a message loses while it is looked at is looked at again.
	exec(`select chat.post('general', 'ada', body) from unnest(array['twice', 'twice']) body`)
	index()
	exec(`delete from chat.messages where seq = (select min(seq) from chat.messages where body = 'twice')`)
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(ctx, `delete from chat.messages where body = 'twice'`); err != nil {
		t.Fatal(err)
	}
	index()
	is("edited twice well", vocabulary)
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	index()
	is("edited well", vocabulary)
}
