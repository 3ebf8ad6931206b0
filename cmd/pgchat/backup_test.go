package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// debian is a cluster of Debian's PostgreSQL of the test's own, which docs/backup.md is carried out on.
type debian struct {
	t       *testing.T
	dir     string
	version string
	as      *syscall.Credential // nil: as whoever runs the test
	env     []string
}

// newDebian is one whose cluster is not made yet.
func newDebian(t *testing.T) *debian {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_verifybackup")
	if len(found) == 0 {
		t.Fatal("Debian's PostgreSQL is missing: make deps")
	}
	dir := pgtest.Folder(t, "pgchat-backup-")
	if err := os.Chmod(dir, 0o755); err != nil { // other users pass it
		t.Fatal(err)
	}
	d := &debian{t: t, dir: dir, version: filepath.Base(filepath.Dir(filepath.Dir(found[len(found)-1])))}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		d.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	// The folder of the socket stands for the host, and what Debian keeps in /etc is the test's own too.
	d.env = append(os.Environ(), "PG_CLUSTER_CONF_ROOT="+dir+"/etc", "PGHOST="+dir, "PGPORT=5432", "PGUSER=postgres", "PGDATABASE=postgres", "HOME="+dir, "LC_ALL=C.UTF-8")
	d.run(`mkdir -p /var/backups/pgchat /var/lib/postgresql/15 "$PG_CLUSTER_CONF_ROOT"`)
	return d
}

// startDebian makes the cluster as Debian's tools do, and starts it with an empty database pgchat.
func startDebian(t *testing.T) *debian {
	t.Helper()
	d := newDebian(t)
	pgtest.Cleanup(t, func() {
		if _, err := os.Stat(d.path("/var/lib/postgresql/15/main/postmaster.pid")); err == nil {
			d.run(`pg_ctlcluster 15 main stop -m immediate`)
		}
	})
	d.run(`pg_createcluster 15 main -u "$(id -un)" -d /var/lib/postgresql/15/main -l "$HOME/log" -s "$HOME" -p 5432 -- -U postgres -A trust -E UTF8 --locale=C.UTF-8
		echo "listen_addresses = ''" > "$PG_CLUSTER_CONF_ROOT/15/main/conf.d/alone.conf"
		pg_ctlcluster 15 main start
		createdb pgchat`)
	return d
}

// path is where the test keeps what stands at path in the document.
func (d *debian) path(path string) string {
	return strings.NewReplacer("/15/", "/"+d.version+"/", "/var/", d.dir+"/var/").Replace(path)
}

// run has the shell carry out commands of the document, and returns what they print.
func (d *debian) run(commands string) string {
	d.t.Helper()
	commands = d.path(commands)
	commands = strings.ReplaceAll(commands, "cluster 15 main", "cluster "+d.version+" main")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	shell := osexec.CommandContext(ctx, "/bin/sh", "-eu", "-c", commands)
	shell.Dir, shell.Env = d.dir, d.env
	shell.SysProcAttr = &syscall.SysProcAttr{Credential: d.as}
	// The server that is started keeps what it inherits: a pipe would never end.
	out, err := os.CreateTemp(d.dir, "out")
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	shell.Stdout, shell.Stderr = out, out
	err = shell.Run()
	said, _ := os.ReadFile(out.Name())
	if err != nil {
		d.t.Fatalf("%s\n%v\n%s", commands, err, said)
	}
	return string(said)
}

func (d *debian) url(database string) string {
	return fmt.Sprintf("host=%s port=5432 user=postgres dbname=%s", d.dir, database)
}

// fillDemo fills a database with the demo, and with what a restore could forget: changes, a reaction, a file of several pieces.
func fillDemo(t *testing.T, url string) {
	t.Helper()
	t.Setenv("DATABASE_URL", url)
	command(t, "", "demo")
	db := pool(t, url)
	defer db.Close()
	exec(t, db, `update chat.messages set body = body || ' (corrected)' where seq = 2`)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 3`)
	exec(t, db, `select chat.react('general', 1, 'ada', '👍')`)
	exec(t, db, `with room as (select id from chat.rooms where slug = 'general'), file as (
			insert into chat.files (id, room_id, seq, place, uploader_id, name, type, size, completed_at)
			select gen_random_uuid(), room.id, 1, 1, u.id, 'noise.bin', 'application/octet-stream', 300000, now() from room, chat.users u where u.name = 'ada' returning id)
		insert into chat.file_chunks (file_id, n, data)
		select file.id, n, (select string_agg(sha256((n || ':' || i)::text::bytea), '') from generate_series(1, case n when 2 then 1183 else 4096 end) i) from file, generate_series(0, 2) n`)
}

// content is all that a backup must keep, as text: each table's rows, counted and hashed, and whatever the schema is made of.
func content(t *testing.T, url string) map[string]string {
	t.Helper()
	ctx := t.Context()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	found := map[string]string{}
	asked := func(name, sql string) {
		t.Helper()
		if err := db.QueryRow(ctx, sql).Scan(ref(found, name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	rows, err := db.Query(ctx, `select relname from pg_class where relnamespace = 'chat'::regnamespace and relkind = 'r' and relpersistence = 'p' order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		asked("table "+table, `select count(*) || ' rows ' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') from chat.`+table+` t`)
	}
	for name, sql := range map[string]string{
		"columns":     `select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attstorage::text from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum where c.relnamespace = 'chat'::regnamespace and a.attnum > 0 and c.relkind in ('r', 'v')`,
		"tables":      `select relname || relkind::text || relpersistence::text || coalesce(reloptions::text, '') from pg_class where relnamespace = 'chat'::regnamespace`,
		"constraints": `select conrelid::regclass::text || conname || contype::text || convalidated::text || confdeltype::text from pg_constraint where connamespace = 'chat'::regnamespace`,
		"indexes":     `select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = 'chat'::regnamespace`,
		"functions":   `select pg_get_functiondef(oid) from pg_proc where pronamespace = 'chat'::regnamespace`,
		"triggers":    `select pg_get_triggerdef(t.oid) || t.tgenabled::text from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'chat'::regnamespace and not t.tgisinternal`,
		"comments":    `select pg_describe_object(classoid, objoid, objsubid) || description from pg_description where pg_describe_object(classoid, objoid, objsubid) like '%chat%'`,
		"views":       `select viewname || definition from pg_views where schemaname = 'chat'`,
	} {
		asked(name, `select count(*) || ' ' || md5(string_agg(x, ';' order by x)) from (`+sql+`) t (x)`)
	}
	asked("gaps", `select count(*)::text from chat.gaps`)
	asked("heads", `select string_agg(r.slug || ' ' || h.last_seq || '.' || h.last_rev, ', ' order by r.slug) from chat.room_heads h join chat.rooms r on r.id = h.room_id`)
	asked("files", `select string_agg(f.name || ' ' || f.size || ' ' || md5(d.data), ', ' order by f.name) from chat.files f
		join (select file_id, string_agg(data, '' order by n) as data from chat.file_chunks group by 1) d on d.file_id = f.id where length(d.data) = f.size`)
	return found
}

// ref scans into a map.
func ref(m map[string]string, key string) scanFunc {
	return func(v any) error {
		m[key] = fmt.Sprint(v)
		return nil
	}
}

type scanFunc func(v any) error

func (f scanFunc) Scan(v any) error { return f(v) }

// same fails where what was restored is otherwise than it was.
func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	if before["gaps"] != "0" || !strings.Contains(before["files"], "noise.bin 300000") || len(before) < 20 {
		t.Fatalf("what was there before is not what the test is about: %v", before)
	}
	for key := range before {
		if before[key] != after[key] {
			t.Errorf("%s: %s was\n%s, and is\n%s", what, key, before[key], after[key])
		}
	}
}

// works has a server on what was restored be used: what was said is found, the first new message follows the last old one.
func works(t *testing.T, what, url string) {
	t.Helper()
	t.Setenv("DATABASE_URL", url)
	site := serve(t, build(t), url, "127.0.0.1:0")
	defer site.signal(syscall.SIGTERM)
	db := pool(t, url)
	var noticed bool
	if err := db.QueryRow(t.Context(), `select count(*) = 2 from chat.histories`).Scan(&noticed); err != nil || !noticed {
		t.Errorf("%s: the server does not know that the database was restored (%v)", what, err)
	}
	token := strings.TrimSpace(command(t, "", "token", "create", "ada", "restored"))
	get := func(path string) string {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, site.address+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if found := get("/search?q=deploy"); !strings.Contains(found, `"seq"`) {
		t.Errorf("%s: the search finds nothing: %s", what, found)
	}
	var id string
	var follows bool
	if err := db.QueryRow(t.Context(), `select id::text from chat.files where name = 'noise.bin'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if noise := get("/files/" + id + "/noise.bin"); len(noise) != 300000 {
		t.Errorf("%s: the file has %d bytes, want 300000", what, len(noise))
	}
	err := db.QueryRow(t.Context(), `select (select last_seq + 1 from chat.room_heads h join chat.rooms r on r.id = h.room_id where slug = 'general') = chat.post('general', 'ada', 'after the restore')`).Scan(&follows)
	if err != nil || !follows {
		t.Errorf("%s: the next message does not follow the last one (%v)", what, err)
	}
	if found := get("/rooms/general/messages?limit=1"); !strings.Contains(found, "after the restore") {
		t.Errorf("%s: the newest message is %s", what, found)
	}
}

// backupDoc is docs/backup.md's commands by its headings. Those under the headings that are given which were not run are an error at the end of the test.
func backupDoc(t *testing.T, headings ...string) func(heading string, n int) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string][]string{}
	for _, section := range regexp.MustCompile(`(?m)^## `).Split(string(text), -1)[1:] {
		heading, _, _ := strings.Cut(section, "\n")
		if !slices.Contains(slices.Concat(ofCluster, ofPrivate), heading) {
			t.Errorf("docs/backup.md, %q: no test is there for it", heading)
		}
		for _, block := range regexp.MustCompile(`\n(?:    .*\n)+`).FindAllString(section, -1) {
			left[heading] = append(left[heading], strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, "")))
		}
	}
	t.Cleanup(func() {
		for _, heading := range headings {
			if len(left[heading]) > 0 && !t.Failed() {
				t.Errorf("docs/backup.md, %q: these commands were not run: %q", heading, left[heading])
			}
		}
	})
	// The next n blocks under the heading.
	return func(heading string, n int) string {
		t.Helper()
		if len(left[heading]) < n {
			t.Fatalf("docs/backup.md has no %d more blocks under %q", n, heading)
		}
		commands := strings.Join(left[heading][:n], "\n")
		left[heading] = left[heading][n:]
		return commands
	}
}

// now is the database's clock, between what was committed before and what will be after.
func now(t *testing.T, db *pgxpool.Pool) string {
	t.Helper()
	var at string
	if err := db.QueryRow(t.Context(), `select clock_timestamp()::text`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

const (
	dumping   = "A dump"
	archived  = "A base backup and the archived log"
	private   = "The private PostgreSQL"
	looking   = "Looking at what was restored"
	peopleSee = "What people see"
)

var ofCluster, ofPrivate = []string{dumping, archived, looking, peopleSee}, []string{private}

// TestABackupIsRestored carries out docs/backup.md on a cluster of Debian's, every command of it.
func TestABackupIsRestored(t *testing.T) {
	doc, d := backupDoc(t, ofCluster...), startDebian(t)
	fillDemo(t, d.url("pgchat"))
	before := content(t, d.url("pgchat"))

	// A dump, in either format.
	d.run(doc(dumping, 2))
	restore := doc(dumping, 1)
	d.run(restore)
	same(t, "a dump", before, content(t, d.url("pgchat_restored")))
	if said := d.run(doc(looking, 1)); !strings.Contains(said, "(0 rows)") {
		t.Errorf("looking at it says %s", said)
	}
	works(t, "a dump", d.url("pgchat_restored"))
	d.run(doc(looking, 1))
	inFolder := strings.NewReplacer("pgchat_restored", "pgchat_folder", "pgchat.dump", "pgchat.dir").Replace(restore)
	d.run(inFolder)
	same(t, "a dump as a folder", before, content(t, d.url("pgchat_folder")))

	// A base backup with the log, to a moment between two messages.
	d.run(doc(archived, 3))
	db := pool(t, d.url("pgchat"))
	exec(t, db, `select chat.post('general', 'bob', 'before the moment')`)
	before = content(t, d.url("pgchat"))
	moment := now(t, db)
	exec(t, db, `select chat.post('general', 'bob', 'after the moment')`)
	exec(t, db, `delete from chat.rooms where slug = 'backend'`)
	db.Close()
	back := doc(archived, 1)
	to := func(moment string) { d.run(strings.ReplaceAll(back, "2026-11-28 14:03:00+00", moment)) }
	to(moment)
	same(t, "a moment", before, content(t, d.url("pgchat")))
	db = pool(t, d.url("pgchat"))
	var unlogged int
	if err := db.QueryRow(t.Context(), `select (select count(*) from chat.instances) + (select count(*) from chat.presence)`).Scan(&unlogged); err != nil || unlogged != 0 {
		t.Errorf("the unlogged tables have %d rows (%v), want none", unlogged, err)
	}
	db.Close()
	works(t, "a moment", d.url("pgchat"))
	d.run(doc(archived, 1))
	d.run(`rm -r /var/lib/postgresql/15/main.before`)

	clientsGoBack(t, d, to)

	d.run(doc(peopleSee, 1))
}

// TestThePrivatePostgreSQLIsCopied carries out docs/backup.md on a private PostgreSQL of Debian's programs, which can dump it.
func TestThePrivatePostgreSQLIsCopied(t *testing.T) {
	doc, d := backupDoc(t, ofPrivate...), newDebian(t)
	d.as = nil // who runs the server, and copies
	start := func() (*instance, string) {
		i := serve(t, build(t), "", "127.0.0.1:0", "--no-index", "--data-dir", d.path("/var/lib/pgchat"), "--postgres-bin", d.path("/usr/lib/postgresql/15/bin"))
		return i, "host=" + d.path("/var/lib/pgchat") + " user=pgchat dbname=postgres"
	}
	site, url := start()
	fillDemo(t, url)
	site.signal(syscall.SIGTERM)
	site, url = start()
	before := content(t, url)
	site.signal(syscall.SIGTERM)
	d.run(doc(private, 1))
	site, url = start()
	db := pool(t, url)
	exec(t, db, `delete from chat.rooms where slug = 'backend'`)
	db.Close()
	site.signal(syscall.SIGTERM)
	d.run(doc(private, 1))
	site, url = start()
	same(t, "a copy of the private PostgreSQL", before, content(t, url))
	d.run(doc(private, 1))
	if after := content(t, url); after["table histories"] == before["table histories"] {
		t.Error("no history began with the copy")
	}
	d.run(doc(private, 1))
	site.signal(syscall.SIGTERM)
}

// listener is a program that hears all the time, and so stays connected however long the test does something else.
type listener struct {
	*talker
	frames chan string
}

func (p *talker) listens() *listener {
	l := &listener{p, make(chan string, 1000)}
	_ = p.ws.SetReadDeadline(time.Time{})
	go func() {
		defer close(l.frames)
		for {
			_, frame, err := p.ws.ReadMessage()
			if err != nil {
				return
			}
			l.frames <- string(frame)
		}
	}()
	return l
}

// until takes frames until one has all the texts.
func (l *listener) until(texts ...string) {
	l.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case frame, more := <-l.frames:
			if !more {
				l.t.Fatalf("the connection ended before a frame with %q", texts)
			}
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(frame, text) }) {
				return
			}
		case <-late:
			l.t.Fatalf("no frame with %q came", texts)
		}
	}
}

// clientsGoBack has an instance, a page and programs live through a restore to a moment.
func clientsGoBack(t *testing.T, d *debian, to func(moment string)) {
	t.Helper()
	t.Setenv("DATABASE_URL", d.url("pgchat"))
	site := serve(t, build(t), d.url("pgchat"), "127.0.0.1:0")
	defer site.signal(syscall.SIGTERM)
	db := pool(t, d.url("pgchat"))
	ada := openBrowser(t)
	ada.signIn(site.address, "ada")
	ada.do(chromedp.Navigate(site.address + "/rooms/general"))
	ada.until(`document.querySelector("#state.live")`)
	stays, quiet := talk(t, site, "prog").listens(), talk(t, site, "mute").listens() // who has nothing that is gone
	quiet.send(`{"type":"leave","room":"general"}`)
	quiet.send(`{"type":"join","room":"design"}`)
	quiet.until(`"type":"joined","room":"design"`)
	stays.say("kept")
	ada.sees("kept")
	moment := now(t, db)
	var kept int
	if err := db.QueryRow(t.Context(), `select h.last_seq from chat.room_heads h join chat.rooms r on r.id = h.room_id where r.slug = 'general'`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		stays.say(fmt.Sprintf("lost %d", i))
		ada.sees(fmt.Sprintf("lost %d", i))
	}
	exec(t, db, `update chat.messages set body = 'a change that is lost' where body = 'kept'`)
	ada.sees("a change that is lost")
	var cursor string
	if err := db.QueryRow(t.Context(), `select last_seq || '.' || last_rev || '.' || chat.history() from chat.room_heads h join chat.rooms r on r.id = h.room_id where r.slug = 'general'`).Scan(&cursor); err != nil {
		t.Fatal(err)
	}
	db.Close()
	ada.until(`window.lived = true`)

	to(moment)
	stays.until(`"type":"left"`, `"reason":"set_back"`)
	quiet.until(`"type":"history"`, `"room":"design"`)
	ada.until(`!window.lived && document.querySelector("#state.live")`) // it was loaded anew
	ada.sees("kept")
	ada.until(`![...document.querySelectorAll("#messages .body")].some((p) => /^lost \d$|a change that is lost/.test(p.textContent))`)
	// The room comes further than it was: the numbers are others' now.
	stays.send(`{"type":"join","room":"general"}`)
	stays.until(`"type":"joined"`)
	for i := range 6 {
		stays.say(fmt.Sprintf("new %d", i))
		ada.sees(fmt.Sprintf("new %d", i))
	}
	ada.say("And by hand")
	ada.until(`[...document.querySelectorAll("#messages .message")].slice(-8).map((a) => a.dataset.seq + " " + a.querySelector(".body").textContent).join() ===
		"%d kept,%d new 0,%d new 1,%d new 2,%d new 3,%d new 4,%d new 5,%d And by hand"`, kept, kept+1, kept+2, kept+3, kept+4, kept+5, kept+6, kept+7)
	late := talk(t, site, "late")
	late.send(`{"type":"leave","room":"general"}`)
	late.until(`"type":"left"`)
	late.send(fmt.Sprintf(`{"type":"join","room":"general","after":%q}`, cursor))
	late.until(`"code":"cursor_ahead"`)
	short := cursor[:strings.LastIndex(cursor, ".")]
	history := cursor[len(short):]
	late.send(fmt.Sprintf(`{"type":"join","room":"general","after":"%d.0%s"}`, kept, history)) // who had no more than was kept goes on
	late.until(`"type":"joined"`, fmt.Sprintf(`"cursor":"%d.0.`, kept))
	late.until(`"body":"new 0"`, fmt.Sprintf(`"seq":%d,`, kept+1))
}
