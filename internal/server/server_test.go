package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/feed"
	layer "github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/page"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/server"
	"github.com/pgchat/pgchat/internal/unread"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

const (
	password  = "correct horse battery"
	fileLimit = 1_000_000 // bytes
)

type site struct {
	*httptest.Server
	pool  *pgxpool.Pool // the owner's
	layer *layer.Layer

	sockets *consumer.Sockets
}

// unlimited lets tests, which are quicker than people, do as much as they want.
func unlimited() *chat.Limiter[uuid.UUID] { return chat.NewPostLimiter(0, 1) }

func start(t *testing.T, signupOpen bool) *site {
	t.Helper()
	return startLimited(t, signupOpen, chat.FileLimits{Each: fileLimit, InAll: 20 * fileLimit}, unlimited())
}

func startLimited(t *testing.T, signupOpen bool, limits chat.FileLimits, posts *chat.Limiter[uuid.UUID]) *site {
	t.Helper()
	return startOn(t, pgtest.Pool(t), signupOpen, limits, posts)
}

// startTwo starts two instances on one database.
func startTwo(t *testing.T) (one, two *site) {
	t.Helper()
	one = start(t, true)
	return one, startOn(t, one.pool, true, chat.FileLimits{Each: fileLimit, InAll: 20 * fileLimit}, unlimited())
}

// startOn starts an instance on the owner's database.
func startOn(t *testing.T, owner *pgxpool.Pool, signupOpen bool, limits chat.FileLimits, posts *chat.Limiter[uuid.UUID]) *site {
	t.Helper()
	// The server is a user who owns nothing, as it should be.
	log, ctx := slog.New(slog.DiscardHandler), context.Background()
	pool, err := pgxpool.New(ctx, pgtest.As(t, owner.Config().ConnString(), "chat_app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	pages, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	carrier := layer.New(pool, pool.Config().ConnString(), id, log)
	messages, sessions, reads := chat.NewMessages(pool), chat.NewSessions(pool), chat.NewReads(pool)
	rooms, writer := feed.New(carrier, messages, log), chat.NewWriter(pool)
	online := presence.New(pool, presence.Instance{ID: id, Name: "test", Version: "test", Heartbeat: 10 * time.Second, Lease: 30 * time.Second}, log)
	if err := errors.Join(rooms.Start(ctx), carrier.Start(ctx), online.Start(ctx)); err != nil {
		t.Fatal(err)
	}
	hub := unread.New(carrier, reads, log)
	if err := hub.Start(ctx); err != nil {
		t.Fatal(err)
	}
	writer.OnStored(hub.Stored)
	writer.Start(ctx)
	people := chat.NewPeople(pool, signupOpen)
	sockets := consumer.New(consumer.Config{
		Layer: carrier, Feed: rooms, Presence: online, Unread: hub, Writer: writer, Log: log, RenderMessages: pages.Messages, RenderLines: pages.Lines,
		Sessions: sessions, Tokens: chat.NewTokens(pool), Rooms: chat.NewRooms(pool), Messages: messages, People: people, PostLimit: posts,
		RenderPeople:  func([]presence.Person) []byte { return nil },
		Announcements: chat.NewAnnouncements(pool), RenderAnnouncements: pages.Announcements,
	})
	if err := sockets.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s := &site{pool: owner, layer: carrier, sockets: sockets, Server: httptest.NewServer(server.New(server.Config{
		People: people, Sessions: sessions, Tokens: chat.NewTokens(pool), Rooms: chat.NewRooms(pool), Messages: messages, Reads: reads, Writer: writer,
		Files: chat.NewFiles(pool, limits), Presence: online, Sockets: sockets, Pages: pages, Log: log,
		Search: chat.NewSearch(pool), PostLimit: posts,
		Checks: map[string]func(context.Context) error{"listener": func(context.Context) error { return carrier.Ready() }},
	}).Handler())}
	t.Cleanup(func() {
		if err := errors.Join(sockets.Drain(ctx, 0), sockets.Stop(ctx), writer.Stop(ctx), hub.Stop(ctx), online.Stop(ctx), carrier.Stop(ctx), rooms.Stop(ctx)); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

// client is a browser without JavaScript.
func client(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type answer struct {
	status         int
	body, location string
	retryAfter     string
	cookies        []*http.Cookie
}

func (s *site) do(t *testing.T, c *http.Client, method, path string, form url.Values, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got, body := request(t, c, r, headers...)
	return answer{got.StatusCode, body, got.Header.Get("Location"), got.Header.Get("Retry-After"), got.Cookies}
}

type reply struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
	Cookies       []*http.Cookie
}

// request sends it with the headers, each a name and a value, and returns the answer with its body.
func request(t *testing.T, c *http.Client, r *http.Request, headers ...string) (reply, string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, resp.ContentLength, resp.Cookies()}, string(body)
}

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%q is not in the page: %s", text, a.body)
		}
	}
}

func (s *site) signUp(t *testing.T, name string) *http.Client {
	t.Helper()
	c := client(t)
	s.do(t, c, "POST", "/sign-up", url.Values{"name": {name}, "password": {password}}).want(t, 303)
	return c
}

func TestTheFirstAccountIsTheAdministratorsEvenWhenTwoSignUpAtOnce(t *testing.T) {
	s := start(t, true)
	if a := s.do(t, client(t), "GET", "/", nil); a.location != "/sign-up" {
		t.Errorf("the first visitor is sent to %s", a.location)
	}
	var wg sync.WaitGroup
	for _, name := range []string{"ada", "bob", "eve", "dan"} {
		wg.Go(func() { s.signUp(t, name) })
	}
	wg.Wait()
	var admins int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.users where role = 'admin'`).Scan(&admins); err != nil || admins != 1 {
		t.Errorf("%d administrators, error %v", admins, err)
	}
	if a := s.do(t, client(t), "GET", "/", nil); a.location != "/sign-in" {
		t.Errorf("later visitors are sent to %s", a.location)
	}
}

func TestSignUpSaysWhatIsWrongBesideTheFieldAndKeepsTheName(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "Ada")
	for _, c := range []struct{ name, password, want string }{
		{"a", password, "2 to 32 characters"},
		{strings.Repeat("a", 33), password, "2 to 32 characters"},
		{"a b", password, "letters, digits"},
		{"a\x00b", password, "letters, digits"},
		{"a\xff", password, "letters, digits"},
		{"<script>", password, "letters, digits"},
		{"aDA", password, "taken"},
		{"bob", "short", "at least 10"},
		{"bob", strings.Repeat("x", 201), "at most 200"},
	} {
		a := s.do(t, client(t), "POST", "/sign-up", url.Values{"name": {c.name}, "password": {c.password}})
		if a.status != 422 && a.status != 409 && a.status != 429 || a.status != 429 && !strings.Contains(a.body, c.want) {
			t.Errorf("%q, %q: status %d, want %q in %s", c.name, c.password, a.status, c.want, a.body)
		}
		if strings.Contains(a.body, `value="`+c.password) {
			t.Errorf("the password is in the page")
		}
		if c.name == "bob" && !strings.Contains(a.body, `value="bob"`) {
			t.Error("the name was not kept")
		}
	}
}

func TestClosedSignUpMakesNoAccount(t *testing.T) {
	s := start(t, false)
	s.do(t, client(t), "POST", "/sign-up", url.Values{"name": {"ada"}, "password": {password}}).want(t, 403, "closed")
}

func TestASessionIsRotatedAtSignInEndsAtSignOutAndExpires(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	sign := url.Values{"name": {"ADA"}, "password": {password}, "next": {"/rooms"}}
	first := s.do(t, c, "POST", "/sign-in", sign)
	first.want(t, 303)
	cookie := first.cookies[0]
	if first.location != "/rooms" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Expires.Before(time.Now().Add(29*24*time.Hour)) {
		t.Errorf("sent to %s with cookie %+v", first.location, cookie)
	}
	second := s.do(t, c, "POST", "/sign-in", sign)
	if second.cookies[0].Value == cookie.Value {
		t.Error("the token is the same after signing in again")
	}
	s.do(t, client(t), "GET", "/rooms", nil, "Cookie", "pgchat_session="+cookie.Value).want(t, 303)
	s.do(t, c, "GET", "/rooms", nil).want(t, 200)
	s.do(t, client(t), "POST", "/sign-in", url.Values{"name": {"ada"}, "password": {"wrong password"}}).want(t, 401, "do not match", `value="ada"`)
	s.do(t, client(t), "POST", "/sign-in", url.Values{"name": {"nobody"}, "password": {password}}).want(t, 401, "do not match")
	if _, err := s.pool.Exec(t.Context(), `update chat.sessions set expires_at = now()`); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, c, "GET", "/rooms/general?before=7", nil); a.location != "/sign-in?next=%2Frooms%2Fgeneral%3Fbefore%3D7" {
		t.Errorf("an expired session is sent to %s", a.location)
	}
	s.do(t, c, "POST", "/sign-in", sign).want(t, 303)
	s.do(t, c, "POST", "/sign-out", url.Values{}).want(t, 303)
	s.do(t, c, "GET", "/rooms", nil).want(t, 303)
}

func TestAfterSigningInNobodyIsSentToAnotherSite(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	for _, to := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/%09/evil.example", "javascript:alert(1)", "evil", "\t//evil.example", "/\r\nX: y"} {
		a := s.do(t, client(t), "POST", "/sign-in", url.Values{"name": {"ada"}, "password": {password}, "next": {to}})
		if a.status == 303 && a.location != "/" && to != "/%09/evil.example" {
			t.Errorf("next=%q sends to %q", to, a.location)
		}
	}
}

func TestManyTriesFromOneAddressAreSlowedDown(t *testing.T) {
	s := start(t, true)
	for range 20 {
		if a := s.do(t, client(t), "POST", "/sign-in", url.Values{"name": {"x"}, "password": {"x"}}); a.status == 429 {
			a.want(t, 429, "Too many tries", `value="x"`)
			if len(a.retryAfter) != 1 || a.retryAfter > "6" {
				t.Errorf("Retry-After %q", a.retryAfter)
			}
			return
		}
	}
	t.Error("20 tries were not slowed down")
}

func TestUnsafeRequestsOfOtherSitesAreRefused(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		for _, path := range []string{"/rooms", "/sign-out", "/sign-in", "/rooms/general/messages"} {
			s.do(t, c, "POST", path, url.Values{}, header...).want(t, 403, "another site")
		}
	}
}

func TestRoomsAreMadeFoundAndJoined(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	a := s.do(t, ada, "POST", "/rooms", url.Values{"name": {"  Über Ops & Co "}, "topic": {"<script>"}})
	a.want(t, 303)
	if a.location != "/rooms/%C3%BCber-ops-co" {
		t.Errorf("sent to %s", a.location)
	}
	s.do(t, ada, "GET", a.location, nil).want(t, 200, "&lt;script&gt;", "Über Ops &amp; Co")
	s.do(t, ada, "POST", "/rooms", url.Values{"name": {"ÜBER OPS & CO"}, "topic": {"kept"}}).want(t, 409, "There is a room called", `value="kept"`)
	if b := s.do(t, ada, "POST", "/rooms", url.Values{"name": {"über ops, co"}}); b.location != "/rooms/%C3%BCber-ops-co-2" {
		t.Errorf("another name of the same slug is sent to %s", b.location)
	}
	if b := s.do(t, ada, "POST", "/rooms", url.Values{"name": {"new"}}); b.location != "/rooms/new-room" {
		t.Errorf("a room called new is sent to %s", b.location)
	}
	for name, want := range map[string]string{"": "needs a name", " ": "needs a name", strings.Repeat("x", 81): "at most 80", "a\nb": "control character", "a\x00": "control character", "\xff": "UTF-8"} {
		s.do(t, ada, "POST", "/rooms", url.Values{"name": {name}}).want(t, 422, want)
	}
	bob := s.signUp(t, "bob")
	s.do(t, bob, "GET", a.location, nil).want(t, 200, "Join the room")
	post := url.Values{"id": {uuid.NewString()}, "body": {"my draft"}}
	s.do(t, bob, "POST", a.location+"/messages", post).want(t, 403)
	s.do(t, bob, "POST", a.location+"/join", url.Values{}).want(t, 303)
	s.do(t, bob, "POST", a.location+"/messages", post).want(t, 303)
	s.do(t, bob, "GET", "/rooms/none", nil).want(t, 404, "no such room")
	s.do(t, bob, "GET", "/rooms/%00", nil).want(t, 404)
	s.do(t, bob, "GET", "/nothing", nil).want(t, 404)
}

func TestThePlainFormPostsOnceAndKeepsTheDraftOfWhatItRefuses(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	post := url.Values{"id": {uuid.NewString()}, "body": {"<b>hello</b>"}}
	s.do(t, c, "POST", "/rooms/general/messages", post).want(t, 303)
	s.do(t, c, "POST", "/rooms/general/messages", post).want(t, 303)
	page := s.do(t, c, "GET", "/rooms/general", nil)
	page.want(t, 200, "&lt;b&gt;hello&lt;/b&gt;")
	if n := strings.Count(page.body, "<p>&lt;b&gt;hello"); n != 1 {
		t.Errorf("the message is there %d times", n)
	}
	s.do(t, c, "POST", "/rooms/general/messages", url.Values{"id": {"x"}, "body": {"my draft"}}).want(t, 422, "my draft", "send it again")
	s.do(t, c, "POST", "/rooms/general/messages", url.Values{"id": {uuid.NewString()}, "body": {strings.Repeat("x", 8001)}}).want(t, 422, "at most 8000", "xxxxxxxx")
	s.do(t, c, "POST", "/rooms/general/messages", url.Values{"id": {uuid.NewString()}, "body": {strings.Repeat("x", 200_000)}}).want(t, 413)
	s.do(t, c, "GET", "/rooms/general?before=x", nil).want(t, 422)
}

func TestOlderMessagesComeByPage(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	if _, err := s.pool.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'message ' || i
		from chat.rooms r, chat.users u, generate_series(1, 120) i`); err != nil {
		t.Fatal(err)
	}
	s.do(t, c, "GET", "/rooms/general", nil).want(t, 200, `data-seq="71"`, `data-seq="120"`, "before=71")
	s.do(t, c, "GET", "/rooms/general?before=71", nil, "HX-Request", "true").want(t, 200, `data-seq="21"`, `data-seq="70"`, "before=21")
	last := s.do(t, c, "GET", "/rooms/general?before=21", nil, "HX-Request", "true")
	last.want(t, 200, `data-seq="1"`)
	if strings.Contains(last.body, "before=") {
		t.Error("the first page links to older ones")
	}
	s.do(t, c, "GET", "/rooms/general?before=71", nil).want(t, 200, "To the newest messages", `data-seq="70"`)
}

func (s *site) dial(c *http.Client, headers http.Header) (*websocket.Conn, int, error) {
	dialer := websocket.Dialer{Jar: c.Jar}
	ws, resp, err := dialer.Dial(strings.Replace(s.URL, "http", "ws", 1)+"/live", headers)
	if resp == nil {
		return ws, 0, err
	}
	_ = resp.Body.Close()
	return ws, resp.StatusCode, err
}

func TestTheWebSocketIsRefusedBeforeTheUpgrade(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	for _, refused := range []struct {
		client *http.Client
		header http.Header
		want   int
	}{
		{client(t), nil, 401},
		{c, http.Header{"Origin": {"https://evil.example"}}, 403},
	} {
		if _, status, err := s.dial(refused.client, refused.header); err == nil || status != refused.want {
			t.Errorf("status %d, error %v; want %d", status, err, refused.want)
		}
	}
	s.do(t, c, "GET", "/live", nil).want(t, 400, "WebSocket")
}

type frame struct {
	Type, Room, ID, Code, Message, Content string
	Lines                                  string
	Seq, First, Last                       int64
}

func read(t *testing.T, ws *websocket.Conn, kind string) (f frame) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for f.Type != kind {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("wait for %s: %v", kind, err)
		}
		f = frame{}
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (s *site) roomID(t *testing.T, slug string) (id string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select id from chat.rooms where slug = $1`, slug).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// open opens a room on a page's connection and returns the room's id, once its past has come.
func (s *site) open(t *testing.T, ws *websocket.Conn, slug, cursor string) (id string) {
	t.Helper()
	id = s.roomID(t, slug)
	send(t, ws, `{"type":"open","room":"`+id+`","cursor":"`+cursor+`"}`)
	if f := read(t, ws, "opened"); f.Room != id {
		t.Errorf("room %s was opened, want %s", f.Room, id)
	}
	return id
}

func send(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestBadFramesAreAnsweredAndTheConnectionIsKept(t *testing.T) {
	s := start(t, true)
	ws, _, err := s.dial(s.signUp(t, "ada"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	general := s.open(t, ws, "general", "0.0")
	id, post := uuid.NewString(), `{"type":"post","room":"`+general+`","id":`
	for text, code := range map[string]string{
		`nonsense`: "bad_frame", `{"type":"shout"}`: "bad_frame", `{"type":"open","room":"general","cursor":"0.0"}`: "invalid",
		`{"type":"open","room":"` + general + `","cursor":"x"}`: "invalid", `{"type":"post","room":"general","id":"` + id + `","body":"y"}`: "invalid",
		`{"type":"post","room":"` + uuid.NewString() + `","id":"` + id + `","body":"y"}`: "not_found",
		post + `"x","body":"y"}`:                                          "invalid",
		post + `"` + id + `","body":"  "}`:                                "invalid",
		post + `"` + id + `","body":"a\u0000"}`:                           "invalid",
		post + `"` + id + `","body":"` + strings.Repeat("x", 8001) + `"}`: "invalid",
	} {
		send(t, ws, text)
		if f := read(t, ws, "error"); f.Code != code || f.Message == "" {
			t.Errorf("%.60s: got %+v, want %s", text, f, code)
		}
	}
	send(t, ws, post+`"`+id+`","body":"still here"}`)
	if f := read(t, ws, "ack"); f.ID != id || f.Seq != 1 {
		t.Errorf("ack %+v", f)
	}
	send(t, ws, post+`"`+id+`","body":"still here"}`)
	if f := read(t, ws, "ack"); f.Seq != 1 {
		t.Errorf("the same id again: ack %+v, want seq 1", f)
	}
}

func TestTooFastAndTooLargeAreTold(t *testing.T) {
	s := startLimited(t, true, chat.FileLimits{Each: fileLimit, InAll: fileLimit}, chat.NewPostLimiter(10, 30))
	ws, _, err := s.dial(s.signUp(t, "ada"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	general := s.open(t, ws, "general", "0.0")
	for range 40 {
		send(t, ws, `{"type":"post","room":"`+general+`","id":"`+uuid.NewString()+`","body":"hurry"}`)
	}
	if f := read(t, ws, "error"); f.Code != "rate_limited" || f.ID == "" {
		t.Errorf("got %+v, want rate_limited with the post's id", f)
	}
	send(t, ws, strings.Repeat("x", 64<<10+1))
	for {
		if _, _, err = ws.ReadMessage(); err != nil {
			break
		}
	}
	if !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Errorf("a frame past 64 KiB: got %v, want close code 1009", err)
	}
}

func TestDrainingClosesAllConnectionsWithServiceRestart(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	var conns []*websocket.Conn
	for range 3 {
		ws, _, err := s.dial(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ws.Close() }()
		s.open(t, ws, "general", "0.0")
		conns = append(conns, ws)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.sockets.Drain(t.Context(), 50*time.Millisecond) }()
	for _, ws := range conns {
		var err error
		for err == nil {
			_, _, err = ws.ReadMessage()
		}
		if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			t.Errorf("got %v, want close code 1012", err)
		}
	}
	if err := <-drained; err != nil || s.sockets.Connections() != 0 {
		t.Errorf("%d connections are left, error %v", s.sockets.Connections(), err)
	}
	ws, _, err := s.dial(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("a connection that comes late: got %v, want close code 1012", err)
	}
}

func TestASessionInUseIsExtendedWithItsCookie(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	if a := s.do(t, c, "GET", "/rooms", nil); len(a.cookies) != 0 {
		t.Errorf("a fresh session sets cookies %v", a.cookies)
	}
	if _, err := s.pool.Exec(t.Context(), `update chat.sessions set expires_at = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	a := s.do(t, c, "GET", "/rooms", nil)
	if len(a.cookies) != 1 || a.cookies[0].Expires.Before(time.Now().Add(29*24*time.Hour)) {
		t.Errorf("got cookies %v, want one that lasts", a.cookies)
	}
	s.do(t, c, "GET", "/rooms", nil).want(t, 200)
}

func TestReadyTellsOfTheListener(t *testing.T) {
	s := start(t, true)
	s.do(t, client(t), "GET", "/healthz", nil).want(t, 200, "ok")
	s.do(t, client(t), "GET", "/readyz", nil).want(t, 200, `"listener":"ok"`)
	if err := s.layer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, client(t), "GET", "/readyz", nil).want(t, 503, `"ready":false`)
}
