package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// talker is a program in a room.
type talker struct {
	t  *testing.T
	ws *websocket.Conn
}

// command runs the binary on the database of the environment and returns what it printed.
func command(t *testing.T, in string, args ...string) string {
	t.Helper()
	cmd := osexec.Command(build(t), args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pgchat %v: %v", args, err)
	}
	return string(out)
}

// talk makes an account by the command line and joins #general with a token of it.
func talk(t *testing.T, i *instance, name string) *talker {
	t.Helper()
	command(t, "correct horse battery\n", "user", "create", name)
	token := command(t, "", "token", "create", name, "test")
	dialer := websocket.Dialer{Subprotocols: []string{"pgchat.v1"}}
	ws, resp, err := dialer.DialContext(t.Context(), "ws://"+i.host+"/ws", http.Header{"Authorization": {"Bearer " + strings.TrimSpace(token)}})
	if err != nil {
		t.Fatalf("connect: %v (%v)", err, resp)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	p := &talker{t, ws}
	p.send(`{"type":"join","room":"general"}`)
	p.until(`"type":"joined"`)
	return p
}

func (p *talker) send(frame string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		p.t.Fatal(err)
	}
}

// until reads until a frame has all the texts.
func (p *talker) until(texts ...string) {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(30 * time.Second))
read:
	for {
		_, frame, err := p.ws.ReadMessage()
		if err != nil {
			p.t.Fatalf("no frame with %q came: %v", texts, err)
		}
		for _, text := range texts {
			if !strings.Contains(string(frame), text) {
				continue read
			}
		}
		return
	}
}

func (p *talker) say(body string) {
	p.t.Helper()
	p.send(fmt.Sprintf(`{"type":"post","room":"general","id":%q,"body":%q}`, uuid.NewString(), body))
}

func readiness(t *testing.T, i *instance) (status int, body string) {
	t.Helper()
	resp, err := http.Get(i.address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Both instances find an empty database and migrate it through the pooler.
func TestServingBehindATransactionPooler(t *testing.T) {
	for _, c := range []struct {
		name string
		args func(direct string) []string
		want string // of the listener, in /readyz
	}{
		{"with a direct connection to listen", func(direct string) []string { return []string{"--listen-database-url", direct} }, `"listener":"ok"`},
		{"without one, by polling", func(string) []string { return nil }, "LISTEN_DATABASE_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			direct := pgtest.EmptyURL(t)
			url := pgtest.Bouncer(t, direct, "transaction")
			t.Setenv("DATABASE_URL", url)
			bin := build(t)
			one, two := serve(t, bin, url, "127.0.0.1:0", c.args(direct)...), serve(t, bin, url, "127.0.0.1:0", c.args(direct)...)
			for _, i := range []*instance{one, two} {
				if status, body := readiness(t, i); status != http.StatusOK || !strings.Contains(body, c.want) {
					t.Errorf("/readyz: status %d, want 200, and %q in %s", status, c.want, body)
				}
			}
			ada := talk(t, one, "ada")
			bob := talk(t, two, "bob")
			ada.until(`"type":"presence"`, `bob"],"left":[]`) // alone, or with ada herself where who is online is polled for
			for i := range 5 {
				ada.say(fmt.Sprint("from ada ", i))
				bob.until(`"type":"messages"`, fmt.Sprint("from ada ", i))
				bob.say(fmt.Sprint("from bob ", i))
				ada.until(`"type":"messages"`, fmt.Sprint("from bob ", i))
			}
			exec(t, pool(t, direct), `update chat.messages set body = 'corrected' where body = 'from ada 0'`)
			for _, p := range []*talker{ada, bob} {
				p.until(`"type":"changes"`, "corrected")
			}
			_ = bob.ws.Close()
			ada.until(`"type":"presence"`, `"left":["bob"]`)
		})
	}
}
