// Package layer carries events between the parts of a chat that may run on different instances, as Django's channel layers
// do. [Layer] is what they all keep; layer/memory and layer/postgres are the two, and layer/layertest is this text as a
// suite that runs on both.
//
// # Channels
//
// A channel is one receiver's address. [Layer.Open] makes it, under a name that no other channel on any instance has or will
// have; whoever knows the name reaches it by [Layer.Send] from every instance. It ends with [Layer.Close] or with its
// instance; sending to a channel that has ended is no error, since the sender cannot know.
//
// # Groups
//
// A group is a set of channels, on any number of instances, under a name of 1 to [MaxName] bytes. It exists while a channel
// is in it. [Layer.GroupSend] reaches each of them once, the sender's own included. A channel is in a group from the moment
// [Layer.GroupAdd] has returned to [Layer.GroupDiscard], the channel's Close, or the end of its instance, however that comes
// about: nothing is stored that somebody would have to clean up. Adding twice is the same as once.
//
// # Events
//
// An event is a text: UTF-8 without NUL, at most [MaxPayload] bytes. What is larger than a notification holds costs more
// (PostgreSQL: a row in an unlogged table, which each instance reads once, however many of its channels want it, and which is
// deleted after a minute) and arrives the same.
//
// # Guarantees
//
//   - At most once. An event is never handed out twice. It is lost when a receiver's instance, its connection to the
//     database or the database itself is lost on the way. A receiver that may have lost something is told by
//     [Receiver.Missed], and looks at whatever is the truth: a layer remembers nothing.
//   - Order. What one sender sends to one group or channel, a call after the other, arrives in that order, large and small
//     mixed. All receivers of a group receive its events in the same order. Between groups, and between a group and a
//     channel, there is none.
//   - GroupSend and Send return when the event is on its way: from then on it arrives where nothing is lost. When they return
//     ctx's error it may have been sent all the same.
//   - Senders are not slowed down by receivers, nor are receivers by one another.
//
// # Capacity and expiry
//
// A layer hands every event to its [Receiver] at once, in its own goroutine: it has no queue that could fill up, and what
// cannot wait (the feed: tens of thousands of events a second) pays for none. Who cannot take events in that goroutine opens
// the channel with a [Mailbox]: it holds so many events for so long. When it is full the oldest is dropped, because the
// newest says more about now; an event older than its expiry is not handed out any more. Both are counted and told as
// missed.
//
// # When PostgreSQL cannot tell
//
// Behind a transaction pooler LISTEN is without effect. The PostgreSQL layer notices, says so, and calls Missed twice a second
// until it hears again: what a table holds arrives late by that, what exists as an event alone does not arrive.
package layer
