// Package store holds what pgchat asks of its database. Its tests prove the schema's promises: numbering,
// idempotence, notifications.
package store
