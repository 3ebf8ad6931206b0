package bench

import (
	"syscall"
	"time"
)

// sleep blocks the thread. Go's timers wake up to a millisecond late on Linux, which an open loop would count as the server's.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // woken early by a signal, the caller looks at the clock again
}
