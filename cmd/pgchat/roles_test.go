package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	osexec "os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// as is a connection string for another user, with its password.
func as(url, user string) string {
	return strings.Replace(url, "user=pgchat", "user="+user+" password='change me'", 1)
}

// ask sends a request with a token and returns the answer's body, which must have the status.
func ask(t *testing.T, i *instance, token, method, path, contentType string, body io.Reader, status int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d, error %v: %s", method, path, resp.StatusCode, status, err, text)
	}
	return string(text)
}

// comes waits until a query, which is asked again and again, gives true.
func comes(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		var is bool
		if err := db.QueryRow(t.Context(), sql).Scan(&is); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", sql)
		}
	}
}

// The owner migrates, a user who owns nothing serves, as docs/security.md says.
func TestServingAsAUserWhoOwnsNothing(t *testing.T) {
	own, admin := pgtest.Cluster(t)
	exec(t, pool(t, admin), `create database chat`)
	url := own.URL("chat")
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	setUp := strings.Join(regexp.MustCompile(`(?m)^    create role .*\n(?:    .*\n)+`).FindAllString(string(text), -1), "")
	exec(t, pool(t, admin), `drop owned by chat_app, chat_readonly, chat_moderator; drop role chat_app, chat_readonly, chat_moderator`) // that database's migrations have made them
	psql := osexec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url)
	psql.Stdin = strings.NewReader(setUp)
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, setUp, out)
	}
	owner, server, db := as(url, "pgchat_owner"), as(url, "pgchat_server"), pool(t, url)
	bin := build(t)

	// Before there is a schema, and while it is older than the binary, the server says what to do.
	refused := func(want ...string) {
		t.Helper()
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"serve", "--listen", "127.0.0.1:0", "--no-migrate"}} {
			cmd := osexec.Command(bin, args...)
			cmd.Env = append(os.Environ(), "DATABASE_URL="+server)
			out, err := cmd.CombinedOutput()
			for _, w := range want {
				if err == nil || !strings.Contains(string(out), w) || strings.Count(string(out), "\n") != 1 {
					t.Errorf("%v: error %v, want one line with %q: %s", args, err, w, out)
				}
			}
		}
	}
	refused(`may not create the schema chat`)
	t.Setenv("DATABASE_URL", owner)
	if out := command(t, "", "migrate", "up"); strings.Contains(out, "CREATE ROLE") {
		t.Errorf("there are roles, and migrating says %s", out)
	}
	if out := command(t, "", "migrate", "down"); !strings.Contains(out, "Took back") {
		t.Error(out)
	}
	exec(t, db, `grant usage on schema chat to chat_app; grant select on all tables in schema chat to chat_app`) // which the latest migration may have taken away
	refused("migrate up")
	command(t, "", "migrate", "up")

	t.Setenv("DATABASE_URL", server)
	one := serve(t, bin, server, "127.0.0.1:0")
	if status, body := readiness(t, one); status != http.StatusOK || !strings.Contains(body, `"listener":"ok"`) {
		t.Errorf("/readyz: status %d: %s", status, body)
	}
	ada, bob := talk(t, one, "ada"), talk(t, one, "bob")
	ada.until(`"type":"presence"`, `"joined":["bob"]`)
	bob.say("the quick brown fox")
	ada.until(`"type":"messages"`, "quick brown fox")
	exec(t, db, `update chat.messages set body = 'the quick brown fax'`)
	ada.until(`"type":"changes"`, "brown fax")

	token := strings.TrimSpace(command(t, "", "token", "create", "ada", "files"))
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	file, err := parts.CreateFormFile("file", "notes.txt")
	if err == nil {
		_, err = io.WriteString(file, "what is in it")
	}
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var uploaded struct{ ID string }
	if err := json.Unmarshal([]byte(ask(t, one, token, "POST", "/rooms/general/files", parts.FormDataContentType(), &form, http.StatusCreated)), &uploaded); err != nil {
		t.Fatal(err)
	}
	ada.send(`{"type":"post","room":"general","id":"0190a000-0000-7000-8000-000000000001","body":"with a file","files":["` + uploaded.ID + `"]}`)
	bob.until(`"type":"changes"`, "with a file", "notes.txt")
	if got := ask(t, one, token, "GET", "/files/"+uploaded.ID+"/notes.txt", "", nil, http.StatusOK); got != "what is in it" {
		t.Errorf("the file has %q", got)
	}
	comes(t, db, `select not exists (select from chat.room_heads h left join chat.search_progress p using (room_id) where h.last_seq > coalesce(p.seq, 0) or h.last_rev > p.rev)`)
	if got := ask(t, one, token, "GET", "/search?q=quick+fax", "", nil, http.StatusOK); !strings.Contains(got, "brown fax") {
		t.Errorf("the search found %s", got)
	}

	// What goes on in the background: expired sessions and forgotten uploads go when a server starts, and what a dead one held.
	exec(t, db, `insert into chat.sessions (token_hash, user_id, expires_at) select sha256('x'), id, now() - interval '1 day' from chat.users where name = 'ada';
		insert into chat.files (id, room_id, uploader_id, name, size, touched_at) select gen_random_uuid(), r.id, u.id, 'lost', 1, now() - interval '1 year' from chat.rooms r, chat.users u where u.name = 'ada';
		insert into chat.instances (id, name, version, heartbeat_at) values (gen_random_uuid(), 'dead', 'dev', now() - interval '1 day')`)
	if status := one.signal(syscall.SIGTERM); status != 0 {
		t.Errorf("it stopped with status %d", status)
	}
	two := serve(t, bin, server+" pool_max_conns=7", "127.0.0.1:0") // which is the pools' alone
	comes(t, db, `select not exists (select from chat.sessions where expires_at < now()) and not exists (select from chat.files where name = 'lost') and (select count(*) = 1 from chat.instances)`)
	eve := talk(t, two, "eve")
	eve.send(`{"type":"join","room":"general","after":"0.0"}`)
	eve.say("after the restart")
	eve.until(`"type":"messages"`, "after the restart")
}
