package layertest

import (
	"testing"
	"time"
)

const within = 30 * time.Second // for what should come at once

// Inbox is a receiver whose test waits for what arrives.
type Inbox struct {
	Payloads chan string // "group payload"
	Misses   chan struct{}
}

// NewInbox makes one that holds as much as tests send.
func NewInbox() *Inbox {
	return &Inbox{Payloads: make(chan string, 10_000), Misses: make(chan struct{}, 1000)}
}

// Receive implements [layer.Receiver].
func (i *Inbox) Receive(group, payload string) { i.Payloads <- group + " " + payload }

// Missed implements [layer.Receiver].
func (i *Inbox) Missed() {
	select {
	case i.Misses <- struct{}{}:
	default:
	}
}

// Want fails the test unless exactly these arrive next, in this order.
func (i *Inbox) Want(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-i.Payloads:
			if got != w {
				t.Fatalf("received %s, want %s", short(got), short(w))
			}
		case <-time.After(within):
			t.Fatalf("%s did not arrive", short(w))
		}
	}
}

// WantMissed fails the test unless the receiver is told that it may have missed something.
func (i *Inbox) WantMissed(t testing.TB) {
	t.Helper()
	select {
	case <-i.Misses:
	case <-time.After(within):
		t.Fatal("the receiver was not told")
	}
}

func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return s
}
