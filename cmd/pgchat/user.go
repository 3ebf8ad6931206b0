package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/term"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/postgres"
)

type userCommand struct {
	Create      userCreate      `cmd:"" help:"Make an account. The password is asked for, or read from standard input."`
	SetPassword userSetPassword `cmd:"" help:"Set a password and end the user's sessions. The password is asked for, or read from standard input."`
	Promote     userPromote     `cmd:"" help:"Make a user an administrator."`
}

type userCreate struct {
	config.Database
	Name  string `arg:"" help:"User name."`
	Admin bool   `help:"Make the user an administrator."`
}

// Run makes the account.
func (c userCreate) Run(ctx context.Context, p *program) error {
	password, err := p.password()
	if err != nil {
		return err
	}
	role := chat.RoleMember
	if c.Admin {
		role = chat.RoleAdmin
	}
	return withPeople(ctx, c.Database, func(people *chat.People) error {
		user, err := people.Create(ctx, c.Name, password, role)
		if err == nil {
			_, err = fmt.Fprintf(p.out, "%s has an account (%s).\n", user.Name, user.Role)
		}
		return err
	})
}

type userSetPassword struct {
	config.Database
	Name string `arg:"" help:"User name."`
}

// Run sets the password.
func (c userSetPassword) Run(ctx context.Context, p *program) error {
	password, err := p.password()
	if err != nil {
		return err
	}
	return withPeople(ctx, c.Database, func(people *chat.People) error {
		err := people.SetPassword(ctx, c.Name, password)
		if err == nil {
			_, err = fmt.Fprintf(p.out, "%s has a new password and is signed out everywhere.\n", c.Name)
		}
		return err
	})
}

type userPromote struct {
	config.Database
	Name string `arg:"" help:"User name."`
}

// Run makes the user an administrator.
func (c userPromote) Run(ctx context.Context, p *program) error {
	return withPeople(ctx, c.Database, func(people *chat.People) error {
		err := people.Promote(ctx, c.Name)
		if err == nil {
			_, err = fmt.Fprintf(p.out, "%s is an administrator.\n", c.Name)
		}
		return err
	})
}

func withPeople(ctx context.Context, cfg config.Database, do func(*chat.People) error) error {
	return withPool(ctx, cfg, func(pool *pgxpool.Pool) error { return do(chat.NewPeople(pool, false)) })
}

// withPool opens the database, brings its schema up to date, and closes it afterwards.
func withPool(ctx context.Context, cfg config.Database, do func(*pgxpool.Pool) error) (err error) {
	d, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.close(&err)
	if _, err := postgres.Migrate(ctx, d.url); err != nil {
		return err
	}
	pool, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

// password asks for it on a terminal, without showing it, or takes the first line of standard input. It is never an
// argument: those are seen by everybody on the machine.
func (p *program) password() (string, error) {
	if file, ok := p.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		_, _ = fmt.Fprint(p.err, "Password: ")
		text, err := term.ReadPassword(int(file.Fd()))
		_, _ = fmt.Fprintln(p.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(text), nil
	}
	line, err := bufio.NewReader(p.in).ReadString('\n')
	if line == "" && err != nil {
		return "", errors.New("no password: give it on the first line of standard input")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
