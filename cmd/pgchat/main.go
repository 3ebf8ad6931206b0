// Command pgchat is a team chat whose only infrastructure is PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/config"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve the chat."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's schema up to date, back, or show where it is."`
	Doctor  doctorCommand  `cmd:"" help:"Look a database over: what is wrong with it, what that means, and what mends it."`
	User    userCommand    `cmd:"" help:"Make accounts, set passwords, make administrators."`
	Tail    tailCommand    `cmd:"" help:"Print what happens in rooms, as it happens."`
	Top     topCommand     `cmd:"" help:"Show servers, rooms and the database live in a terminal, or once."`
	Token   tokenCommand   `cmd:"" help:"Make, list and revoke personal access tokens for programs."`
	Demo    demoCommand    `cmd:"" help:"Fill an empty database with a week of a small team, to look around in."`
	Bench   benchCommand   `cmd:"" help:"Put load on a database by servers, users and rooms of its own, and print what it carries."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// program is what commands reach the outside with.
type program struct {
	in       io.Reader
	out, err io.Writer
}

// exit is an exit status of a command's own, with the error to be told; nil: all is told.
type exit struct {
	status int
	cause  error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// run returns the exit status: 0, 1 where something failed, 2 where the command line was wrong, or a command's own.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the next one ends the program at once.
	defer context.AfterFunc(ctx, stop)()
	exited := -1
	var cli commands
	parser, err := kong.New(&cli, kong.Name("pgchat"), kong.UsageOnError(), kong.Writers(out, errOut),
		kong.Description("A team chat whose only infrastructure is PostgreSQL."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(status int) { exited = status }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&program{in: in, out: out, err: errOut}))
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "pgchat:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(errOut, "pgchat: %v\nSee pgchat --help.\n", err)
		return 2
	}
	if err := command.Run(); err != nil {
		status := 1
		var own *exit
		if errors.As(err, &own) {
			status = own.status
		}
		var e *chat.Error
		if errors.As(err, &e) {
			err = errors.New(e.Message)
		}
		if text := strings.TrimSpace(err.Error()); text != "" {
			_, _ = fmt.Fprintln(errOut, "pgchat:", text)
		}
		return status
	}
	return 0
}

// logger writes to w: text on a terminal, JSON otherwise.
func logger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // kong let none but these through
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
