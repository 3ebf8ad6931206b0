// Package consumer holds the WebSocket's side of the chat: one consumer per connection, as in Django Channels, with
// connect, receive and disconnect.
//
// A connection has two goroutines. The HTTP handler's own reads frames and submits posts; it never writes. The writer
// takes what the feed has beyond the connection's cursor, the answers to its posts, and pings; it alone writes. The reader
// ends the writer by cancelling its context, the writer ends the reader by closing the connection.
//
// A connection is a cursor over a durable log: it has no queue of messages of its own. What it cannot take at once
// stays in the room's ring or the table; a connection that cannot take a frame before the write deadline is closed.
package consumer
