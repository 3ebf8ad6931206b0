// Package tail follows rooms for who reaches the database without a server: what is said, changed and happens in them, each thing
// once, in each room's order, from a cursor on.
//
// It stands on the feed, and so keeps what that keeps: a lost connection, a notification that did not come or one too large to carry
// its messages lose nothing. What it adds is which rooms there are, what was before, and what a change has changed: the feed
// tells messages as they now are, so the tail remembers the latest as they were.
//
// One goroutine, the caller of Run, takes and hands out everything. What the layer and the feed call only marks what there is to do.
package tail
