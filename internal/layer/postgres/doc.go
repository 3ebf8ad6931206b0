// Package postgres is the channel layer of production: GroupSend is NOTIFY, GroupAdd is LISTEN for a group's first local
// channel, GroupDiscard is UNLISTEN after its last.
//
// One goroutine, the listener, owns the listener connection, which is in no pool and never in a transaction. It alternates
// between applying the groups that were added or emptied, many in one round trip, and waiting for notifications; a change
// interrupts the wait. It alone calls receivers. After a lost connection it connects again, listens to every group that is
// wanted, and only then tells the receivers that they may have missed something: who reads the table after that misses
// nothing.
//
// A connection counts as listening only while it hears what the pool sends to this instance: an echo when it has connected,
// then a heartbeat every 10 s. Where the echo does not come (a transaction pooler; a pool that has moved to another server)
// the listener polls instead: it tells receivers twice a second that they may have missed something, and another goroutine
// tries for a connection that hears.
//
// A second goroutine sends: what is to be sent at the same time leaves in one statement, because commits that notify happen
// one after another across the whole PostgreSQL cluster. NOTIFY alone writes next to no WAL, 40 bytes a commit on
// PostgreSQL 15 and 18, and waits for no flush; a test holds it to that. An event that no notification holds is stored in
// chat.events by the same statement and fetched by a goroutine of its own, while what comes after it in the same group
// waits in order. A third goroutine sends the heartbeat and deletes expired events.
package postgres
