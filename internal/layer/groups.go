package layer

import "sync"

// Groups knows which local channels are in which groups. The zero value is ready.
type Groups struct {
	mu        sync.Mutex
	receivers map[string]Receiver            // by channel
	channels  map[string]map[string]struct{} // by group
	groups    map[string]map[string]struct{} // by channel
}

// Open makes the channel known.
func (g *Groups) Open(channel string, r Receiver) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.receivers == nil {
		g.receivers = map[string]Receiver{}
		g.channels = map[string]map[string]struct{}{}
		g.groups = map[string]map[string]struct{}{}
	}
	g.receivers[channel] = r
}

// Close forgets the channel and returns the groups that have no local channel any more.
func (g *Groups) Close(channel string) (emptied []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for group := range g.groups[channel] {
		if g.remove(group, channel) {
			emptied = append(emptied, group)
		}
	}
	delete(g.receivers, channel)
	return emptied
}

// Add puts the channel into the group; it reports false for a channel that is not open.
func (g *Groups) Add(group, channel string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.receivers[channel] == nil {
		return false
	}
	if g.channels[group] == nil {
		g.channels[group] = map[string]struct{}{}
	}
	if g.groups[channel] == nil {
		g.groups[channel] = map[string]struct{}{}
	}
	g.channels[group][channel] = struct{}{}
	g.groups[channel][group] = struct{}{}
	return true
}

// Discard takes the channel out of the group and reports whether that leaves the group without a local channel.
func (g *Groups) Discard(group, channel string) (emptied bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.remove(group, channel)
}

func (g *Groups) remove(group, channel string) (emptied bool) {
	if _, in := g.channels[group][channel]; !in {
		return false
	}
	delete(g.groups[channel], group)
	if len(g.groups[channel]) == 0 {
		delete(g.groups, channel)
	}
	delete(g.channels[group], channel)
	if len(g.channels[group]) > 0 {
		return false
	}
	delete(g.channels, group)
	return true
}

// Wanted reports whether the group has a local channel.
func (g *Groups) Wanted(group string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.channels[group]) > 0
}

// Names returns all groups that have a local channel.
func (g *Groups) Names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := make([]string, 0, len(g.channels))
	for name := range g.channels {
		names = append(names, name)
	}
	return names
}

// ToGroup hands the payload to the group's local channels.
func (g *Groups) ToGroup(group, payload string) {
	g.mu.Lock()
	to := make([]Receiver, 0, len(g.channels[group]))
	for channel := range g.channels[group] {
		to = append(to, g.receivers[channel])
	}
	g.mu.Unlock()
	for _, r := range to {
		r.Receive(group, payload)
	}
}

// ToChannel hands the payload to one channel.
func (g *Groups) ToChannel(channel, payload string) {
	g.mu.Lock()
	r := g.receivers[channel]
	g.mu.Unlock()
	if r != nil {
		r.Receive("", payload)
	}
}

// Missed tells every channel that payloads may have been lost.
func (g *Groups) Missed() {
	g.mu.Lock()
	to := make([]Receiver, 0, len(g.receivers))
	for _, r := range g.receivers {
		to = append(to, r)
	}
	g.mu.Unlock()
	for _, r := range to {
		r.Missed()
	}
}
