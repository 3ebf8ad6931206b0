package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/config"
)

type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Make a personal access token, by which a program acts as a user, and print it."`
	List   tokenList   `cmd:"" help:"List tokens."`
	Revoke tokenRevoke `cmd:"" help:"Revoke a token; its connections end at once."`
}

type tokenCreate struct {
	config.Database
	User    string        `arg:"" help:"As whom the program acts."`
	Name    string        `arg:"" help:"What the token is for."`
	Expires time.Duration `help:"Time from now after which it counts no more, such as 720h; without it it counts for ever."`
}

// Run makes the token. It is all that standard output gets, so that scripts can take it.
func (c tokenCreate) Run(ctx context.Context, p *program) error {
	var expires *time.Time
	if c.Expires != 0 {
		at := time.Now().Add(c.Expires)
		expires = &at
	}
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		secret, err := chat.NewTokens(pool).Create(ctx, c.User, c.Name, expires)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(p.err, "This is shown once. Send it as: Authorization: Bearer TOKEN")
		_, err = fmt.Fprintln(p.out, secret)
		return err
	})
}

type tokenList struct {
	config.Database
	User string `arg:"" optional:"" help:"Whose; everybody's without it."`
}

// Run lists the tokens.
func (c tokenList) Run(ctx context.Context, p *program) error {
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		list, err := chat.NewTokens(pool).List(ctx, c.User)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err = fmt.Fprintln(p.out, "There are no tokens. Make one with: pgchat token create USER NAME")
			return err
		}
		when := func(t *time.Time) string {
			if t == nil {
				return "never"
			}
			return t.Format("2006-01-02 15:04")
		}
		table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "USER\tNAME\tCREATED\tLAST USED\tEXPIRES")
		for _, t := range list {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.User, t.Name, when(&t.CreatedAt), when(t.LastUsedAt), when(t.ExpiresAt))
		}
		return table.Flush()
	})
}

type tokenRevoke struct {
	config.Database
	User string `arg:"" help:"Whose."`
	Name string `arg:"" help:"The token's name."`
}

// Run revokes the token.
func (c tokenRevoke) Run(ctx context.Context, p *program) error {
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		err := chat.NewTokens(pool).Revoke(ctx, c.User, c.Name)
		if err == nil {
			_, err = fmt.Fprintf(p.out, "%s's token %q is revoked.\n", c.User, c.Name)
		}
		return err
	})
}
