// Package feed brings each room's messages to the local subscribers: all of them, once, in the order of seq.
//
// A notification is a hint, the table is the truth. A room knows up to which seq it has delivered: the next message is
// delivered, an older one dropped, and a jump, or a notification that carries only a range, makes it read the missing
// rows first. It listens before it reads, at the first subscription as after a lost connection, so nothing falls
// between.
//
// A room keeps its latest events in a ring. A subscription is only a position: it is woken when there is something
// beyond it, and takes events from the ring, or, when it has fallen behind the ring, pages from the table, which are
// read once for all who need them at that moment. So a slow subscriber holds no queue and costs nobody anything.
//
// Goroutines: the layer's goroutine calls Receive and Missed, which never block. Each room has at most one goroutine that
// fills gaps, and a lost connection starts one that compares heads. Stop ends them.
package feed
