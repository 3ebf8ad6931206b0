package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
)

// program connects as a program with a token.
func (s *site) program(t *testing.T, token string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{consumer.Protocol}}
	ws, resp, err := dialer.DialContext(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/ws", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatalf("connect: %v (%v)", err, resp)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func (s *site) token(t *testing.T, user string) string {
	t.Helper()
	secret, err := chat.NewTokens(s.pool).Create(t.Context(), user, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func readJSON(t *testing.T, ws *websocket.Conn) map[string]any {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	var frame map[string]any
	if err := ws.ReadJSON(&frame); err != nil {
		t.Fatal(err)
	}
	return frame
}

// like compares a frame with the document's: "…" stands for anything, also at the end of a text.
func like(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for key := range w {
			if !like(w[key], g[key]) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !like(w[i], g[i]) {
				return false
			}
		}
		return true
	case string:
		begin, cut := strings.CutSuffix(w, "…")
		if g, ok := got.(string); cut && ok {
			return strings.HasPrefix(g, begin)
		}
	}
	return want == "…" || want == got
}

func TestTheServerSpeaksAsTheProtocolsDocumentSays(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(t, "ada")
	ws := s.program(t, token)
	var waiting []map[string]any // frames that may come in any order
	sent, expected := 0, 0
	var answered string // by HTTP: status and body
	for _, line := range regexp.MustCompile(`(?m)^    ([→←]|GET|POST|curl|\d{3}) .*$`).FindAllString(string(text), -1) {
		direction, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch direction {
		case "GET":
			a := s.do(t, client(t), "GET", data, nil, "Accept", "application/json", "Authorization", "Bearer "+token)
			answered = fmt.Sprint(a.status, " ", a.body)
			continue
		case "POST":
			path, body, _ := strings.Cut(data, " ")
			answered = s.sendJSON(t, token, path, body)
			continue
		case "curl":
			how := regexp.MustCompile(`-F (\S+)=@(\S+) https://[^/]+(/\S+)$`).FindStringSubmatch(data)
			a := s.sendForm(t, client(t), how[3], []part{{how[1], how[2], "hello"}}, "Authorization", "Bearer "+token)
			answered = fmt.Sprint(a.status, " ", a.body)
			continue
		case "→":
			if id := regexp.MustCompile(`"id":"(.*?)"`).FindStringSubmatch(answered); id != nil {
				data = strings.Replace(data, `"files":["…"]`, `"files":["`+id[1]+`"]`, 1)
			}
			send(t, ws, data)
			sent++
			continue
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(data), &want); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if direction != "←" {
			var got map[string]any
			status, body, _ := strings.Cut(answered, " ")
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != direction || !like(want, got) {
				t.Errorf("the document says\n%s, the server\n%s (%v)", line, answered, err)
			}
			continue
		}
		expected++
		if want["type"] == "changes" && want["rev"] == 1.0 {
			if _, err := s.pool.Exec(t.Context(), `update chat.messages set body = 'hello, all'`); err != nil {
				t.Fatal(err)
			}
		}
		switch want["type"] {
		case "event":
			s.exec(t, `begin; set local session_replication_role = replica; update chat.messages set created_at = created_at - interval '9 days' where seq < 3; commit`)
			s.exec(t, `update chat.rooms set keep_days = 7 where slug = 'general'`)
		case "removed":
			s.exec(t, `select chat.retain()`)
		case "announcements":
			s.exec(t, `select chat.announce('Maintenance at 18:00', until => now() + interval '1 hour')`)
		case "group":
			s.exec(t, `select chat.group_send('general', '{"build": "green"}')`)
		}
		found := false
		for !found {
			for i, got := range waiting {
				if found = like(want, got); found {
					waiting = append(waiting[:i], waiting[i+1:]...)
					break
				}
			}
			if !found {
				got := readJSON(t, ws)
				if got["type"] == want["type"] && !like(want, got) {
					t.Fatalf("the document says\n%s, the server\n%v", data, got)
				}
				waiting = append(waiting, got)
			}
		}
	}
	if sent < 4 || expected < 6 || len(waiting) > 0 {
		t.Errorf("sent %d frames, expected %d, the document lacks %v", sent, expected, waiting)
	}
	// Every code that the server has for frames is in the document.
	for _, code := range []chat.Code{
		chat.BadFrame, chat.Invalid, chat.NotFound, chat.NotJoined, chat.CursorAhead, chat.Forbidden, chat.Banned, chat.Taken, chat.RateLimited, chat.Busy, chat.TooLarge, chat.Unavailable,
	} {
		if !strings.Contains(string(text), "| `"+string(code)+"` |") {
			t.Errorf("docs/protocol.md lacks the code %s", code)
		}
	}
}

func TestAProgramsMistakesAreAnsweredAndTheConnectionIsKept(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	ws := s.program(t, s.token(t, "ada"))
	for text, code := range map[string]string{
		`nonsense`: "bad_frame", `[]`: "bad_frame", `{}`: "bad_frame", `{"type":"shout"}`: "bad_frame", `{"type":"join","room":1}`: "bad_frame",
		`{"type":"join","room":"none"}`: "not_found", `{"type":"join","room":"general","after":"x"}`: "invalid",
		`{"type":"join","room":"general","after":"7.0"}`: "cursor_ahead", `{"type":"leave","room":"general"}`: "not_joined",
		`{"type":"typing","room":"general"}`: "not_joined",
	} {
		send(t, ws, text)
		if f := readJSON(t, ws); f["type"] != "error" || f["code"] != code {
			t.Errorf("%s: got %v, want %s", text, f, code)
		}
	}
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if f := readJSON(t, ws); f["code"] != "bad_frame" {
		t.Errorf("a binary frame: got %v", f)
	}
	send(t, ws, `{"type":"join","room":"general"}`)
	for readJSON(t, ws)["type"] != "joined" {
	}
	send(t, ws, `{"type":"join","room":"general"}`)
	for f := readJSON(t, ws); f["type"] != "error"; f = readJSON(t, ws) {
	}
}

func TestAProgramResumesByItsCursorAndEndsWithItsToken(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	token := s.token(t, "ada")
	if _, err := s.pool.Exec(t.Context(), `select chat.post('general', 'ada', 'message ' || g) from generate_series(1, 5) g`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `update chat.messages set body = 'changed' where seq = 2`); err != nil {
		t.Fatal(err)
	}
	ws := s.program(t, token)
	send(t, ws, `{"type":"join","room":"general","after":"3.0"}`)
	var seqs []float64
	changes := 0
	for len(seqs) < 2 || changes < 1 {
		f := readJSON(t, ws)
		list, _ := f["messages"].([]any) // other frames have none
		for _, m := range list {
			if f["type"] == "changes" {
				changes++
				if m.(map[string]any)["body"] != "changed" {
					t.Errorf("got %v", m)
				}
			} else {
				seqs = append(seqs, m.(map[string]any)["seq"].(float64))
			}
		}
	}
	if seqs[0] != 4 || seqs[1] != 5 {
		t.Errorf("got messages %v, want 4 and 5", seqs)
	}
	if err := chat.NewTokens(s.pool).Revoke(context.Background(), "ada", "test"); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	if !websocket.IsCloseError(err, consumer.CloseSignedOut) {
		t.Errorf("after its token was revoked: got %v, want close code 4401", err)
	}
}

func TestProgramsAreRefusedBeforeTheUpgrade(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	s.do(t, client(t), "GET", "/ws", nil).want(t, 401, "Bearer TOKEN")
	s.do(t, client(t), "GET", "/ws", nil, "Authorization", "Bearer nonsense").want(t, 401, "revoked")
	s.do(t, c, "GET", "/ws", nil).want(t, 400, consumer.Protocol)
}
