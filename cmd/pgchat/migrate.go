package main

import (
	"context"
	"fmt"

	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/postgres"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply all migrations that are missing."`
	Down   migrateDown   `cmd:"" help:"Take the latest migration back. What it made is lost."`
	Status migrateStatus `cmd:"" help:"List the migrations."`
}

type migrateUp struct{ config.Database }

// Run applies what is missing.
func (c migrateUp) Run(ctx context.Context, p *program) (err error) {
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	applied, err := postgres.Migrate(ctx, d.url, func(why string) {
		_, _ = fmt.Fprintf(p.err, "Waiting for a lock: %s.\n", why)
	})
	if err != nil {
		return err
	}
	if len(applied) == 0 {
		_, _ = fmt.Fprintln(p.out, "The schema is up to date.")
	}
	for _, v := range applied {
		_, _ = fmt.Fprintf(p.out, "Applied %05d.\n", v)
	}
	lacking, err := postgres.GrantRights(ctx, d.url)
	for _, role := range lacking {
		_, _ = fmt.Fprintf(p.out, "There is no role %s, and this user may not make it. Where it is wanted, as a superuser: CREATE ROLE %s; SELECT chat.grant_rights();\n", role, role)
	}
	return err
}

type migrateDown struct{ config.Database }

// Run takes the latest migration back.
func (c migrateDown) Run(ctx context.Context, p *program) (err error) {
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	v, err := postgres.MigrateDown(ctx, d.url)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, "Took back %05d.\n", v)
	return nil
}

type migrateStatus struct{ config.Database }

// Run lists the migrations.
func (c migrateStatus) Run(ctx context.Context, p *program) (err error) {
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	migrations, err := postgres.Migrations(ctx, d.url)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		state := "missing"
		if m.Applied {
			state = "applied " + m.At.Format("2006-01-02 15:04:05")
		}
		_, _ = fmt.Fprintf(p.out, "%05d %-20s %s\n", m.Version, m.Name, state)
	}
	return nil
}
