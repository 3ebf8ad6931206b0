package postgres

import "context"

// work is what others have for the listener.
type work struct {
	changed []string
	asked   []chan<- []string
	fetched []fetched
}

func (l *Layer) takeWork() work {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := work{l.changed, l.asked, l.fetched}
	l.changed, l.asked, l.fetched = nil, nil, nil
	return w
}

// change makes the listener look at the groups again.
func (l *Layer) change(groups ...string) {
	if len(groups) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = append(l.changed, groups...)
	l.wakeLocked()
}

func (l *Layer) wakeLocked() {
	if l.interrupt != nil {
		l.interrupt()
	}
}

// askAgain keeps questions that a connection could not answer for the next one.
func (l *Layer) askAgain(asked []chan<- []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, asked...)
}

// interruptible sets what ends the listener's wait; it reports false where there is no need to wait.
func (l *Layer) interruptible(interrupt context.CancelFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupt = interrupt
	return len(l.changed) == 0 && len(l.asked) == 0 && len(l.fetched) == 0
}

// applied wakes who waits for the groups to be listened to.
func (l *Layer) applied(groups []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, group := range groups {
		for _, heard := range l.awaited[group] {
			close(heard)
		}
		delete(l.awaited, group)
	}
}
