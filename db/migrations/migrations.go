// Package migrations holds the database schema as goose migrations, embedded into the binary.
package migrations

import "embed"

// FS holds the migrations, one SQL file each, at its root.
//
//go:embed *.sql
var FS embed.FS
