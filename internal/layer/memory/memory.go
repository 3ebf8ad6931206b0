// Package memory is the channel layer of a single process: tests, and whoever needs no second instance. One goroutine
// hands payloads out in the order in which they were sent.
package memory

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/layer"
)

// Layer carries payloads within its process.
type Layer struct {
	groups layer.Groups

	mu      sync.Mutex
	arrived *sync.Cond
	running bool
	waiting []func()
	done    chan struct{}
}

// New makes a layer.
func New() *Layer {
	l := &Layer{done: make(chan struct{})}
	l.arrived = sync.NewCond(&l.mu)
	return l
}

// Start begins to carry.
func (l *Layer) Start(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = true
	go l.run()
	return nil
}

// Stop ends the layer when what was sent before has been handed out.
func (l *Layer) Stop(context.Context) error {
	l.mu.Lock()
	running := l.running
	l.running = false
	l.arrived.Signal()
	l.mu.Unlock()
	if running {
		<-l.done
	}
	return nil
}

func (l *Layer) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.waiting) == 0 && l.running {
			l.arrived.Wait()
		}
		batch := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, deliver := range batch {
			deliver()
		}
	}
}

func (l *Layer) put(deliver func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running {
		return layer.ErrStopped
	}
	l.waiting = append(l.waiting, deliver)
	l.arrived.Signal()
	return nil
}

// Open implements [layer.Layer].
func (l *Layer) Open(r layer.Receiver) string {
	channel := "memory!" + uuid.NewString()
	l.groups.Open(channel, r)
	return channel
}

// Close implements [layer.Layer].
func (l *Layer) Close(channel string) { l.groups.Close(channel) }

// GroupAdd implements [layer.Layer].
func (l *Layer) GroupAdd(_ context.Context, group, channel string) error {
	if err := layer.CheckGroup(group); err != nil {
		return err
	}
	if !l.groups.Add(group, channel) {
		return fmt.Errorf("add to group %s: channel %s is not open", group, channel)
	}
	return nil
}

// GroupDiscard implements [layer.Layer].
func (l *Layer) GroupDiscard(group, channel string) { l.groups.Discard(group, channel) }

// GroupSend implements [layer.Layer].
func (l *Layer) GroupSend(_ context.Context, group, payload string) error {
	if err := layer.CheckGroup(group); err != nil {
		return err
	}
	if err := layer.CheckPayload(payload); err != nil {
		return err
	}
	return l.put(func() { l.groups.ToGroup(group, payload) })
}

// Send implements [layer.Layer].
func (l *Layer) Send(_ context.Context, channel, payload string) error {
	if err := layer.CheckPayload(payload); err != nil {
		return err
	}
	return l.put(func() { l.groups.ToChannel(channel, payload) })
}
