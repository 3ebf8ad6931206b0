// Package chat holds what the chat is about and what is allowed in it: users, rooms and messages, and the services that
// make them. It knows nothing of HTTP, WebSockets or pages.
package chat
