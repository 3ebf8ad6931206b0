package postgres

// What tests reach into.
var (
	Supported = supported
	FindIn    = findBinaries
)

// Abandon gives up the lock without stopping PostgreSQL, as the end of the process would.
func (e *Embedded) Abandon() { _ = e.lock.Close() }
