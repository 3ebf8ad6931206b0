// Package config is how pgchat is told what to do: flags and environment variables, read once into one struct.
package config

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Database says which database to use. Without a URL pgchat runs a PostgreSQL of its own.
type Database struct {
	URL         string `name:"database-url" env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL to use. Without it pgchat runs a private one in the data folder."`
	ListenURL   string `name:"listen-database-url" env:"LISTEN_DATABASE_URL" placeholder:"URL" help:"The same database past a transaction pooler such as PgBouncer, for LISTEN."`
	DataDir     string `name:"data-dir" env:"PGCHAT_DATA_DIR" default:"./.pgchat" help:"Folder of the private PostgreSQL: its data, socket and log."`
	PostgresBin string `name:"postgres-bin" env:"PGCHAT_POSTGRES_BIN" placeholder:"DIR" help:"Folder of the programs for the private PostgreSQL (initdb, pg_ctl, postgres)."`
}

// Validate checks what belongs together.
func (d Database) Validate() error {
	if d.ListenURL != "" && d.URL == "" {
		return errors.New("LISTEN_DATABASE_URL is set and DATABASE_URL is not: set both, to the same database")
	}
	return nil
}

// Log says how to log.
type Log struct {
	Level  string `name:"log-level" env:"PGCHAT_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: ${enum}."`
	Format string `name:"log-format" env:"PGCHAT_LOG_FORMAT" enum:"auto,text,json" default:"auto" help:"Form of the log: ${enum}. auto is text on a terminal, JSON otherwise."`
}

// Serve is what the server needs to know.
type Serve struct {
	Database
	Log
	Listen        string        `env:"PGCHAT_LISTEN" default:"127.0.0.1:8080" help:"Address to serve on."`
	MetricsListen string        `env:"PGCHAT_METRICS_LISTEN" placeholder:"HOST:PORT" help:"Address to serve Prometheus metrics (/metrics) and profiles (/debug/pprof/) on, for nobody else to reach; without it they are not served."`
	Name          string        `env:"PGCHAT_NAME" help:"This instance's name, as chat.instances shows it; the host's without it."`
	Migrate       bool          `env:"PGCHAT_MIGRATE" default:"true" negatable:"" help:"Bring the schema up to date first."`
	Signup        string        `env:"PGCHAT_SIGNUP" enum:"open,closed" default:"open" help:"Whether everybody may make an account: ${enum}."`
	TrustProxy    bool          `name:"trust-proxy" env:"PGCHAT_TRUST_PROXY" help:"Believe X-Forwarded-For, X-Forwarded-Proto and X-Request-ID: only behind a proxy that sets them."`
	PostRate      float64       `env:"PGCHAT_POST_RATE" default:"10" help:"Messages a second that one user may post or change; 0: no limit."`
	PostBurst     int           `env:"PGCHAT_POST_BURST" default:"30" help:"Messages that one user may post or change at once."`
	FileLimit     Bytes         `env:"PGCHAT_FILE_LIMIT" default:"100MB" help:"Most that a file may have, such as 500kB, 100MB or 2GB."`
	FilesLimit    Bytes         `env:"PGCHAT_FILES_LIMIT" default:"10GB" help:"Most that all files together may have."`
	KeepHistory   time.Duration `env:"PGCHAT_KEEP_HISTORY" default:"2160h" help:"How long chat.message_history keeps what messages were before they were edited or deleted; 0: for ever."`
	KeepAudit     time.Duration `env:"PGCHAT_KEEP_AUDIT" default:"8760h" help:"How long chat.audit_log keeps who has changed what; 0: for ever."`
	Index         bool          `env:"PGCHAT_INDEX" default:"true" negatable:"" help:"Take part in indexing messages for the search; of all instances one does it at a time."`
	Drain         time.Duration `env:"PGCHAT_DRAIN" default:"5s" help:"Time over which connections are closed when stopping."`
	Lease         time.Duration `env:"PGCHAT_LEASE" default:"30s" help:"How long a heartbeat keeps this instance's users online."`
	Heartbeat     time.Duration `env:"PGCHAT_HEARTBEAT" default:"10s" help:"Time between heartbeats."`
}

// Validate is called by kong after parsing.
func (s *Serve) Validate() error {
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return fmt.Errorf("--listen %q: it is HOST:PORT, such as 127.0.0.1:8080 or :8080", s.Listen)
	}
	if s.Heartbeat <= 0 || s.Lease < 2*s.Heartbeat {
		return fmt.Errorf("--lease %s must be at least twice --heartbeat %s, which must be more than 0", s.Lease, s.Heartbeat)
	}
	if s.FileLimit < 1 || s.FilesLimit < s.FileLimit {
		return errors.New("--file-limit must be more than 0, and --files-limit not less than it")
	}
	if s.KeepHistory < 0 || s.KeepAudit < 0 {
		return fmt.Errorf("--keep-history %s and --keep-audit %s must not be negative", s.KeepHistory, s.KeepAudit)
	}
	if s.Drain < 0 {
		return fmt.Errorf("--drain %s must not be negative", s.Drain)
	}
	if s.PostRate < 0 || s.PostBurst < 1 {
		return fmt.Errorf("--post-rate %v must not be negative and --post-burst %d at least 1", s.PostRate, s.PostBurst)
	}
	return s.Database.Validate()
}
