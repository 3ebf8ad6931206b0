package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

// frame is what the server sends.
type frame struct {
	Type, Room, ID, Code, Message, Reason, Cursor, History string
	Seq, Rev                                               int64
	Messages                                               []struct {
		Seq, Rev int64
		ID, Body string
		Author   struct{ Name string }
	}
}

// member is a client of pgchat.v1. It posts, now and then what must be refused; reads, now and then slowly; leaves rooms,
// cuts its connection, and comes back with its cursor to any of the addresses.
type member struct {
	name, token string
	addresses   []string // of proxies before the instances
	told        func()   // something has happened
	pace        time.Duration
	random      *rand.Rand // of tick alone
	noPosts     string     // a room of which it is no member: posts there are refused
	stays       bool       // never cuts its connection by itself

	quiet    atomic.Bool // posts nothing new and stays
	connects atomic.Int64
	address  atomic.Int64 // where it connects next
	stall    atomic.Bool  // reads nothing

	mu     sync.Mutex
	ledger ledger
	ws     *websocket.Conn // nil: not connected
}

const maxPending = 20

// run connects again and again until ctx ends.
func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := m.connection(ctx); err != nil {
			pause(ctx, 50*time.Millisecond, 150*time.Millisecond)
		}
	}
}

// pause waits a time between two.
func pause(ctx context.Context, least, most time.Duration) {
	select {
	case <-time.After(least + rand.N(most-least)):
	case <-ctx.Done():
	}
}

func (m *member) connection(ctx context.Context) error {
	to := m.addresses[int(m.address.Add(1))%len(m.addresses)]
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := websocket.Dialer{Subprotocols: []string{"pgchat.v1"}}
	ws, resp, err := dialer.DialContext(dialing, "ws://"+to+"/ws", http.Header{"Authorization": {"Bearer " + m.token}})
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				m.record(func(l *ledger) { l.broken("%s is not let in: %s", m.name, resp.Status) })
			}
		}
		return err
	}
	m.connects.Add(1)
	m.mu.Lock()
	m.ws = ws
	for _, v := range m.ledger.rooms {
		v.joined, v.asked = false, false
	}
	for _, p := range m.ledger.pending {
		p.sent = false
	}
	m.mu.Unlock()
	over, end := context.WithCancel(ctx)
	stop := context.AfterFunc(over, func() { _ = ws.Close() })
	ticking := make(chan struct{})
	go func() {
		defer close(ticking)
		m.tick(over, ws)
		_ = ws.Close()
	}()
	err = m.read(over, ws)
	end()
	<-ticking
	stop()
	_ = ws.Close()
	return err
}

// read takes frames until the connection ends.
func (m *member) read(ctx context.Context, ws *websocket.Conn) error {
	for {
		for m.stall.Load() && ctx.Err() == nil {
			pause(ctx, 10*time.Millisecond, 20*time.Millisecond)
		}
		// The server pings every 25 s: a longer silence is a dead connection.
		_ = ws.SetReadDeadline(time.Now().Add(40 * time.Second))
		ws.SetPingHandler(func(data string) error {
			_ = ws.SetReadDeadline(time.Now().Add(40 * time.Second))
			return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		})
		_, data, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(data, []byte(`{"type":"presence"`)) {
			continue // the names of all who are online, which 1,000 members would decode each time
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			m.record(func(l *ledger) { l.broken("%s got %q: %v", m.name, data, err) })
			return err
		}
		m.record(func(l *ledger) { err = m.take(l, f) })
		if err != nil {
			return err
		}
	}
}

func (m *member) record(do func(*ledger)) {
	m.mu.Lock()
	do(&m.ledger)
	m.mu.Unlock()
	m.told()
}

func (m *member) take(l *ledger, f frame) error {
	switch f.Type {
	case "joined":
		v := l.rooms[f.Room]
		v.joined, v.asked = true, false
		v.history = f.Cursor[strings.LastIndex(f.Cursor, ".")+1:]
	case "history":
		l.rooms[f.Room].history = f.History
	case "left":
		v := l.rooms[f.Room]
		v.joined, v.asked = false, false
		if f.Reason != "" {
			l.broken("room %s ended for %s at %s: %s", f.Room, m.name, v.cursor(), f.Reason)
		}
	case "messages":
		l.takeMessages(f)
	case "changes":
		l.takeChanges(f)
	case "event":
		if v := l.rooms[f.Room]; v != nil {
			v.rev = max(v.rev, f.Rev)
		}
	case "ack":
		l.takeAck(f)
	case "error":
		return l.takeError(f)
	default:
		return fmt.Errorf("a frame of type %q", f.Type)
	}
	return nil
}

// tick is what the member does by itself, until the connection ends.
func (m *member) tick(ctx context.Context, ws *websocket.Conn) {
	for ctx.Err() == nil {
		frames, stay := m.next()
		for _, f := range frames {
			_ = ws.SetWriteDeadline(time.Now().Add(20 * time.Second))
			if ws.WriteJSON(f) != nil {
				return
			}
		}
		if !stay {
			return
		}
		pause(ctx, m.pace/2, m.pace*3/2)
	}
}

type request struct {
	Type  string `json:"type"`
	Room  string `json:"room"`
	After string `json:"after,omitempty"`
	ID    string `json:"id,omitempty"`
	Body  string `json:"body,omitempty"`
}

// next returns what to send now, and whether to stay connected.
func (m *member) next() (frames []request, stay bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, quiet := time.Now(), m.quiet.Load()
	for room, v := range m.ledger.rooms {
		switch {
		case v.asked || now.Before(v.after):
		case !v.joined:
			v.asked = true
			frames = append(frames, request{Type: "join", Room: room, After: v.cursor()})
		case !quiet && m.random.IntN(300) == 0:
			v.asked, v.joined, v.after = true, false, now.Add(rand.N(time.Second))
			frames = append(frames, request{Type: "leave", Room: room})
		}
	}
	if !quiet && len(m.ledger.pending) < maxPending {
		m.compose()
	}
	for _, p := range m.ledger.pending {
		if !p.sent && m.ledger.rooms[p.room].joined && !now.Before(p.after) {
			p.sent, p.since = true, now
			frames = append(frames, request{Type: "post", Room: p.room, ID: p.id, Body: p.body})
		}
	}
	return frames, quiet || m.stays || m.random.IntN(150) > 0
}

// compose makes a post, now and then one that must be refused.
func (m *member) compose() {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // the system has no random numbers
	}
	rooms := make([]string, 0, len(m.ledger.rooms))
	for room := range m.ledger.rooms {
		if room != m.noPosts {
			rooms = append(rooms, room)
		}
	}
	p := &post{id: id.String(), room: rooms[m.random.IntN(len(rooms))]}
	p.body = fmt.Sprintf("%s says %s <b>&amp; \"ü🐘\"\n%s", m.name, p.id, strings.Repeat("x", m.random.IntN(200)))
	switch m.random.IntN(40) {
	case 0:
		p.bad, p.body = "invalid", " \n\t "
	case 1:
		p.bad, p.body = "invalid", p.body+strings.Repeat("é", 8000)
	case 2:
		p.bad, p.body = "invalid", p.body+"\x00"
	case 3:
		if m.noPosts != "" {
			p.bad, p.room = "forbidden", m.noPosts
		}
	case 4, 5: // more than a notification holds
		p.body += strings.Repeat("long ", 1500)
	case 6: // another's id
		v := m.ledger.rooms[p.room]
		for _, s := range v.messages[max(0, len(v.messages)-20):] {
			if _, known := m.ledger.pending[s.id]; s.author != m.name && !known && m.ledger.refused[s.id] == nil {
				p.bad, p.id = "taken", s.id
				break
			}
		}
	}
	if p.bad == "" {
		p.body += "." // white space at the end is no part of a message
	}
	m.ledger.pending[p.id] = p
}

// drop ends the connection, as a lost network would; the member comes back.
func (m *member) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ws != nil {
		_ = m.ws.NetConn().Close()
	}
}
