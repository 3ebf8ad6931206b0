package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/doctor"
)

type doctorCommand struct {
	config.Database
	JSON    bool          `name:"json" help:"Print what was found as JSON."`
	Quick   bool          `help:"Leave out what reads all messages."`
	Timeout time.Duration `default:"1m" help:"How long what reads all messages may take."`
}

// Help tells the exit status.
func (doctorCommand) Help() string {
	return "It looks at the database, changes nothing, and says of each finding what it means and what mends it. " +
		"Exit status: 0 nothing is wrong, 1 something is, 2 the database or a part of it could not be looked at."
}

// Validate is called by kong after parsing.
func (c doctorCommand) Validate() error {
	if c.Timeout <= 0 {
		return fmt.Errorf("--timeout %s must be more than 0", c.Timeout)
	}
	return c.Database.Validate()
}

// Run looks the database over.
func (c doctorCommand) Run(ctx context.Context, p *program) (err error) {
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return &exit{2, err}
	}
	defer d.close(&err)
	report, err := doctor.Examine(ctx, doctor.Config{
		URL: d.url, ListenURL: d.listenURL, Quick: c.Quick, Timeout: c.Timeout, Limits: doctor.Usual(), Now: time.Now,
	})
	if err != nil {
		return &exit{2, err}
	}
	if c.JSON {
		encoder := json.NewEncoder(p.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(report); err != nil {
			return &exit{2, err}
		}
	} else {
		tell(p.out, report)
	}
	if status := report.Status(); status != 0 {
		return &exit{status: status}
	}
	return nil
}

// tell prints a report for people.
func tell(w io.Writer, report *doctor.Report) {
	colours := map[string]string{"ok": "32", "note": "36", "warning": "33", "error": "31", "unknown": "35", "skipped": "2"}
	coloured := colourful(w)
	line := func(state, name, text string) {
		padded := fmt.Sprintf("%-8s", state)
		if coloured {
			padded = "\x1b[" + colours[state] + "m" + padded + "\x1b[0m"
		}
		if text != "" {
			name += ": " + text
		}
		_, _ = fmt.Fprintf(w, "%s %s\n", padded, name)
	}
	_, _ = fmt.Fprintf(w, "PostgreSQL %s, database %q, as %q\n", report.Server, report.Database, report.User)
	warnings, wrong, unknown := 0, 0, 0
	for _, c := range report.Checks {
		for _, f := range c.Findings {
			line(string(f.Severity), c.Name, f.What)
			_, _ = fmt.Fprintf(w, "         %s\n         -> %s\n", f.Means, f.Mend)
			switch f.Severity {
			case doctor.Warning:
				warnings++
			case doctor.Error:
				wrong++
			case doctor.Note:
			}
		}
		switch {
		case c.Failed != "":
			line("unknown", c.Name, c.Failed)
			unknown++
		case c.Skipped != "":
			line("skipped", c.Name, c.Skipped)
		case len(c.Findings) == 0:
			line("ok", c.Name, "")
		}
	}
	_, _ = fmt.Fprintf(w, "Errors: %d, warnings: %d, checks that could not be made: %d.\n", wrong, warnings, unknown)
}
