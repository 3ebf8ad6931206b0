package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// sendJSON posts as a program does, and returns the answer's status and body.
func (s *site) sendJSON(t *testing.T, token, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Accept": "application/json", "Content-Type": "application/json; charset=utf-8", "Authorization": "Bearer " + token} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || len(resp.Cookies()) > 0 {
		t.Fatalf("%s: cookies %v, error %v", path, resp.Cookies(), err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(got))
}

func TestProgramsDoRooms(t *testing.T) {
	s := start(t, true)
	for _, name := range []string{"ada", "eve", "bob"} { // ada is the administrator
		s.signUp(t, name)
	}
	ada, eve, bob := s.token(t, "ada"), s.token(t, "eve"), s.token(t, "bob")
	says := func(token, path, body string, status int, texts ...string) string {
		t.Helper()
		got := s.sendJSON(t, token, path, body)
		for _, text := range append(texts, fmt.Sprint(status, " ")) {
			if !strings.Contains(got, text) {
				t.Errorf("%s %s: %q is not in %s", path, body, text, got)
			}
		}
		return got
	}
	get := func(token, path string) answer {
		t.Helper()
		return s.do(t, client(t), "GET", path, nil, "Accept", "application/json", "Authorization", "Bearer "+token)
	}

	// A private room is told to its members alone, as in the pages.
	says(eve, "/rooms", `{"name":"Plans","private":true}`, 201, `"room":"plans"`, `"kind":"private"`, `"role":"owner"`)
	says(eve, "/rooms", `{"name":"plans"}`, 409, `"code":"taken"`, "There is a room called")
	says(eve, "/rooms", `{"name":""}`, 422, `"code":"invalid"`, "needs a name")
	says(eve, "/rooms", `{"name":"Open","private":false}`, 201, `"kind":"public"`)
	for _, path := range []string{"/rooms/plans", "/rooms/plans/members"} {
		get(ada, path).want(t, 404, `"code":"not_found"`)
	}
	for _, what := range []string{"join", "leave", "members", "settings", "archive", "preferences", "members/" + s.id(t, "eve") + "/remove", "members/" + s.id(t, "eve") + "/owner"} {
		says(ada, "/rooms/plans/"+what, `{"names":"ada","archived":true,"owner":true}`, 404, `"code":"not_found"`)
	}
	if list := get(ada, "/rooms"); strings.Contains(list.body, "Plans") || !strings.Contains(list.body, `"room":"open"`) {
		t.Errorf("the administrator is told of %s", list.body)
	}

	// Members are added by name, made owners and removed by id.
	says(eve, "/rooms/plans/members", `{"names":["@bob","ada"]}`, 200, `"type":"members"`, `"name":"bob","role":"member"`, `"name":"ada"`)
	says(bob, "/rooms/plans/members/"+s.id(t, "ada")+"/remove", ``, 403, `"code":"forbidden"`)
	says(eve, "/rooms/plans/members/"+s.id(t, "ada")+"/remove", ``, 200, `"type":"members"`)
	says(eve, "/rooms/plans/members/nobody/owner", `{"owner":true}`, 422, `"code":"invalid"`)
	says(eve, "/rooms/plans/members/"+s.id(t, "bob")+"/owner", `{"owner":true}`, 200, `"name":"bob","role":"owner"`)
	says(eve, "/rooms/plans/members/"+s.id(t, "eve")+"/remove", ``, 200, `{"type":"left","room":"plans"}`)
	get(eve, "/rooms/plans").want(t, 404)

	// What is not given stays.
	says(bob, "/rooms/plans/settings", `{"topic":"Next year"}`, 200, `"name":"Plans","topic":"Next year"`)
	says(bob, "/rooms/plans/settings", `{"name":"Plan"}`, 200, `"room":"plans","name":"Plan","topic":"Next year"`)
	says(bob, "/rooms/plans/preferences", `{"starred":true}`, 200, `"starred":true,"notify":"mentions"`)
	says(bob, "/rooms/plans/preferences", `{"notify":"often"}`, 422, `"code":"invalid"`)
	says(bob, "/rooms/plans/archive", `{"archived":true}`, 200, `"archived":true`)
	says(bob, "/rooms/plans/members", `{"names":["eve"]}`, 403, "archived")
	says(bob, "/rooms/plans/archive", `{"archived":false}`, 200, `"archived":false`)

	// A public room is joined and left.
	get(ada, "/rooms/open").want(t, 200, `"type":"room"`, `"member":false`)
	says(ada, "/rooms/open/join", ``, 200, `"member":true`, `"role":"member"`)
	says(ada, "/rooms/open/leave", ``, 200, `{"type":"left","room":"open"}`)
	says(ada, "/rooms/general/leave", ``, 403, "Everybody belongs")

	// A direct conversation is the same each time, by JSON and by a form.
	room := says(ada, "/direct", `{"user":["`+s.id(t, "bob")+`"]}`, 200, `"kind":"direct"`, `"name":"bob"`)
	_, room, _ = strings.Cut(room, " ")
	var direct struct{ Room string }
	if err := json.Unmarshal([]byte(room), &direct); err != nil {
		t.Fatal(err)
	}
	s.do(t, client(t), "POST", "/direct", form("user", s.id(t, "bob")), "Accept", "application/json", "Authorization", "bearer "+ada).want(t, 200, `"room":"`+direct.Room+`"`)
	says(ada, "/direct", `{}`, 422, `"code":"invalid"`)
	says(ada, "/direct", `{"user":["x"]}`, 422, "no user's id")

	// What is no JSON object is refused, and a body is bounded.
	for _, body := range []string{`[]`, `{`, `{} {}`, `"x"`, `{"name":{}}`, `{"names":[1]}`} {
		says(ada, "/rooms", body, 400, `"code":"bad_frame"`)
	}
	says(ada, "/rooms", `{"name":"`+strings.Repeat("x", 200_000)+`"}`, 413, `"code":"too_large"`)
}

func TestATokenIsJudgedByItselfAndEnds(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	token := s.token(t, "ada")
	as := []string{"Accept", "application/json", "Authorization", "Bearer " + token}
	if a := s.do(t, client(t), "GET", "/rooms", nil, as...); a.status != 200 || len(a.cookies) > 0 {
		t.Errorf("status %d, cookies %v", a.status, a.cookies)
	}
	s.do(t, client(t), "POST", "/rooms", form("name", "x"), append(as, "Sec-Fetch-Site", "cross-site")...).want(t, 403, "another site")
	s.do(t, client(t), "GET", "/live", nil, as...).want(t, 401)
	s.do(t, client(t), "GET", "/rooms", nil, "Accept", "application/json").want(t, 401, `"code":"unauthenticated"`, "Bearer TOKEN")
	if err := chat.NewTokens(s.pool).Revoke(t.Context(), "ada", "test"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/rooms", "/rooms/general", "/rooms/general/members", "/rooms/general/messages"} {
		s.do(t, c, "GET", path, nil, as...).want(t, 401, `"code":"unauthenticated"`) // the cookie does not count
	}
	s.do(t, c, "POST", "/rooms", form("name", "x"), as...).want(t, 401)
	s.do(t, c, "GET", "/rooms", nil).want(t, 200)
	s.do(t, client(t), "GET", "/healthz", nil, as...).want(t, 200)
}

func TestAProgramIsToldWhoIsInTheRoom(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	s.signUp(t, "eve")
	join := func(name string) map[string]any {
		t.Helper()
		ws := s.program(t, s.token(t, name))
		send(t, ws, `{"type":"join","room":"general"}`)
		joined := readJSON(t, ws)
		for f := joined; f["type"] != "presence"; f = readJSON(t, ws) { // it is online
		}
		return joined
	}
	if f := join("ada"); f["type"] != "joined" || f["online"] != 0.0 || f["here"] != nil {
		t.Errorf("the first was told %v", f)
	}
	if f := join("eve"); f["online"] != 1.0 || fmt.Sprint(f["here"]) != "[ada]" {
		t.Errorf("the second was told %v", f)
	}
}

func TestProgramsPostAndChangeWithoutAConnection(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	s.signUp(t, "eve")
	ada, eve := s.token(t, "ada"), s.token(t, "eve")
	says := func(token, path, body string, want string) string {
		t.Helper()
		got := s.sendJSON(t, token, "/rooms/general/"+path, body)
		status, text, _ := strings.Cut(got, " ")
		wantStatus, wantText, _ := strings.Cut(want, " ")
		var gotJSON, wantJSON any
		if err := errors.Join(json.Unmarshal([]byte(text), &gotJSON), json.Unmarshal([]byte(wantText), &wantJSON)); err != nil || status != wantStatus || !like(wantJSON, gotJSON) {
			t.Errorf("%s %s: got\n%s, want\n%s (%v)", path, body, got, want, err)
		}
		return text
	}
	const author = `"author":{"id":"…","name":"ada"},"created_at":"…"`
	id := "0192f8a0-5e1c-7c3a-9b1e-0123456789ab"
	message := func(seq, body, rest string) string {
		return `{"type":"message","room":"general","seq":` + seq + `,"id":"…",` + author + `,"body":"` + body + `"` + rest + `}`
	}
	says(ada, "messages", `{"id":"`+id+`","body":"hello"}`, `201 `+message("1", "hello", ""))
	says(ada, "messages", `{"id":"`+id+`","body":"hello"}`, `201 `+message("1", "hello", "")) // again: stored once
	says(eve, "messages", `{"id":"`+id+`","body":"mine"}`, `409 {"type":"error","code":"taken","message":"…"}`)
	says(ada, "messages", `{"body":"/topic is what I say","reply_to":1}`, `201 `+message("2", "/topic is what I say", `,"reply_to":1,"thread":1`))
	says(ada, "messages", `{"id":"x","body":"hello"}`, `422 {"type":"error","code":"invalid","message":"The message's id is not a UUID."}`)
	says(ada, "messages", `{"body":" "}`, `422 {"type":"error","code":"invalid","message":"…"}`)
	says(ada, "messages", `{"body":"hello","files":["x"]}`, `422 {"type":"error","code":"invalid","message":"\"x\" is no file's id."}`)
	says(ada, "messages", `nonsense`, `400 {"type":"error","code":"bad_frame","message":"…"}`)

	at := "messages/" + id + "/"
	says(ada, at+"edit", `{"body":"hello, all"}`, `200 `+message("1", "hello, all", `,"rev":2,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}]`))
	says(eve, at+"edit", `{"body":"bye"}`, `403 {"type":"error","code":"forbidden","message":"…"}`)
	says(ada, at+"edit", `{}`, `422 {"type":"error","code":"invalid","message":"…"}`)
	for range 2 { // left out, "on" is true
		says(eve, at+"reactions", `{"emoji":"👍"}`, `200 `+message("1", "hello, all", `,"rev":3,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}],"reactions":[{"emoji":"👍","count":1,"by":["eve"]}]`))
	}
	says(eve, at+"reactions", `{"emoji":"👍","on":false}`, `200 `+message("1", "hello, all", `,"rev":4,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}]`))
	for range 2 {
		says(eve, at+"pin", ``, `200 `+message("1", "hello, all", `,"rev":5,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}],"pinned":{"by":"eve","at":"…"}`))
	}
	says(eve, at+"pin", `{"on":false}`, `200 `+message("1", "hello, all", `,"rev":6,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}]`))
	says(ada, at+"delete", ``, `200 `+message("1", "", `,"rev":7,"edited_at":"…","deleted_at":"…"`))
	says(ada, at+"undelete", ``, `200 `+message("1", "hello, all", `,"rev":8,"edited_at":"…","replies":1,"replied_by":[{"id":"…","name":"ada"}]`))
	says(ada, "messages/"+uuid.NewString()+"/pin", ``, `404 {"type":"error","code":"not_found","message":"…"}`)

	// A form will do as well, with files in it; a token says that it is a program.
	s.do(t, client(t), "POST", "/rooms/general/messages", form("body", "by form"), "Authorization", "Bearer "+ada).want(t, 201, `"type":"message"`, `"body":"by form"`)
	s.sendForm(t, client(t), "/rooms/general/messages", []part{{"body", "", "with a file"}, {"file", "notes.txt", "hello"}}, "Authorization", "Bearer "+ada).want(t, 201, `"body":"with a file"`, `"name":"notes.txt"`)
	upload := s.sendForm(t, client(t), "/rooms/general/files", []part{{"file", "more.txt", "hello"}}, "Authorization", "Bearer "+ada)
	upload.want(t, 201)
	var file struct{ ID string }
	if err := json.Unmarshal([]byte(upload.body), &file); err != nil {
		t.Fatal(err)
	}
	if got := s.sendJSON(t, ada, "/rooms/general/messages", `{"body":"","files":["`+file.ID+`"]}`); !strings.HasPrefix(got, "201 ") || !strings.Contains(got, `"name":"more.txt"`) {
		t.Errorf("a file that was uploaded before: %s", got)
	}
	s.do(t, client(t), "POST", "/status", form("text", "at work", "ends", "never"), "Authorization", "Bearer "+ada).want(t, 204)
	s.do(t, client(t), "POST", "/status", form("text", "at work", "ends", "soon"), "Authorization", "Bearer "+ada).want(t, 422, `"code":"invalid"`)
}
