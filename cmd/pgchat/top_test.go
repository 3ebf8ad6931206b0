package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// terminal is a pseudo terminal in which a command runs.
type terminal struct {
	t    *testing.T
	file *os.File
	cmd  *osexec.Cmd
	news chan []byte // what the command wrote; closed at its end
	seen bytes.Buffer
}

func inTerminal(t *testing.T, cmd *osexec.Cmd, columns, rows uint16) *terminal {
	t.Helper()
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: columns, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	c := &terminal{t: t, file: file, cmd: cmd, news: make(chan []byte)}
	ended := make(chan struct{})
	go func() {
		defer close(c.news)
		for {
			piece := make([]byte, 4096)
			n, err := file.Read(piece)
			if n > 0 {
				select {
				case c.news <- piece[:n]:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		close(ended)
		_ = file.Close()
		for range c.news { // until it is closed
		}
	})
	return c
}

// until reads until what the command wrote since the last call has the text.
func (c *terminal) until(want string) {
	c.t.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(ansi.Strip(c.seen.String()), want) {
		select {
		case piece, more := <-c.news:
			if !more {
				c.t.Fatalf("it ended without %q:\n%q", want, c.seen.String())
			}
			c.seen.Write(piece)
		case <-late:
			c.t.Fatalf("%q did not come:\n%q", want, c.seen.String())
		}
	}
	c.seen.Reset()
}

func (c *terminal) press(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.file, keys); err != nil {
		c.t.Fatal(err)
	}
}

func TestTopInATerminal(t *testing.T) {
	pool := pgtest.Pool(t)
	if _, err := pool.Exec(t.Context(), `insert into chat.users (name) values ('ada'); select chat.post('general', 'ada', 'hello from the room')`); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command(build(t), "top", "--every", "100ms")
	cmd.Env = append(os.Environ(), "DATABASE_URL="+pool.Config().ConnString(), "TERM=xterm-256color")
	c := inTerminal(t, cmd, 80, 24)
	c.until("enter look into")
	c.press("?")
	c.until("this database; those that listen")
	c.press("?")
	c.until("enter look into")
	c.press("\r")
	c.until("hello from the room")
	if err := pty.Setsize(c.file, &pty.Winsize{Cols: 120, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	c.until("hello from the room") // the window is drawn anew
	c.press("q")
	for piece := range c.news {
		c.seen.Write(piece)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for what, code := range map[string]string{"the screen": "\x1b[?1049l", "the cursor": "\x1b[?25h"} {
		if !strings.Contains(c.seen.String(), code) {
			t.Errorf("at its end it does not give %s back: %q", what, c.seen.String())
		}
	}
}

func TestTopOnce(t *testing.T) {
	url := pgtest.URL(t)
	run := func(args ...string) string {
		t.Helper()
		cmd := osexec.Command(build(t), append([]string{"top", "--every", "100ms"}, args...)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	// Its output is no terminal: --once is needless.
	for _, args := range [][]string{nil, {"--once"}} {
		if text := run(args...); !strings.Contains(text, "No server runs") || !strings.Contains(text, "general") || strings.Contains(text, "\x1b") {
			t.Errorf("%v: it printed\n%s", args, text)
		}
	}
	var report struct {
		Rooms []struct{ Room string }
		Queue struct {
			Used *float64 `json:"used_percent"`
		} `json:"notify_queue"`
	}
	if err := json.Unmarshal([]byte(run("--json")), &report); err != nil || len(report.Rooms) != 1 || report.Rooms[0].Room != "general" || report.Queue.Used == nil {
		t.Errorf("it reported %+v, error %v", report, err)
	}
}
