package main_test

import (
	"testing"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// What servers tell of themselves is in chat.instance_health, and their sessions in chat.listeners.
func TestServersTellHowTheyAre(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	t.Setenv("DATABASE_URL", url)
	short := []string{"--heartbeat", "2s", "--lease", "20s"}
	one := serve(t, bin, url, "127.0.0.1:0", append(short, "--name", "one")...)
	serve(t, bin, url, "127.0.0.1:0", append(short, "--name", "two")...)
	talk(t, one, "ada")
	db := pool(t, url)
	until(t, db, `select count(*) = 2 from chat.instance_health where alive and listener ~ '^(hears|[0-9.]+ ms)$' and (instance, connections, rooms) in (('one', 1, 1), ('two', 0, 0))`)
	until(t, db, `select count(*) = 2 from chat.listeners where instance in ('one', 'two') and listens = 'yes' and application_name = 'pgchat listener'`)
	until(t, db, `select online = 1 and messages = 0 from chat.room_stats where room = 'general'`)
	// A server that takes messages says by how many statements it stored them, until the next heartbeat.
	ada := talk(t, one, "bob")
	ada.say("hello")
	until(t, db, `select count(*) = 1 from chat.instances where name = 'one' and (batches, messages, largest_batch) = (1, 1, 1)`)
}
