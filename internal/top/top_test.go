package top_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/top"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

var began = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

// scene is a model whose looks a test makes up.
type scene struct {
	t     *testing.T
	model *top.Model
	look  top.Look
	err   error
	asked int

	shown  []uuid.UUID
	opened *uuid.UUID
	queue  []tea.Cmd
}

func id(n byte) uuid.UUID { return uuid.UUID{15: n} }

func newScene(t *testing.T) *scene {
	t.Helper()
	lag := .0012
	s := &scene{t: t, look: top.Look{
		At: began, Database: "chat", Server: "18.4", Connections: 12, MaxConnections: 100, Active: 2, Listeners: 2, Online: 3,
		Transaction: &top.Transaction{PID: 4711, Application: "psql", State: "idle in transaction", Seconds: 125},
		Instances: []top.Instance{
			{Name: "one 10.0.0.1:8080", Version: "v1.2.3", Alive: true, Up: 3 * 86400, Heartbeat: 2.34, Connections: 1234, Rooms: 3, Listener: "hears", Lag: &lag, Waiting: 2},
			{Name: "two\x1b[31m 10.0.0.2:8080", Version: "v1.2.3", Up: 600, Heartbeat: 41, Listener: "lost"},
		},
		Rooms: []top.Room{
			{ID: id(1), Name: "general", Kind: "public", Seq: 1_234_567, Rev: 17, Online: 3},
			{ID: id(2), Name: "ops", Kind: "private", Seq: 20},
			{ID: id(3), Name: "東京の部屋と、とても長い名前の部屋です", Kind: "public"},
		},
	}}
	s.model = top.NewModel(t.Context(), func(_ context.Context, shown []uuid.UUID, opened *uuid.UUID) (top.Look, error) {
		s.asked++
		s.shown, s.opened = shown, opened
		l := s.look
		l.Rooms = append([]top.Room{}, l.Rooms...)
		if opened != nil {
			body := "hello\n\x1b[2Jworld"
			l.Opened = &top.Opened{
				ID: *opened, Topic: "What runs", Members: 4, People: []string{"ada", "bob"},
				Said: []top.Said{{Seq: 19, Author: "ada", Body: &body, At: began}, {Seq: 20, Author: "bob", At: began}},
			}
		}
		return l, s.err
	}, time.Millisecond, time.UTC)
	s.do(s.model.Init())
	return s
}

// do does what a command says, as bubbletea would; ticks wait until the test lets time pass.
func (s *scene) do(cmd tea.Cmd) {
	s.t.Helper()
	if cmd == nil {
		return
	}
	before := s.asked
	// A look is told by its asking; everything else here is a tick, which would wait.
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	msg := <-done
	if s.asked == before {
		s.queue = append(s.queue, func() tea.Msg { return msg })
		return
	}
	_, next := s.model.Update(msg)
	if next != nil {
		s.queue = append(s.queue, next)
	}
}

// pass lets the time to the next look pass.
func (s *scene) pass() {
	s.t.Helper()
	queue := s.queue
	s.queue = nil
	for _, cmd := range queue {
		_, next := s.model.Update(cmd())
		s.do(next)
	}
}

func (s *scene) press(keys ...string) {
	s.t.Helper()
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "down": tea.KeyDown, "up": tea.KeyUp, "end": tea.KeyEnd}
	for _, key := range keys {
		msg := tea.KeyPressMsg{Code: special[key]}
		if msg.Code == 0 {
			msg = tea.KeyPressMsg{Code: []rune(key)[0], Text: key}
		}
		_, cmd := s.model.Update(msg)
		s.do(cmd)
	}
}

func (s *scene) frame() string { return ansi.Strip(s.model.View().Content) }

func (s *scene) sees(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(s.frame(), w) {
			s.t.Errorf("%q is not in:\n%s", w, s.frame())
		}
	}
}

// golden compares a frame with a file in testdata, which PGCHAT_GOLDEN=write makes anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("PGCHAT_GOLDEN") == "write" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func fits(t *testing.T, frame string, width, height int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) != height {
		t.Errorf("%d lines in a window of %d", len(lines), height)
	}
	for _, line := range lines {
		if n := ansi.StringWidth(line); n > width {
			t.Errorf("a line of %d in a window of %d: %s", n, width, line)
		}
	}
}

func TestAFrame(t *testing.T) {
	s := newScene(t)
	last := began.Add(-90 * time.Minute)
	s.look.At = began.Add(2 * time.Second)
	s.look.Rooms[0].Seq += 247
	s.look.Rooms[0].Rev += 3
	s.look.Rooms[1].Seq++
	s.look.Rooms[1].Last = &last
	s.pass()
	golden(t, "frame.txt", s.frame()+"\n")
	fits(t, s.frame(), 80, 24)
	if len(s.shown) != 3 {
		t.Errorf("of %d rooms it asked for the newest message, want those in sight: 3", len(s.shown))
	}
	s.press("?")
	golden(t, "help.txt", s.frame()+"\n")
	fits(t, s.frame(), 80, 24)
	s.press("?", "down", "enter")
	if s.opened == nil || *s.opened != id(2) {
		t.Errorf("it looks into %v, want the second room", s.opened)
	}
	golden(t, "room.txt", s.frame()+"\n")
	fits(t, s.frame(), 80, 24)
	s.press("esc")
	s.sees("SERVER")
}

func TestRatesAreOfTheLastTenSeconds(t *testing.T) {
	s := newScene(t)
	for second := range 30 {
		s.look.At = began.Add(time.Duration(second+1) * time.Second)
		if second < 15 {
			s.look.Rooms[1].Seq += 5
		}
		s.pass()
		switch second {
		case 12:
			s.sees("messages 5.0/s")
		case 19:
			s.sees("messages 2.5/s")
		case 29:
			s.sees("messages 0.0/s")
		}
	}
	s.look.Rooms = append(s.look.Rooms, top.Room{ID: id(4), Name: "fresh", Kind: "public", Seq: 30})
	s.look.Rooms[0].Seq -= 1000 // the database was set back
	s.look.At = s.look.At.Add(time.Second)
	s.pass()
	s.sees("messages 3.0/s")
}

func TestRoomsAreSortedAndTheSelectedOneStays(t *testing.T) {
	s := newScene(t)
	first := func() string { return strings.Fields(strings.Split(s.frame(), "\n")[10])[0] }
	if got := first(); got != "general" {
		t.Errorf("by name %s is first", got)
	}
	s.press("down") // ops
	s.look.At = began.Add(time.Second)
	s.look.Rooms[1].Seq += 9
	s.pass()
	if got := first(); got != "ops" {
		t.Errorf("by messages a second %s is first", got)
	}
	s.press("s")
	s.sees("sort: online")
	if got := first(); got != "general" {
		t.Errorf("by people online %s is first", got)
	}
	s.press("enter")
	if s.opened == nil || *s.opened != id(2) {
		t.Errorf("it looks into %v, want ops, which was selected", s.opened)
	}
}

func TestNothingIsAskedWhilePaused(t *testing.T) {
	s := newScene(t)
	s.press("p")
	asked := s.asked
	s.pass()
	s.pass()
	if s.asked != asked {
		t.Errorf("asked %d times while paused", s.asked-asked)
	}
	s.sees("PAUSED")
	s.press("p")
	if s.asked != asked+1 {
		t.Errorf("going on asked %d times", s.asked-asked)
	}
	s.pass()
	if s.asked != asked+2 {
		t.Errorf("after going on it asked %d times, want one a second", s.asked-asked)
	}
}

func TestAnErrorIsShownAndTheNextLookTaken(t *testing.T) {
	s := newScene(t)
	s.err = errors.New("no PostgreSQL\x1b[31m answers")
	s.pass()
	s.sees("general", `no PostgreSQL\x1b[31m answers`)
	s.err = nil
	s.pass()
	s.sees("q quit")
}

func TestAnyWindowHolds(t *testing.T) {
	s := newScene(t)
	for n := range 40 {
		s.look.Rooms = append(s.look.Rooms, top.Room{ID: id(byte(10 + n)), Name: "more", Kind: "public"})
		s.look.Instances = append(s.look.Instances, top.Instance{Name: "more", Alive: true})
	}
	s.pass()
	for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 60}, {10, 3}, {1, 1}, {300, 120}} {
		_, cmd := s.model.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		s.do(cmd)
		for _, keys := range [][]string{{}, {"end"}, {"enter"}, {"esc", "?"}, {"?", "up"}} {
			s.press(keys...)
			fits(t, s.frame(), size[0], size[1])
		}
	}
	s.model.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	s.press("end")
	s.sees("… and 37 more")
	if lines := strings.Split(s.model.View().Content, "\n"); !strings.Contains(lines[22], "\x1b[7m") {
		t.Errorf("the last room is selected and not in sight:\n%s", s.frame())
	}
}

func TestQuitting(t *testing.T) {
	s := newScene(t)
	_, cmd := s.model.Update(tea.KeyPressMsg{Code: 'q', Text: "q"})
	if cmd == nil {
		t.Fatal("q does nothing")
	}
	if _, quits := cmd().(tea.QuitMsg); !quits {
		t.Error("q does not quit")
	}
}

func TestALookAtADatabase(t *testing.T) {
	pool := pgtest.Pool(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`insert into chat.users (name) values ('ada'), ('bob')`)
	exec(`select chat.post('general', 'ada', 'hello')`)
	exec(`insert into chat.instances (id, name, version, heartbeat_at, connections, rooms, listener, listener_lag) values ('00000000-0000-0000-0000-000000000001', 'one', 'v1', now(), 2, 1, 'hears', '2 ms'), ('00000000-0000-0000-0000-000000000002', 'two', 'v2', now() - interval '1 minute', 0, 0, '', null)`)
	exec(`insert into chat.presence (room_id, user_id, instance_id, connections) select r.id, u.id, i.id, 2 from chat.rooms r, chat.users u, chat.instances i where u.name = 'ada' or i.name = 'two'`)
	var general uuid.UUID
	if err := pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&general); err != nil {
		t.Fatal(err)
	}
	held, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(context.Background()) }()
	source := top.NewSource(pool)
	l, err := source.Look(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Opened != nil || l.Rooms[0].Last != nil {
		t.Errorf("not asked for, and told: %+v", l)
	}
	if l, err = source.Look(t.Context(), []uuid.UUID{general}, &general); err != nil {
		t.Fatal(err)
	}
	if l.Transaction == nil || l.Transaction.State != "idle in transaction" || l.Transaction.PID != int(held.Conn().PgConn().PID()) {
		t.Errorf("the oldest transaction is %+v", l.Transaction)
	}
	if len(l.Instances) != 2 || !l.Instances[0].Alive || l.Instances[1].Alive || l.Instances[0].Connections != 2 || l.Instances[0].Rooms != 1 || *l.Instances[0].Lag != .002 || l.Instances[1].Lag != nil || l.Instances[1].Heartbeat < 59 {
		t.Errorf("instances %+v", l.Instances)
	}
	// Of the dead server's people nobody is online.
	if r := l.Rooms[0]; len(l.Rooms) != 1 || r.Name != "general" || r.Seq != 1 || r.Online != 1 || r.Last == nil || l.Online != 1 {
		t.Errorf("%d online, rooms %+v", l.Online, l.Rooms)
	}
	if o := l.Opened; o == nil || o.Members != 2 || len(o.People) != 1 || len(o.Said) != 1 || *o.Said[0].Body != "hello" || o.Said[0].Author != "ada" {
		t.Errorf("of the room was told %+v", o)
	}
	if l.Database == "" || l.Connections < 2 || l.MaxConnections < l.Connections || l.Active < 1 || l.Queue.UsedPercent < 0 {
		t.Errorf("of the database was told %+v", l)
	}
	m := top.NewModel(t.Context(), source.Look, time.Millisecond, time.UTC)
	if err := m.Once(); err != nil {
		t.Fatal(err)
	}
	report, err := json.Marshal(m.Report())
	if err != nil || !strings.Contains(string(report), `"used_percent":`) || !strings.Contains(string(report), `"messages_per_second":`) || !strings.Contains(string(report), `"messages_stored":1`) {
		t.Errorf("the report is %s, error %v", report, err)
	}
	if text := m.Text(20); !strings.Contains(text, "general") || !strings.Contains(text, "two") || strings.Contains(text, "\x1b") {
		t.Errorf("the frame is\n%s", text)
	}
}
