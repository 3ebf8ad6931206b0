package layer

import (
	"sync"
	"time"
)

// Pace does something at most once in an interval: at once when it was not done lately, else when the interval has passed,
// once for all calls until then. It is for what follows from [Receiver.Missed], which comes twice a second while a layer
// polls.
type Pace struct {
	every time.Duration
	do    func()

	mu      sync.Mutex
	waiting bool // the interval has not passed
	again   bool // it was called meanwhile
}

// NewPace makes one. do is called by the caller of Call or by a timer, also after whatever owns it has been stopped.
func NewPace(every time.Duration, do func()) *Pace { return &Pace{every: every, do: do} }

// Call does it, now or soon.
func (p *Pace) Call() {
	p.mu.Lock()
	if p.waiting {
		p.again = true
		p.mu.Unlock()
		return
	}
	p.waiting = true
	time.AfterFunc(p.every, p.passed)
	p.mu.Unlock()
	p.do()
}

func (p *Pace) passed() {
	p.mu.Lock()
	p.waiting = false
	again := p.again
	p.again = false
	p.mu.Unlock()
	if again {
		p.Call()
	}
}
