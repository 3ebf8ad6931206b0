package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/pgchat/pgchat/internal/terminal"
)

var (
	bold    = ansi.NewStyle().Bold()
	faint   = ansi.NewStyle().Faint()
	reverse = ansi.NewStyle().Reverse(true)
	alarm   = ansi.NewStyle().Bold().ForegroundColor(ansi.Red)
	beware  = ansi.NewStyle().ForegroundColor(ansi.Yellow)
)

const (
	mostInstances = 6  // that are listed, where the window is low
	fullQueue     = 10 // percent from which on the queue of notifications is an alarm
	longTx        = 60 // seconds from which on a transaction is worth a look
)

// columns are a table's: a width below 0 is one whose text stands at its right.
type columns []int

func (c columns) row(cells ...string) string {
	var line strings.Builder
	for i, width := range c {
		text, right := cells[i], width < 0
		width = max(width, -width)
		text = ansi.Truncate(terminal.Harmless(strings.ReplaceAll(text, "\n", " ")), width, "…")
		space := strings.Repeat(" ", width-ansi.StringWidth(text))
		if right {
			line.WriteString(space + text)
		} else {
			line.WriteString(text + space)
		}
		line.WriteString(" ")
	}
	return strings.TrimRight(line.String(), " ")
}

var (
	instanceColumns = columns{24, 12, -9, -5, -6, -5, -7, -5}
	roomColumns     = columns{26, 8, -7, -6, -6, -11, -9}
)

// View implements [tea.Model].
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.Lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "pgchat top"
	return v
}

// Text is a frame for who has no terminal, without styles: all servers, and the first rooms.
func (m *Model) Text(rooms int) string {
	m.height = 9 + max(1, len(m.now.Instances)) + 24 + rooms // so that all servers are listed
	lines := append(m.headLines(), m.instanceLines()...)
	lines = append(lines, "", roomColumns.row("ROOM", "KIND", "MSG/S", "CHG/S", "ONLINE", "MESSAGES", "LAST"))
	for _, r := range m.rows[:min(rooms, len(m.rows))] {
		lines = append(lines, m.roomLine(r))
	}
	return ansi.Strip(strings.Join(lines, "\n")) + "\n"
}

// Lines are what fills the window, styled.
func (m *Model) Lines() []string {
	var lines []string
	switch {
	case m.help:
		lines = helpLines()
	case m.now == nil && m.err == nil:
		lines = []string{"Asking the database …"}
	case m.now == nil:
		lines = nil
	case m.opened != nil && m.now.Opened != nil:
		lines = m.openedLines()
	default:
		lines = append(m.headLines(), m.instanceLines()...)
		lines = append(lines, "", bold.Styled(roomColumns.row("ROOM", "KIND", "MSG/S", "CHG/S", "ONLINE", "MESSAGES", "LAST")))
		at := m.at()
		for i := m.first; i < min(len(m.rows), m.first+m.roomLines()); i++ {
			line := m.roomLine(m.rows[i])
			if i == at {
				line = reverse.Styled(line + strings.Repeat(" ", max(0, m.width-ansi.StringWidth(line))))
			}
			lines = append(lines, line)
		}
	}
	last := m.height - 1
	for len(lines) < last {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, last)], m.footLine())
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "")
	}
	return lines
}

func (m *Model) headLines() []string {
	l, t := m.now, m.Totals()
	queue := fmt.Sprintf("%.4g %%", l.Queue.UsedPercent)
	if l.Queue.PID != 0 {
		queue += terminal.Harmless(fmt.Sprintf(" (held by pid %d %s, %s)", l.Queue.PID, l.Queue.Application, duration(l.Queue.Seconds)))
	}
	if l.Queue.UsedPercent >= fullQueue {
		queue = alarm.Styled(queue)
	}
	transaction := "none"
	if x := l.Transaction; x != nil {
		said := slices.DeleteFunc([]string{duration(x.Seconds), fmt.Sprint("pid ", x.PID), x.User, x.Application, x.State}, func(s string) bool { return s == "" })
		transaction = terminal.Harmless(strings.Join(said, ", "))
		if x.Seconds >= longTx {
			transaction = beware.Styled(transaction)
		}
	}
	return []string{
		fmt.Sprintf("%s  %s  %s on PostgreSQL %s", bold.Styled("pgchat top"), l.At.In(m.zone).Format(time.TimeOnly), terminal.Harmless(l.Database), l.Server),
		fmt.Sprintf("messages %s/s  changes %s/s  stored %s  rooms %s  online %s",
			bold.Styled(rate(t.Messages)), rate(t.Changes), number(t.Stored), number(int64(len(m.rows))), number(int64(l.Online))),
		fmt.Sprintf("sessions %d of %d: %d active, %d listening  notify queue %s", l.Connections, l.MaxConnections, l.Active, l.Listeners, queue),
		"oldest transaction " + transaction,
		"",
	}
}

// listed is how many instances are.
func (m *Model) listed() int {
	if m.now == nil {
		return 0
	}
	n := len(m.now.Instances)
	if m.height < 24+n {
		n = min(n, mostInstances)
	}
	return n
}

func (m *Model) instanceLines() []string {
	lines := []string{bold.Styled(instanceColumns.row("SERVER", "VERSION", "HEARTBEAT", "UP", "CONNS", "ROOMS", "LAG", "QUEUE"))}
	n := m.listed()
	for i, s := range m.now.Instances[:n] {
		if hidden := len(m.now.Instances) - n; hidden > 0 && i == n-1 {
			lines = append(lines, faint.Styled(fmt.Sprintf("… and %d more", hidden+1)))
			break
		}
		heartbeat, style := duration(s.Heartbeat), ansi.Style{}
		if !s.Alive {
			heartbeat, style = "dead "+heartbeat, alarm
		}
		lines = append(lines, style.Styled(instanceColumns.row(s.Name, s.Version, heartbeat, duration(s.Up), number(int64(s.Connections)), number(int64(s.Rooms)), s.lag(), number(int64(s.Waiting)))))
	}
	if n == 0 {
		lines = append(lines, faint.Styled("No server runs: pgchat serve."))
	}
	return lines
}

// lag is how long notifications take to reach the server, or why they do not.
func (s Instance) lag() string {
	if s.Listener != "hears" || s.Lag == nil {
		return s.Listener
	}
	return fmt.Sprintf("%.1fms", *s.Lag*1000)
}

// roomLines is how many rooms the window has space for.
func (m *Model) roomLines() int {
	const fixed = 5 + 1 + 2 + 1 // of the head, of the tables' heads, and at the foot
	return max(1, m.height-fixed-max(1, m.listed()))
}

func (m *Model) roomLine(r Room) string {
	last := ""
	switch {
	case r.Last != nil:
		last = duration(m.now.At.Sub(*r.Last).Seconds()) + " ago"
	case r.Seq == 0:
		last = "never"
	}
	return roomColumns.row(r.Name, r.Kind, rate(r.Messages), rate(r.Changes), number(int64(r.Online)), number(r.Seq), last)
}

func (m *Model) openedLines() []string {
	o, room := m.now.Opened, Room{}
	for _, r := range m.rows {
		if r.ID == o.ID {
			room = r
		}
	}
	state := room.Kind
	if o.Archived {
		state += ", archived"
	}
	lines := []string{
		bold.Styled(terminal.Harmless(room.Name)) + "  " + terminal.Harmless(o.Topic),
		fmt.Sprintf("%s  %s members  messages %s (%s/s)  changes %s (%s/s)", state, number(int64(o.Members)), number(room.Seq), rate(room.Messages),
			number(room.Rev), rate(room.Changes)),
		fmt.Sprintf("online %d: %s", room.Online, terminal.Harmless(strings.Join(o.People, ", "))),
		"",
	}
	said := o.Said
	if space := max(0, m.height-1-len(lines)); len(said) > space {
		said = said[len(said)-space:]
	}
	for _, s := range said {
		body := faint.Styled("(deleted)")
		if s.Body != nil {
			body = terminal.Harmless(strings.Join(strings.Fields(*s.Body), " "))
		}
		lines = append(lines, faint.Styled(s.At.In(m.zone).Format(time.DateTime)+fmt.Sprintf("  %d", s.Seq))+" "+bold.Styled(terminal.Harmless(s.Author))+": "+body)
	}
	return lines
}

func (m *Model) footLine() string {
	keys := "q quit  ? help  s sort: " + orders[m.order].name + "  p pause  ↑↓ select  enter look into"
	switch {
	case m.help:
		keys = "? or esc back  q quit"
	case m.opened != nil:
		keys = "esc back  p pause  ? help  q quit"
	}
	switch {
	case m.err != nil && m.ctx.Err() == nil:
		return alarm.Styled(terminal.Harmless(strings.ReplaceAll(m.err.Error(), "\n", " ")))
	case m.paused:
		return beware.Styled("PAUSED") + "  " + faint.Styled(keys)
	}
	return faint.Styled(keys)
}

func helpLines() []string {
	return strings.Split(`pgchat top asks the database once a second, in one statement.

messages,    a second, over the last 10 seconds; changes are edits, deletions,
changes      reactions and the like
online       people with the room open, on servers that live
notify queue the part of PostgreSQL's queue of notifications that is in use; it
             should be near 0: a session that listens and is in a long
             transaction holds it back, and when it is full nobody can post
sessions     of this database; those that listen are servers' listeners
HEARTBEAT    since a server's latest sign of life, every 10 seconds; after 30 it
             is dead
CONNS, ROOMS of a server: open connections, and rooms that are open there
LAG          how long a notification takes to reach it, or “polls” or “lost”
QUEUE        messages that wait to be stored there
LAST         when the newest message was stored

s            sort rooms by messages a second, people online, messages, or name
↑ ↓          select a room, also pgup, pgdn, home and end; enter looks into it
p            pause: nothing is asked until it is pressed again`, "\n")
}

// duration is a time in few letters.
func duration(seconds float64) string {
	switch {
	case seconds < 0:
		return "-" + duration(-seconds)
	case seconds < 9.95:
		return fmt.Sprintf("%.1fs", seconds)
	case seconds < 90:
		return fmt.Sprintf("%.0fs", seconds)
	case seconds < 90*60:
		return fmt.Sprintf("%.0fm", seconds/60)
	case seconds < 36*3600:
		return fmt.Sprintf("%.0fh", seconds/3600)
	}
	return fmt.Sprintf("%.0fd", seconds/86400)
}

func rate(perSecond float64) string {
	if perSecond < 99.95 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return number(int64(perSecond + .5))
}

// number has a comma between thousands.
func number(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
