package main_test

import (
	"bufio"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(withBinary{m}) }

// withBinary removes the binary that build made when the tests have run.
type withBinary struct{ tests *testing.M }

func (w withBinary) Run() int {
	defer pgtest.Finally(func() { _ = os.RemoveAll(binaries) })()
	return w.tests.Run()
}

var binaries string // the folder of the binary

var built = sync.OnceValues(func() (string, error) {
	var err error
	if binaries, err = os.MkdirTemp("", "pgchat-bin-"); err != nil {
		return "", err
	}
	if err := os.Chmod(binaries, 0o755); err != nil { // another user runs it, too
		return "", err
	}
	bin := filepath.Join(binaries, "pgchat")
	if out, err := osexec.Command("go", "build", "-race", "-o", bin, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
})

// build makes the binary that a user would have, once.
func build(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// instance is a running `pgchat serve`.
type instance struct {
	cmd     *osexec.Cmd
	address string // http://host:port
	host    string
	psql    string // what it says to look in with
	out     *bufio.Reader
	ended   chan struct{}
}

// serve starts an instance on the database at url; without one it runs a PostgreSQL of its own.
func serve(t *testing.T, bin, url, listen string, args ...string) *instance {
	t.Helper()
	return serveAs(t, nil, bin, url, listen, args...)
}

// serveAs starts an instance as a user; nil: as whoever runs the test.
func serveAs(t *testing.T, user *syscall.Credential, bin, url, listen string, args ...string) *instance {
	t.Helper()
	i := &instance{ended: make(chan struct{})}
	i.cmd = osexec.Command(bin, append([]string{"serve", "--listen", listen, "--drain", "100ms", "--log-level", "warn"}, args...)...)
	i.cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
	i.cmd.Stderr = os.Stderr
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := i.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	i.out = lines
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("pgchat serve printed %q: %v", line, err)
	}
	i.address = strings.TrimSpace(strings.TrimPrefix(line, "pgchat serves "))
	i.host = strings.TrimPrefix(i.address, "http://")
	if line, err = lines.ReadString('\n'); err != nil {
		t.Fatalf("pgchat serve printed %q: %v", line, err)
	}
	i.psql = strings.TrimSpace(strings.TrimPrefix(line, "Look in with: "))
	go func() {
		defer close(i.ended)
		_ = i.cmd.Wait()
	}()
	pgtest.Cleanup(t, func() { i.signal(syscall.SIGTERM) })
	return i
}

// metrics is the address of the metrics of an instance that serves them.
func (i *instance) metrics(t *testing.T) string {
	t.Helper()
	line, err := i.out.ReadString('\n')
	if err != nil {
		t.Fatalf("pgchat serve printed %q: %v", line, err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "Metrics: "))
}

// signal sends it, waits for the process to end and returns its exit status; -1: a signal ended it.
func (i *instance) signal(s syscall.Signal) int {
	_ = i.cmd.Process.Signal(s)
	<-i.ended
	return i.cmd.ProcessState.ExitCode()
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestTwoPeopleOnTwoInstances(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	db := pool(t, url)
	short := []string{"--lease", "2s", "--heartbeat", "500ms"}
	one, two := serve(t, bin, url, "127.0.0.1:0", short...), serve(t, bin, url, "127.0.0.1:0", short...)
	ada, bob := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	bob.signUp(two.address, "bob")

	// Presence crosses instances.
	for _, b := range []*browser{ada, bob} {
		b.until(`document.querySelector("#online").textContent === "2" && document.querySelectorAll("#people li").length === 2`)
	}

	// So do messages, typed by people and written by SQL.
	ada.say("Hello from the first instance")
	bob.sees("Hello from the first instance")
	bob.say("And from the second: https://www.postgresql.org/docs/ is worth a look")
	ada.sees("And from the second: https://www.postgresql.org/docs/ is worth a look")
	ada.until(`document.querySelector('#messages .body a[href="https://www.postgresql.org/docs/"]')`)
	if _, err := db.Exec(t.Context(), `select chat.post('general', 'ada', 'posted with chat.post')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body)
		select r.id, u.id, 'a plain INSERT' from chat.rooms r, chat.users u where r.slug = 'general' and u.name = 'bob'`); err != nil {
		t.Fatal(err)
	}
	const script = `<script>document.title = "broken"</script>`
	if _, err := db.Exec(t.Context(), `select chat.post('general', 'ada', $1)`, script); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*browser{ada, bob} {
		b.sees("posted with chat.post")
		b.sees("a plain INSERT")
		b.sees(script)
		b.until(`document.title === "#general · pgchat" && document.querySelectorAll("#pending .message").length === 0`)
	}
	// What SQL changes shows at once, too.
	exec(t, db, `update chat.messages set body = 'corrected by SQL' where body = 'a plain INSERT'`)
	exec(t, db, `update chat.messages set deleted_at = now() where body like 'posted with%'`)
	for _, b := range []*browser{ada, bob} {
		b.sees("corrected by SQL")
		b.sees("This message was removed.")
		b.until(`document.querySelectorAll("#messages .message").length === 5`)
	}
	ada.screenshot("room")

	// A killed instance: its people go with its lease, the other serves on.
	one.signal(syscall.SIGKILL)
	bob.until(`document.querySelector("#online").textContent === "1"`)
	ada.until(`document.querySelector("#state:not(.live)")`)
	bob.say("while you were away")
	bob.sees("while you were away")
	ada.say("typed while offline")
	ada.until(`document.querySelector("#pending .message.pending")`)

	// Started again, its browsers catch up, and what they typed meanwhile arrives once.
	serve(t, bin, url, one.host, short...)
	ada.until(`document.querySelector("#state.live")`)
	ada.sees("while you were away")
	bob.sees("typed while offline")
	ada.sees("typed while offline")
	for _, b := range []*browser{ada, bob} {
		b.until(`document.querySelector("#online").textContent === "2"`)
		seqs, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]int](`[...document.querySelectorAll("#messages .message")].map((a) => Number(a.dataset.seq))`))
		if err != nil {
			t.Fatal(err)
		}
		for i, seq := range seqs {
			if seq != i+1 {
				t.Errorf("the page shows messages %v, want each once, in order", seqs)
				break
			}
		}
		if len(seqs) != 7 {
			t.Errorf("the page shows %d messages, want 7", len(seqs))
		}
	}
}
