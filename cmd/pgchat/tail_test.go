package main_test

import (
	"bufio"
	"io"
	"os"
	osexec "os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// tailed is a running `pgchat tail`.
type tailed struct {
	t        *testing.T
	cmd      *osexec.Cmd
	out      io.ReadCloser
	lines    *bufio.Reader // of standard output
	errLines *bufio.Reader
}

// startTail starts it and returns when it follows.
func startTail(t *testing.T, url string, args ...string) *tailed {
	t.Helper()
	c := &tailed{t: t, cmd: osexec.Command(build(t), append([]string{"tail"}, args...)...)}
	c.cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "TZ=UTC")
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errOut, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	c.out, c.lines, c.errLines = out, bufio.NewReader(out), bufio.NewReader(errOut)
	if line := c.said(); !strings.HasPrefix(line, "Following ") {
		t.Fatalf("it said %q", line)
	}
	return c
}

func (c *tailed) line() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("standard output has %q: %v", line, err)
	}
	return line
}

// said returns the next line of standard error.
func (c *tailed) said() string {
	c.t.Helper()
	line, err := c.errLines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("standard error has %q: %v", line, err)
	}
	return history.ReplaceAllString(line, "")
}

// history ends a cursor; each database has another.
var history = regexp.MustCompile(`\.[0-9a-f]{8}\b`)

// wait waits for it to end in order.
func (c *tailed) wait() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.errLines); err != nil || len(rest) > 0 {
		c.t.Errorf("at its end it said %q, error %v", rest, err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("it ended with %v", err)
	}
}

func post(t *testing.T, pool *pgxpool.Pool, body string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `select chat.post('general', 'ada', $1)`, body); err != nil {
		t.Fatal(err)
	}
}

func TestATailEndsBySignalsAndSaysHowToGoOn(t *testing.T) {
	pool := pgtest.Pool(t)
	url := pool.Config().ConnString()
	if _, err := pool.Exec(t.Context(), `insert into chat.users (name) values ('ada')`); err != nil {
		t.Fatal(err)
	}
	c := startTail(t, url, "general")
	post(t, pool, "one")
	if line := c.line(); !strings.HasSuffix(line, "  general  1 ada: one\n") {
		t.Errorf("it printed %q", line)
	}
	_ = c.cmd.Process.Signal(os.Interrupt)
	if line := c.said(); line != "Go on from here with: pgchat tail general --after general=1.0\n" {
		t.Errorf("at its end it said %q", line)
	}
	c.wait()

	post(t, pool, "two")
	c = startTail(t, url, "general", "--json", "--after", "general=1.0")
	if line := history.ReplaceAllString(c.line(), ""); !strings.HasPrefix(line, `{"type":"message","room":"general","cursor":"2.0","message":{"seq":2,`) {
		t.Errorf("it printed %q", line)
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	if line := c.said(); line != "Go on from here with: pgchat tail general --json --after general=2.0\n" {
		t.Errorf("at its end it said %q", line)
	}
	c.wait()
}

func TestATailEndsWhenNobodyReadsIt(t *testing.T) {
	url := pgtest.URL(t)
	c := startTail(t, url)
	if err := c.out.Close(); err != nil {
		t.Fatal(err)
	}
	// No message is needed for it to notice.
	if line := c.said(); line != "Go on from here with: pgchat tail --after general=0.0\n" {
		t.Errorf("at its end it said %q", line)
	}
	c.wait()
}
