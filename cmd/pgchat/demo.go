package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/demo"
)

type demoCommand struct {
	config.Database
	Password string `default:"pgchat demo" help:"Password of all its accounts."`
}

// Run fills the database and says how to look at it.
func (c demoCommand) Run(ctx context.Context, p *program) error {
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		filled, err := demo.Fill(ctx, pool, c.Password, time.Now())
		if err != nil {
			return err
		}
		serve := "pgchat serve"
		if c.URL == "" {
			serve += fmt.Sprintf(" --data-dir %q", c.DataDir)
		}
		_, err = fmt.Fprintf(p.out, "%d people, %d rooms and %d messages are there. Serve them (%s) and sign in as %s, with the password %q.\n",
			filled.People, filled.Rooms, filled.Messages, serve, demo.Reader, c.Password)
		return err
	})
}
