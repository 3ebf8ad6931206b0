package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// counts is what a round has done.
type counts struct {
	acked, refused, delivered, again, connects int64
	faults                                     map[string]int
}

func (c *counts) add(other counts) {
	c.acked, c.refused, c.delivered = c.acked+other.acked, c.refused+other.refused, c.delivered+other.delivered
	c.again, c.connects = c.again+other.again, c.connects+other.connects
	if c.faults == nil {
		c.faults = map[string]int{}
	}
	for name, n := range other.faults {
		c.faults[name] += n
	}
}

func (c counts) String() string {
	text := fmt.Sprintf("%d acknowledged, %d refused for good, %d sent again, %d delivered, %d connections; faults:", c.acked, c.refused, c.again, c.delivered, c.connects)
	for _, name := range sorted(c.faults) {
		text += fmt.Sprintf(" %s %d,", name, c.faults[name])
	}
	return text[:len(text)-1]
}

// settle lets everybody post no more and come back, waits until every post has its answer and everybody has everything,
// and checks the law.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, m := range w.members {
		m.quiet.Store(true)
		m.stall.Store(false)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	answered := func() bool {
		for _, m := range w.members {
			m.mu.Lock()
			n := len(m.ledger.pending)
			m.mu.Unlock()
			if n > 0 {
				return false
			}
		}
		return true
	}
	if !w.until(ctx, answered) {
		t.Errorf("posts have no answer after the faults have ended\n%s", w.diagnosis(t))
	}
	table, err := w.table(t.Context())
	if err != nil {
		t.Fatalf("the table cannot be read after the faults have ended: %v", err)
	}
	everything := func() bool {
		for _, m := range w.members {
			m.mu.Lock()
			for slug, v := range m.ledger.rooms {
				if len(v.messages) < len(table[slug].messages) || v.rev < table[slug].rev {
					m.mu.Unlock()
					return false
				}
			}
			m.mu.Unlock()
		}
		return true
	}
	if !w.until(ctx, everything) {
		t.Errorf("not everybody has everything after the faults have ended\n%s", w.diagnosis(t))
	}
	w.everybodyOnline(t)
	w.stop()
	w.check(t, table)
}

// table is what the database has, by room.
func (w *world) table(ctx context.Context) (map[string]view, error) {
	type row struct {
		Room, ID, Author, Body string
		Rev                    int64
	}
	rows, err := query(ctx, w.db, pgx.RowToStructByPos[row], `select r.slug, m.id::text, u.name,
			case when m.deleted_at is null then m.body else '' end, coalesce(m.rev, 0)
		from chat.messages m join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.author_id order by m.room_id, m.seq`)
	if err != nil {
		return nil, err
	}
	type head struct {
		Room string
		Rev  int64
	}
	heads, err := query(ctx, w.db, pgx.RowToStructByPos[head], `select r.slug, h.last_rev from chat.rooms r join chat.room_heads h on h.room_id = r.id`)
	if err != nil {
		return nil, err
	}
	table := map[string]view{}
	for _, h := range heads {
		table[h.Room] = view{rev: h.Rev}
	}
	for _, r := range rows {
		v := table[r.Room]
		v.messages = append(v.messages, stored{r.ID, r.Author, r.Body, r.Rev})
		table[r.Room] = v
	}
	return table, nil
}

// check compares every member's ledger with the table.
func (w *world) check(t *testing.T, table map[string]view) {
	t.Helper()
	gaps, err := query(t.Context(), w.db, pgx.RowToMap, `select * from chat.gaps`)
	if err != nil || len(gaps) > 0 {
		t.Errorf("chat.gaps has %v, error %v", gaps, err)
	}
	there := map[string]bool{}
	for _, v := range table {
		for _, s := range v.messages {
			there[s.id] = true
		}
	}
	for _, m := range w.members {
		m.mu.Lock()
		for _, err := range m.ledger.wrong {
			t.Errorf("%s: %v", m.name, err)
		}
		for slug, v := range m.ledger.rooms {
			compare(t, m.name+" in "+slug, *v, table[slug])
		}
		for id, a := range m.ledger.acked {
			in := table[a.room].messages
			if a.seq < 1 || a.seq > int64(len(in)) || in[a.seq-1].id != id || in[a.seq-1].author != m.name {
				t.Errorf("%s: post %s was acknowledged as message %d of room %s, where it is not", m.name, id, a.seq, a.room)
			} else if s := in[a.seq-1]; s.rev == 0 && s.body != a.body {
				t.Errorf("%s: post %s was stored as %q, not as %q", m.name, id, s.body, a.body)
			}
		}
		for id, p := range m.ledger.refused {
			if p.bad != "taken" && there[id] {
				t.Errorf("%s: post %s was refused as %s, and is there", m.name, id, p.bad)
			}
		}
		for id, p := range m.ledger.pending {
			t.Errorf("%s: post %s to room %s has no answer (good: %t)", m.name, id, p.room, p.bad == "")
		}
		m.mu.Unlock()
	}
}

func compare(t *testing.T, who string, has, want view) {
	t.Helper()
	if len(has.messages) != len(want.messages) || has.rev != want.rev {
		t.Errorf("%s has %d messages and rev %d, want %d and %d", who, len(has.messages), has.rev, len(want.messages), want.rev)
	}
	wrong := 0
	for i := range min(len(has.messages), len(want.messages)) {
		if has.messages[i] != want.messages[i] {
			if wrong++; wrong <= 3 {
				t.Errorf("%s has message %d as %+v, want %+v", who, i+1, has.messages[i], want.messages[i])
			}
		}
	}
}

// everybodyOnline waits until presence says of everybody that they are in every room, no more and no less.
func (w *world) everybodyOnline(t *testing.T) {
	t.Helper()
	w.db.becomes(t, fmt.Sprintf(`select count(*) = %d and count(distinct (p.room_id, p.user_id)) = %[1]d
		from chat.presence p join chat.instances i on i.id = p.instance_id
		where i.heartbeat_at between now() - interval '4 seconds' and now() + interval '4 seconds'`, len(w.members)*len(w.members[0].ledger.rooms)))
}
