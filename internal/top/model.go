package top

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/uuid"
)

const ratesOver = 10 * time.Second // what rates are averages of

// Asks is how a model looks: as [Source.Look] does.
type Asks func(ctx context.Context, shown []uuid.UUID, opened *uuid.UUID) (Look, error)

// Model is bubbletea's.
type Model struct {
	ctx   context.Context //nolint:containedctx // of the looks, which bubbletea makes
	ask   Asks
	every time.Duration
	zone  *time.Location

	width, height int
	now           *Look // nil: there was none yet
	err           error // of the latest look
	rows          []Room
	points        []point

	order    int       // in orders
	selected uuid.UUID // nil: the first row
	first    int       // row that is shown first
	opened   *uuid.UUID
	paused   bool
	help     bool

	asking bool // a look is under way
	again  bool // another one is wanted after it
	ticks  int  // the next look comes with this tick
}

// point is how far the rooms were at a time.
type point struct {
	at    time.Time
	rooms map[uuid.UUID][2]int64 // seq and rev
}

type (
	looked struct {
		look Look
		err  error
	}
	ticked int
)

// orders are what rooms can be sorted by.
var orders = []struct {
	name    string
	compare func(a, b Room) int
}{
	{"messages/s", func(a, b Room) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Changes, a.Changes))
	}},
	{"online", func(a, b Room) int { return cmp.Compare(b.Online, a.Online) }},
	{"messages", func(a, b Room) int { return cmp.Compare(b.Seq, a.Seq) }},
	{"room", func(Room, Room) int { return 0 }},
}

// NewModel makes a model that asks every so often until ctx ends. It tells times in a zone.
func NewModel(ctx context.Context, ask Asks, every time.Duration, zone *time.Location) *Model {
	return &Model{ctx: ctx, ask: ask, every: every, zone: zone, width: 80, height: 24}
}

// Init implements [tea.Model].
func (m *Model) Init() tea.Cmd { return m.look() }

// look asks, now or when the look that is under way has ended.
func (m *Model) look() tea.Cmd {
	if m.asking {
		m.again = true
		return nil
	}
	m.asking = true
	shown, opened := m.shown(), m.opened
	return func() tea.Msg {
		l, err := m.ask(m.ctx, shown, opened)
		return looked{l, err}
	}
}

// shown are the rooms in sight.
func (m *Model) shown() []uuid.UUID {
	ids := []uuid.UUID{}
	for _, r := range m.rows[min(m.first, len(m.rows)):min(m.first+m.roomLines(), len(m.rows))] {
		ids = append(ids, r.ID)
	}
	return ids
}

// Update implements [tea.Model].
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll()
	case looked:
		m.asking = false
		if m.err = msg.err; msg.err == nil {
			m.Take(msg.look)
		}
		if m.again {
			m.again = false
			return m, m.look()
		}
		m.ticks++
		n := ticked(m.ticks)
		return m, tea.Tick(m.every, func(time.Time) tea.Msg { return n })
	case ticked:
		if int(msg) == m.ticks && !m.paused {
			return m, m.look()
		}
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

func (m *Model) key(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?", "h":
		m.help = !m.help
	case "esc", "backspace", "left":
		if m.help {
			m.help = false
		} else {
			m.opened = nil
		}
	case "p", "space":
		if m.paused = !m.paused; !m.paused {
			return m.look()
		}
	case "s":
		m.order = (m.order + 1) % len(orders)
		m.sort()
		return m.look() // for the times of other rooms
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.roomLines())
	case "pgdown":
		m.move(m.roomLines())
	case "home", "g":
		m.move(-len(m.rows))
	case "end", "G":
		m.move(len(m.rows))
	case "enter", "right":
		if at := m.at(); m.opened == nil && !m.help && at < len(m.rows) {
			id := m.rows[at].ID
			m.selected, m.opened = id, &id
			return m.look()
		}
	}
	return nil
}

// at is the row that is selected.
func (m *Model) at() int {
	return max(0, slices.IndexFunc(m.rows, func(r Room) bool { return r.ID == m.selected }))
}

func (m *Model) move(by int) {
	if m.opened != nil || m.help || len(m.rows) == 0 {
		return
	}
	to := min(max(m.at()+by, 0), len(m.rows)-1)
	if m.selected = m.rows[to].ID; to == 0 {
		m.selected = uuid.Nil // stays the first, whichever room that is
	}
	m.scroll()
}

// scroll brings the selected row into sight.
func (m *Model) scroll() {
	at, lines := m.at(), m.roomLines()
	m.first = min(m.first, at, max(0, len(m.rows)-lines))
	m.first = max(m.first, at-lines+1)
}

// Take takes a look, and tells rates from those before it.
func (m *Model) Take(l Look) {
	p := point{l.At, make(map[uuid.UUID][2]int64, len(l.Rooms))}
	for _, r := range l.Rooms {
		p.rooms[r.ID] = [2]int64{r.Seq, r.Rev}
	}
	m.points = append(m.points, p)
	for len(m.points) > 1 && (p.at.Sub(m.points[0].at) > ratesOver || !m.points[0].at.Before(p.at)) {
		m.points = m.points[1:]
	}
	old := m.points[0]
	if seconds := p.at.Sub(old.at).Seconds(); seconds > 0 {
		for i := range l.Rooms {
			r := &l.Rooms[i]
			before := old.rooms[r.ID] // of one that was made since: nothing
			r.Messages = float64(max(0, r.Seq-before[0])) / seconds
			r.Changes = float64(max(0, r.Rev-before[1])) / seconds
		}
	}
	m.now, m.rows = &l, l.Rooms
	if m.opened != nil && l.Opened == nil {
		m.opened = nil // it was deleted
	}
	m.sort()
}

func (m *Model) sort() {
	slices.SortStableFunc(m.rows, func(a, b Room) int {
		return cmp.Or(orders[m.order].compare(a, b), strings.Compare(a.Name, b.Name))
	})
	m.scroll()
}

// Once looks twice, since rates are differences, and takes both.
func (m *Model) Once() error {
	for n := range 2 {
		if n > 0 {
			select {
			case <-time.After(m.every):
			case <-m.ctx.Done():
				return m.ctx.Err()
			}
		}
		l, err := m.ask(m.ctx, m.shown(), nil)
		if err != nil {
			return err
		}
		m.Take(l)
	}
	return nil
}

// Report is the latest look for programs.
func (m *Model) Report() any {
	return struct {
		Look
		Totals
	}{*m.now, m.Totals()}
}

// Totals are sums over all rooms.
type Totals struct {
	Messages float64 `json:"messages_per_second"`
	Changes  float64 `json:"changes_per_second"`
	Stored   int64   `json:"messages_stored"`
}

// Totals returns those of the latest look.
func (m *Model) Totals() (t Totals) {
	for _, r := range m.rows {
		t.Messages, t.Changes, t.Stored = t.Messages+r.Messages, t.Changes+r.Changes, t.Stored+r.Seq
	}
	return t
}
