package main

import (
	"bufio"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// TestWhatIsDocumentedIsTold runs the statements of docs/listening.md that are followed by what they tell, and compares that.
func TestWhatIsDocumentedIsTold(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{
		`insert into chat.users (name) values ('ada'), ('bob'), ('eve')`,
		`do $$ begin execute format('listen %I', 'room:' || (select id from chat.rooms where slug = 'general')); end $$`, `listen activity`, `listen "end"`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	uuids := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	times := regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`)
	statements := 0
	for _, block := range documented(t, "../../docs/listening.md") {
		for _, step := range regexp.MustCompile(`(?m)^([^-\n].*;)((?:\n-- .*)+)`).FindAllStringSubmatch(block.text, -1) {
			statements++
			if _, err := conn.Exec(t.Context(), step[1]); err != nil {
				t.Fatalf("%s: %v", step[1], err)
			}
			if _, err := conn.Exec(t.Context(), `notify "end"`); err != nil {
				t.Fatal(err)
			}
			told := ""
			for {
				n, err := conn.WaitForNotification(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n.Channel == "end" {
					break
				}
				told += "\n-- " + n.Channel + " " + n.Payload
			}
			told = times.ReplaceAllString(uuids.ReplaceAllString(told, "…"), `"…"`)
			if diff := cmp.Diff(strings.Split(step[2], "\n"), strings.Split(told, "\n")); diff != "" {
				t.Errorf("%s: documented (-), told (+):\n%s", step[1], diff)
			}
		}
	}
	if statements < 5 {
		t.Errorf("found %d statements: are they read?", statements)
	}
}

// TestTheDocumentedProgramLosesNothing builds the program of docs/listening.md and cuts its connection.
func TestTheDocumentedProgramLosesNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`insert into chat.users (name) values ('ada')`)
	exec(`select chat.post('general', 'ada', 'before')`)
	blocks := documented(t, "../../docs/listening.md")
	source := slices.IndexFunc(blocks, func(b block) bool { return b.language == "go" })
	program := blocks[source].prepared(t, pool.Config().ConnString()+" application_name=program")()
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Process.Kill(); _ = program.Wait() }()
	lines := bufio.NewReader(out)
	for _, step := range []struct{ sql, want string }{
		{`select`, `1 ada: "before"`},
		{`select chat.post('general', 'ada', 'live')`, `2 ada: "live"`},
		{`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'program'`, ""},
		{`select chat.post('general', 'ada', 'after')`, `3 ada: "after"`},
	} {
		exec(step.sql)
		if step.want == "" {
			continue
		}
		if line, err := lines.ReadString('\n'); err != nil || line != step.want+"\n" {
			t.Fatalf("after %s it printed %q, error %v; want %q", step.sql, line, err, step.want)
		}
	}
}
