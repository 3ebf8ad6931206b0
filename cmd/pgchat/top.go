package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/postgres"
	"github.com/pgchat/pgchat/internal/top"
)

type topCommand struct {
	config.Database
	Every time.Duration `default:"1s" help:"Time between two looks."`
	Once  bool          `help:"Print one frame, of two looks; so it is where the output is no terminal."`
	JSON  bool          `name:"json" help:"Print it as a JSON object, with all rooms."`
	Rooms int           `default:"20" placeholder:"N" help:"Rooms in the one frame."`
}

// Validate is called by kong after parsing.
func (c *topCommand) Validate() error {
	if c.Every < 100*time.Millisecond {
		return fmt.Errorf("--every %s must be at least 100ms", c.Every)
	}
	if c.Rooms < 0 {
		return fmt.Errorf("--rooms %d must not be negative", c.Rooms)
	}
	return c.Database.Validate()
}

// Run shows the chat until q is pressed or ctx ends.
func (c *topCommand) Run(ctx context.Context, p *program) (err error) {
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	pool, err := d.connect(ctx, postgres.Serving, func(cfg *pgxpool.Config) {
		cfg.MaxConns = 1
		cfg.ConnConfig.RuntimeParams["application_name"] = "pgchat top"
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, d.url); err != nil {
		return err
	}
	model := top.NewModel(ctx, top.NewSource(pool).Look, c.Every, time.Local)
	if c.Once || c.JSON || !isTerminal(p.out) || !isTerminal(p.in) {
		return c.once(model, p)
	}
	_, err = tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(p.in), tea.WithOutput(p.out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		err = nil // a signal ended it
	}
	return err
}

// once prints one frame.
func (c *topCommand) once(model *top.Model, p *program) error {
	if err := model.Once(); err != nil {
		return err
	}
	if !c.JSON {
		_, err := fmt.Fprint(p.out, model.Text(c.Rooms))
		return err
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(model.Report())
}
