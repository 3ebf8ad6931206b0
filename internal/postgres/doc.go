// Package postgres reaches PostgreSQL: it runs a private server where none was given, opens connections and migrates
// the schema. It knows nothing of chats.
package postgres
