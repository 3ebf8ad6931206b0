package postgres

// Abandon gives up the lock without stopping PostgreSQL, as the end of the process would.
func (e *Embedded) Abandon() { _ = e.lock.Close() }
