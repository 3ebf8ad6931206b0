package layertest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgchat/pgchat/internal/layer"
)

// counter counts what arrives, and tells when it has all.
type counter struct {
	left atomic.Int64
	done chan struct{}
}

func expect(n int) *counter {
	c := &counter{done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

func (c *counter) Receive(string, string) {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

func (c *counter) Missed() {}

// echo sends back what it gets, to the channel that the payload names.
type echo struct {
	b     *testing.B
	layer layer.Layer
	sends chan string
}

func (e *echo) Receive(_, payload string) { e.sends <- payload }
func (e *echo) Missed()                   {}

func (e *echo) run() {
	for to := range e.sends {
		// What it sent may arrive, and end the benchmark, before Send returns.
		if err := e.layer.Send(e.b.Context(), to, to); err != nil && e.b.Context().Err() == nil {
			e.b.Error(err)
		}
	}
}

// Bench measures the layers that start makes: events of 64 senders to groups of 1 and of 1,000 channels on another
// instance, and the way from one instance to another and back.
func Bench(b *testing.B, start func(b *testing.B, n int) []layer.Layer) {
	payload := strings.Repeat("x", 200)
	for _, members := range []int{1, 1000} {
		b.Run(fmt.Sprintf("GroupSend/members=%d", members), func(b *testing.B) {
			layers := start(b, 2)
			all := expect(b.N * members)
			for range members {
				channel := layers[1].Open(all)
				if err := layers[1].GroupAdd(b.Context(), "group", channel); err != nil {
					b.Fatal(err)
				}
				defer layers[1].Close(channel)
			}
			b.SetParallelism(64)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := layers[0].GroupSend(b.Context(), "group", payload); err != nil {
						b.Error(err)
						return
					}
				}
			})
			<-all.done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
	b.Run("ThereAndBack", func(b *testing.B) {
		layers := start(b, 2)
		there := &echo{b: b, layer: layers[1], sends: make(chan string, 1)}
		go there.run()
		defer close(there.sends)
		back := NewInbox()
		from, to := layers[0].Open(back), layers[1].Open(there)
		defer layers[0].Close(from)
		defer layers[1].Close(to)
		b.ResetTimer()
		for b.Loop() {
			if err := layers[0].Send(b.Context(), to, from); err != nil {
				b.Fatal(err)
			}
			<-back.Payloads
		}
	})
}
