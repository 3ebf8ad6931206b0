// Package unread keeps how far users have read, and tells them what happens in rooms that they do not have open: how far the
// rooms have come, what was read on another device, who is addressed, which rooms there are.
//
// All of it travels in the group [Group], which every instance hears, so that nobody listens to a room for the sake of a line
// in a sidebar. A hub knows the rooms of the users who watch here. How far rooms have come is told four times a second at most, many
// rooms at once, by what the table then says, and to a user at most so often as the room has people: a room of thousands moves thousands of
// sidebars.
//
// A notification is a hint, the table is the truth: after anything may have been missed, and where a notification says
// "many", the memberships of all who watch are read again, in one query.
//
// Goroutines, from Start to Stop: one reads memberships, one writes. Receive and Missed never block.
package unread
