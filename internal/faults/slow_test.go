package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	audience = 500
	window   = 2 * time.Second        // of measuring, with and without a stalled client in turns
	every    = 200 * time.Millisecond // a message
	noLarger = 64 << 20               // bytes of memory more than without
)

// hall is a room with a large audience that does nothing but note how long messages take.
type hall struct {
	address string
	began   time.Time

	mu    sync.Mutex
	took  []time.Duration // of deliveries in this window
	wg    sync.WaitGroup
	conns []*websocket.Conn
}

func (h *hall) dial(ctx context.Context, token string, dialer websocket.Dialer) (*websocket.Conn, error) {
	dialer.Subprotocols = []string{"pgchat.v1"}
	ws, resp, err := dialer.DialContext(ctx, "ws://"+h.address+"/ws", http.Header{"Authorization": {"Bearer " + token}})
	if resp != nil {
		_ = resp.Body.Close()
	}
	return ws, err
}

// listen notes how long messages take until the connection ends.
func (h *hall) listen(ws *websocket.Conn) {
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		now := time.Since(h.began)
		for _, part := range strings.Split(string(data), `"body":"sent `)[1:] {
			digits, _, _ := strings.Cut(part, " ")
			if at, err := strconv.ParseInt(digits, 10, 64); err == nil {
				h.mu.Lock()
				h.took = append(h.took, now-time.Duration(at))
				h.mu.Unlock()
			}
		}
	}
}

// measure posts for a window and returns the deliveries' times.
func (h *hall) measure(t *testing.T, speaker *websocket.Conn) []time.Duration {
	t.Helper()
	h.mu.Lock()
	h.took = nil
	h.mu.Unlock()
	n := 0
	for over := time.Now().Add(window); time.Now().Before(over); time.Sleep(every) { // the load's shape, nothing is waited for
		id := fmt.Sprintf("%08x-0000-7000-8000-%012x", time.Since(h.began).Milliseconds(), n)
		body := fmt.Sprintf("sent %d %s", time.Since(h.began), strings.Repeat("x", 200))
		if err := speaker.WriteJSON(request{Type: "post", Room: "room-0", ID: id, Body: body}); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) { // until the last has come
		h.mu.Lock()
		took := h.took
		h.mu.Unlock()
		if len(took) >= n*audience {
			return slices.Clone(took)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d deliveries came", len(took), n*audience)
		}
	}
}

// stalled is a client that asks for everything and takes nothing, until the server closes it; then it comes back.
func (h *hall) stalled(ctx context.Context, token string) {
	small := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	for ctx.Err() == nil {
		ws, err := h.dial(ctx, token, small)
		if err != nil {
			return
		}
		_ = ws.WriteJSON(request{Type: "join", Room: "room-0", After: "0.0"})
		stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
		for err == nil && ctx.Err() == nil {
			// A write fails once the server has closed the connection; nothing is read.
			pause(ctx, 50*time.Millisecond, 100*time.Millisecond)
			err = ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		}
		stop()
		_ = ws.Close()
	}
}

// roundOfSlowReader has everybody else get everything, and memory stay bounded, beside a client that takes nothing. How long
// they wait is logged here, and measured by "pgchat bench --set slow-reader": a test's machine has other things to do.
func roundOfSlowReader(t *testing.T, random *rand.Rand, _ time.Duration) counts {
	bin, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	db := startDatabase(t, postgresBin(t), folder(t))
	db.migrate(t)
	w := newWorld(t, random, db, plan{instances: 1, members: audience + 1, rooms: 1, pace: time.Second, bin: bin, args: []string{"--post-rate", "0"}})
	// A past that no socket's buffers hold.
	if err := db.try(t.Context(), `insert into chat.messages (room_id, author_id, body) select r.id, u.id, repeat('past ', 1000)
		from chat.rooms r, chat.users u, generate_series(1, 5000) where r.slug = 'room-0' and u.name = 'member-0'`); err != nil {
		t.Fatal(err)
	}
	h := &hall{address: w.instances[0].listen, began: time.Now()}
	w.instances[0].readyBecomes(t, http.StatusOK, "")
	for _, m := range w.members[:audience] {
		ws, err := h.dial(t.Context(), m.token, websocket.Dialer{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ws.Close() }()
		h.conns = append(h.conns, ws)
		if err := ws.WriteJSON(request{Type: "join", Room: "room-0"}); err != nil {
			t.Fatal(err)
		}
		h.wg.Go(func() { h.listen(ws) })
	}
	speaker := h.conns[0]
	h.measure(t, speaker) // warm
	var without, with []time.Duration
	var before, after int64
	for range 3 {
		without = append(without, h.measure(t, speaker)...)
		before = max(before, w.instances[0].memory(t))
		ctx, stop := context.WithCancel(t.Context())
		stalled := make(chan struct{})
		go func() {
			defer close(stalled)
			h.stalled(ctx, w.members[audience].token)
		}()
		with = append(with, h.measure(t, speaker)...)
		after = max(after, w.instances[0].memory(t))
		stop()
		<-stalled
	}
	t.Logf("p99 of %d deliveries without a stalled client %s, with one %s; memory %d MB and %d MB",
		len(with), p99(without), p99(with), before>>20, after>>20)
	if after-before > noLarger {
		t.Errorf("memory grew from %d to %d bytes", before, after)
	}
	for _, ws := range h.conns {
		_ = ws.Close()
	}
	h.wg.Wait()
	return counts{faults: map[string]int{"stalled client": 1}}
}

func p99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

// memory is the process's resident memory in bytes.
func (i *instance) memory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", i.pid()))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
