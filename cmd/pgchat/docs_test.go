package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// block is code that stands in a Markdown text. What is indented, a line of it or a few, stands by itself; what is fenced has a
// language, is a part of what its document tells, and is run by a test of that one's own.
type block struct{ language, text string }

func blocks(text string) (found []block) {
	for _, m := range regexp.MustCompile("(?m)^```(\\w*)\n([\\s\\S]*?)^```$|\n((?:    .*\n)(?:(?:    .*)?\n)*)").FindAllStringSubmatch(text, -1) {
		indented := strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(m[3], ""))
		found = append(found, block{m[1], cmp.Or(m[2], indented)})
	}
	return found
}

// documented are the blocks of a document.
func documented(t *testing.T, doc string) []block {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return blocks(string(text))
}

// prepared is a block as a command that runs it, with DATABASE_URL in its environment. Go and Python may be given arguments.
func (b block) prepared(t *testing.T, url string) func(args ...string) *osexec.Cmd {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main."+b.language)
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	var argv []string
	switch b.language {
	case "sql", "":
		argv = []string{"psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file, url}
	case "go":
		argv = []string{filepath.Join(dir, "program")}
		if out, err := osexec.Command("go", "build", "-o", argv[0], file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	case "python":
		argv = []string{python(t), file}
	default:
		t.Fatalf("nothing runs blocks of %q", b.language)
	}
	return func(args ...string) *osexec.Cmd {
		cmd := osexec.Command(argv[0], slices.Concat(argv[1:], args)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
		return cmd
	}
}

// python is one that has psycopg: the one of PATH, or Debian's.
func python(t *testing.T) string {
	t.Helper()
	said := ""
	for _, path := range []string{"python3", "/usr/bin/python3"} {
		out, err := osexec.Command(path, "-c", "import psycopg").CombinedOutput()
		if err == nil {
			return path
		}
		said += fmt.Sprintf("%s: %v %s\n", path, err, out)
	}
	t.Fatalf("no Python has psycopg: make deps\n%s", said)
	return ""
}

var comment = regexp.MustCompile(`\s+#.*`)

// company is who and what docs/ speak of beside the demo's people: a second account, somebody who advertises, programs and
// browsers.
const company = `
	insert into chat.users (name) values ('ada2'), ('eve');
	select chat.add_member('random', 'ada2'), chat.add_member('random', 'eve'), chat.add_member('waffles', 'eve');
	insert into chat.rooms (slug, name, kind, direct_key) select 'direct-with-bob', 'ada2, bob', 'direct', string_agg(id::text, ',' order by id) from chat.users where name in ('ada2', 'bob');
	select chat.post('random', 'ada2', 'from my telephone'), chat.post('direct-with-bob', 'bob', 'is that you, @ada2?'), chat.react('general', 1, 'ada2', '👍');
	select chat.post(room, 'eve', 'Cheap: https://tickets.example/win') from unnest('{general,random,waffles,general}'::text[]) room;
	insert into chat.tokens (user_id, name, token_hash) values (chat.find_user('pipeline'), 'deploys', sha256('deploys')), (chat.find_user('pipeline'), 'builds', sha256('builds'));
	insert into chat.sessions (token_hash, user_id, created_at, expires_at, user_agent)
		select sha256(age::text::bytea), chat.find_user('bob'), now() - age, now() + interval '20 days', 'Firefox' from unnest('{1 hour,9 days}'::interval[]) age;
	select chat.index_messages(1000);
	grant select on chat.sessions to chat_readonly;`

// effects are what is to be true after blocks of docs/sql.md, by a text in them.
var effects = map[string]string{
	"delete from chat.files where size":  `exists (select from chat.files) and not exists (select from chat.files where size > 100000 and type = 'image/png')`,
	"m.user_id = chat.find_user('ada');": `not exists (select from chat.members m join chat.room_heads h using (room_id) where m.user_id = chat.find_user('ada') and m.last_read_seq < h.last_seq)`,
	"select chat.ban('eve'":              `chat.banned(chat.find_user('eve'), null) and (select count(*) = 4 and bool_and(deleted_at is not null) from chat.messages where body like '%tickets.example%')`,
	"select chat.unban('eve'":            `not chat.banned(chat.find_user('eve'), null) and not exists (select from chat.messages where deleted_at is not null and (author_id = chat.find_user('eve') or room_id = chat.find_room('general')))`,
	"delete from chat.messages":          `exists (select from chat.messages where room_id = chat.find_room('random') and seq = 1 and body = '')`,
	"h.secret_body, deleted_at = null":   `exists (select from chat.messages where room_id = chat.find_room('random') and seq = 1 and body ~ 'The cat sat' and deleted_at is null)`,
	"select said_at, secret_body":        `exists (select from chat.message_history where secret_body ~ '^Morning')`,
	"chat.move_messages('general'": `(select count(*) from chat.messages where room_id = chat.find_room('general') and seq in (12, 13) and body = '') = 2
		and (select bool_or(body = 'I always have opinions.') from chat.messages where room_id = chat.find_room('random'))
		and (select extra #>> '{thread,count}' from chat.messages where room_id = chat.find_room('operations') and body ~ '^I am moving the seat lock') = '2'
		and (select count(*) from chat.messages where room_id = chat.find_room('waffles') and author_id = chat.find_user('frank') and body ~ 'birthday') = 1`,
	"chat.merge_users('ada2', 'ada')": `not exists (select from chat.users where name = 'ada2') and exists (select from chat.messages where author_id = chat.find_user('ada') and body = 'from my telephone')
		and exists (select from chat.members where room_id = chat.find_room('direct-with-bob') and user_id = chat.find_user('ada'))`,
	"chat.rename_user('frank'": `chat.find_user('frank.miller') is not null and (select name from chat.rooms where slug = 'random') = 'Small talk'`,
	"chat.remove_member('hiring'": `not exists (select from chat.members where room_id = chat.find_room('hiring') and user_id = chat.find_user('erin'))
		and (select count(*) from chat.members where room_id = chat.find_room('operations')) = (select count(*) from chat.users)`,
	"delete from chat.tokens":          `(select string_agg(name, ' ') from chat.tokens) = 'builds' and (select count(*) from chat.sessions where user_id = chat.find_user('bob')) = 1`,
	"from chat.audit_log order by":     `exists (select from chat.audit_log where actor = 'ada' and table_name = 'messages') and exists (select from chat.audit_log where table_name = 'members')`,
	"from chat.surplus_rights \\gexec": `not exists (select from chat.surplus_rights) and not has_column_privilege('chat_readonly', 'chat.sessions', 'token_hash', 'SELECT') and has_column_privilege('chat_readonly', 'chat.sessions', 'user_agent', 'SELECT')`,
	"chat.withdraw()":                  `not exists (select from chat.announcements)`,
	"chat.post('releases', 'pipeline'": `exists (select from chat.messages where author_id = chat.find_user('pipeline') and body ~ '^[1-9][0-9]* messages in [1-9][0-9]* rooms')`,
	"create temp table history": `(select count(*) > 10 and min(created_at) < now() - interval '5 days' and bool_and(in_order) from (
			select m.created_at, m.created_at >= lag(m.created_at, 1, '-infinity') over (order by m.seq) as in_order from chat.messages m where m.room_id = chat.find_room('old-backend')) m)
		and (select count(*) from chat.messages where room_id = chat.find_room('old-backend')) = (select count(*) from chat.messages where room_id = chat.find_room('backend') and deleted_at is null)`,
	"chat.create_room('Team '": `(select count(*) from chat.members m join chat.rooms r on r.id = m.room_id where r.slug in ('team-north', 'team-south')) = 6`,
	"set keep_days = 3":        `(select h.first_seq > 1 and m.created_at > now() - interval '3 days' from chat.room_heads h join chat.messages m on m.room_id = h.room_id and m.seq = h.first_seq where h.room_id = chat.find_room('random'))`,
}

// TestTheDocumentsCommandsAndSQLWork runs what README and docs/ tell people to type: commands are parsed, make targets
// looked up, SQL is run by psql, each document on a filled database of its own, one block after the other, and breaks nothing.
func TestTheDocumentsCommandsAndSQLWork(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	told := []string{"../../docs/embedding.md", "../../docs/listening.md"} // by embedding_test.go and listening_test.go
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	filled := pgtest.URL(t)
	t.Setenv("DATABASE_URL", filled)
	if status, _, errOut := pgchat(t, "", "demo"); status != 0 {
		t.Fatal(errOut)
	}
	psql := func(url, sql string) string {
		t.Helper()
		out, err := block{"sql", sql}.prepared(t, url)().CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, sql, out)
		}
		return strings.TrimSpace(string(out))
	}
	psql(filled, company)
	tried := map[string]bool{}
	commandLines, statements := 0, 0
	for _, doc := range append(docs, "../../README.md") {
		url, dir := "", t.TempDir()
		for _, block := range documented(t, doc) {
			if block.language != "" {
				if !slices.Contains(told, doc) {
					t.Errorf("%s: no test runs its fenced blocks:\n%s", doc, block.text)
				}
				continue
			}
			if regexp.MustCompile(`(?im)^(select|insert|update|delete|listen|with|\\d)`).MatchString(block.text) {
				statements++
				if url == "" {
					url = pgtest.Clone(t, filled)
				}
				cmd := block.prepared(t, url)()
				cmd.Dir = dir // what one block writes another one reads
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", doc, err, block.text, out)
				}
				if broken := psql(url, `select * from chat.integrity`); broken != "" {
					t.Errorf("%s: %s\nhas broken:\n%s", doc, block.text, broken)
				}
				for part, sql := range effects {
					if filepath.Base(doc) == "sql.md" && strings.Contains(block.text, part) {
						tried[part] = true
						if psql(url, `select `+sql) != "t" {
							t.Errorf("after\n%s\nit is not so that %s", block.text, sql)
						}
					}
				}
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(block.text, "\\\n", "")) {
				words := strings.Fields(comment.ReplaceAllString(line, ""))
				switch {
				case len(words) > 1 && words[0] == "make":
					commandLines++
					if !regexp.MustCompile(`(?m)^` + words[1] + `:`).Match(makefile) {
						t.Errorf("%s: there is no target for %q", doc, line)
					}
				case len(words) > 0 && strings.HasSuffix(words[0], "bin/pgchat"):
					commandLines++
					var cli commands
					parser, err := kong.New(&cli, kong.Name("pgchat"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := parser.Parse(words[1:]); err != nil {
						t.Errorf("%s: %s: %v", doc, line, err)
					}
				}
			}
		}
	}
	for part := range effects {
		if !tried[part] {
			t.Errorf("docs/sql.md has no block with %q", part)
		}
	}
	if commandLines < 5 || statements < 1 {
		t.Errorf("found %d command lines and %d blocks of SQL: are they read?", commandLines, statements)
	}
}
