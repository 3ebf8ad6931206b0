package postgres

// What tests reach into.
var (
	Supported = supported
	FindIn    = findBinaries
)

// Abandon gives up the lock without stopping PostgreSQL, as the end of the process would.
func (e *Embedded) Abandon() { _ = e.lock.Close() }

// StopWithin sets how many seconds a server has to end in order.
func StopWithin(seconds int) { stopWithin = seconds }
