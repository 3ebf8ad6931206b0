package chat_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// What people do in pages is noted with who of them it was; a message that SQL has erased is not brought back.
func TestTheAuditLogKnowsWhoOfTheChatItWas(t *testing.T) {
	pool := pgtest.Pool(t)
	people, rooms, messages := chat.NewPeople(pool, true), chat.NewRooms(pool), chat.NewMessages(pool)
	ada, err := people.Create(t.Context(), "ada", "correct horse", chat.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := people.Create(t.Context(), "bob", "correct horse", chat.RoleMember)
	if err != nil {
		t.Fatal(err)
	}
	room, err := rooms.Create(t.Context(), ada, "plans", "", chat.Public)
	if err == nil {
		err = rooms.Join(t.Context(), room.ID, bob.ID)
	}
	var id uuid.UUID
	if err == nil {
		err = pool.QueryRow(t.Context(), `insert into chat.messages (room_id, author_id, body) values ($1, $2, 'one') returning id`, room.ID, bob.ID).Scan(&id)
	}
	if err == nil {
		_, err = messages.Edit(t.Context(), bob.ID, room.ID, id, "two")
	}
	if err == nil {
		_, err = messages.Delete(t.Context(), ada.ID, room.ID, id, true)
	}
	if err == nil {
		_, err = messages.Delete(t.Context(), ada.ID, room.ID, id, false)
	}
	if err == nil {
		err = rooms.SetOwner(t.Context(), ada, room, bob.ID, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), `select concat_ws(' ', operation, table_name, actor) from chat.audit_log
		where key ->> 'room_id' = $1 or key ->> 'id' = $1 order by id`, room.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	noted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{"INSERT members ada", "INSERT rooms ada", "INSERT members bob", "UPDATE messages bob", "UPDATE messages ada", "UPDATE messages ada", "UPDATE members ada"}
	if err != nil || !slices.Equal(noted, want) {
		t.Errorf("noted %q, %v, want %q", noted, err, want)
	}
	var by uuid.UUID
	if err := pool.QueryRow(t.Context(), `select changed_by from chat.message_history where change = 'deleted' and secret_body = 'two'`).Scan(&by); err != nil || by != ada.ID {
		t.Errorf("deleted by %s, %v, want ada", by, err)
	}

	if _, err := pool.Exec(t.Context(), `delete from chat.messages`); err != nil {
		t.Fatal(err)
	}
	var refused *chat.Error
	if _, err := messages.Delete(t.Context(), ada.ID, room.ID, id, false); !errors.As(err, &refused) || refused.Code != chat.Forbidden {
		t.Errorf("brought back although erased: %v", err)
	}
	if n, err := (chat.Retention{History: time.Microsecond}).Sweep(t.Context(), pool); err != nil || n != 3 {
		t.Errorf("%d texts were too old, %v, want 3", n, err)
	}
}
