package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// problem is an error in one line for people; programs find its cause beneath.
type problem struct {
	message string
	cause   error
}

func (p *problem) Error() string { return p.message }
func (p *problem) Unwrap() error { return p.cause }

func unreadable(variable string, err error) error {
	return fmt.Errorf("%s cannot be read; it is like postgres://user:password@host:5432/database: %w", variable, err)
}

// explain says in one line what to do about the errors that everybody meets with a database, which the variable gave. What
// the driver says of each address and each way of encryption that it tried is left out but for the last.
func explain(variable string, err error, cfg *pgx.ConnConfig) error {
	where := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	say := func(format string, args ...any) error {
		return &problem{message: fmt.Sprintf(format, args...), cause: err}
	}
	var connect *pgconn.ConnectError
	connecting := errors.As(err, &connect)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "28P01", "28000":
			return say("the server at %s refuses user %q: check name and password in %s (%s)", where, cfg.User, variable, pg.Message)
		case "3D000":
			return say("there is no database %q at %s: create it (createdb %s) or correct %s", cfg.Database, where, cfg.Database, variable)
		case "42501":
			return say("user %q has not the rights that pgchat needs in database %q: %s", cfg.User, cfg.Database, pg.Message)
		}
		if connecting {
			return say("the server at %s, which %s names, takes no connection: %s", where, variable, pg.Message)
		}
		return err
	}
	if !connecting {
		return err
	}
	reason := innermost(connect)
	var dialling *net.OpError
	if errors.As(err, &dialling) || errors.Is(err, context.DeadlineExceeded) {
		return say("no PostgreSQL answers at %s: check the host and port in %s, and that the server runs (%s)", where, variable, reason)
	}
	return say("the server at %s, which %s names, takes no connection: %s", where, variable, reason)
}

// innermost is the text of the last cause, in one line.
func innermost(err error) string {
	for {
		var next error
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case *net.DNSError:
			return "no host of that name is known"
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				next = all[len(all)-1]
			}
		default:
			next = errors.Unwrap(err)
		}
		if next == nil {
			return strings.Join(strings.Fields(err.Error()), " ")
		}
		err = next
	}
}

// Unreachable reports whether err says that the database could not be asked, or was lost while it was.
func Unreachable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "53300": // shut down, crashed, starting, no connection left
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// TimedOut reports whether err says that a statement took longer than it may.
func TimedOut(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "57014"
}
