package chat

import "time"

// WindowWithin has the next page of what was found take at most so long, until undo is called.
func WindowWithin(d time.Duration) (undo func()) {
	before := windowWithin
	windowWithin = d
	return func() { windowWithin = before }
}
