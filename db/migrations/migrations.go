// Package migrations holds the database schema as goose migrations, embedded into the binary.
package migrations

import "embed"

// FS holds the migrations, one SQL file each, at its root.
//
//go:embed *.sql
var FS embed.FS

// Prepare is the SQL that makes the schema and the table in which migrations are noted. It may run at any time, by
// whoever may do what is missing.
//
//go:embed prepare/version_table.sql
var Prepare string
