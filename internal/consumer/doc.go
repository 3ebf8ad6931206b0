// Package consumer holds the WebSocket's side of the chat: one consumer per connection, as in Django Channels, with
// connect, receive and disconnect. A connection speaks one of two dialects: the room page's, HTML for htmx in one room,
// or pgchat.v1, JSON for programs in many rooms.
//
// A connection is a cursor over a durable log: it has no queue of messages of its own. What it cannot take at once
// stays in the room's ring or the table; a connection that cannot take a frame before the write deadline is closed.
// Only answers to what it asked are queued, and few.
//
// Goroutines: an idle connection has one, which reads; it has left the HTTP handler, whose stack is larger. Who has
// something for the connection wakes it, and a writer runs for as long as there is something to write. Sockets has one
// that looks after sessions and pings.
//
// Locks are taken in this order: feed room, conn.
package consumer
