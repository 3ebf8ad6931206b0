package layertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pgchat/pgchat/internal/layer"
)

// Host does with l what a [Remote] asks for on from, and reports on to. It returns when from ends, which it does with the
// process of the Remote, however that ends.
func Host(l layer.Layer, from io.Reader, to io.Writer) {
	h := &host{layer: l, reports: json.NewEncoder(to)}
	for commands := json.NewDecoder(from); ; {
		var c command
		if commands.Decode(&c) != nil {
			return
		}
		go h.do(c) // callers that do not wait for one another do not wait here
	}
}

type host struct {
	layer   layer.Layer
	mu      sync.Mutex
	reports *json.Encoder
}

func (h *host) report(r report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.reports.Encode(r)
}

func (h *host) do(c command) {
	ctx := context.Background()
	answer := report{ID: c.ID}
	var err error
	switch c.Do {
	case "start":
		err = h.layer.Start(ctx)
	case "stop":
		err = h.layer.Stop(ctx)
	case "open":
		receiver := &reporter{host: h, named: make(chan struct{})}
		receiver.channel = []byte(h.layer.Open(receiver))
		close(receiver.named)
		answer.Channel = receiver.channel
	case "close":
		h.layer.Close(string(c.Channel))
	case "add":
		err = h.layer.GroupAdd(ctx, string(c.Group), string(c.Channel))
	case "discard":
		h.layer.GroupDiscard(string(c.Group), string(c.Channel))
	case "send to group":
		err = h.layer.GroupSend(ctx, string(c.Group), string(c.Payload))
	case "send":
		err = h.layer.Send(ctx, string(c.Channel), string(c.Payload))
	default:
		err = fmt.Errorf("unknown command %q", c.Do)
	}
	if err != nil {
		answer.Error, answer.Stopped = err.Error(), errors.Is(err, layer.ErrStopped)
	}
	h.report(answer)
}

// reporter is a receiver whose events are reported.
type reporter struct {
	host    *host
	named   chan struct{} // closed when channel is known
	channel []byte
}

// Receive implements [layer.Receiver].
func (r *reporter) Receive(group, payload string) {
	<-r.named
	r.host.report(report{Channel: r.channel, Group: []byte(group), Payload: []byte(payload)})
}

// Missed implements [layer.Receiver].
func (r *reporter) Missed() {
	<-r.named
	r.host.report(report{Channel: r.channel, Missed: true})
}
