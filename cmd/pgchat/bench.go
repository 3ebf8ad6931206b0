package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/bench"
	"github.com/pgchat/pgchat/internal/config"
)

type benchCommand struct {
	config.Database
	Set        string        `enum:"speed,slow-reader,idle,growth,search," default:"" help:"Run the scenarios of a set of docs/performance.md instead of one of your own: speed, slow-reader, idle (20 minutes), growth (fills 50 million messages), search (what indexing costs)." placeholder:"NAME"`
	Only       string        `help:"Of the set (speed, where none is named), this scenario alone." placeholder:"NAME"`
	Rooms      int           `default:"10" help:"Rooms."`
	PerRoom    int           `name:"connections" default:"10" help:"Connections in each room."`
	Publishers int           `default:"10" help:"Connections in each room that publish."`
	UnderWay   int           `default:"1" help:"Messages that each publisher keeps without an answer (closed loop)."`
	Rate       float64       `help:"Messages a second in all (open loop) instead."`
	Body       int           `default:"64" help:"Bytes of a message."`
	Instances  int           `default:"1" help:"Servers that the connections are spread over."`
	Pages      bool          `help:"Connect as HTML pages do, not as programs."`
	Stalled    int           `help:"Connections in each room that read nothing."`
	History    int           `help:"Messages that the rooms have before, in all."`
	Warmup     time.Duration `help:"Time before measuring; 2s, or the set's."`
	Time       time.Duration `help:"Time to measure; 10s, or the set's."`
	Runs       int           `default:"1" help:"Runs of each scenario; the one of median throughput or latency is reported."`
	Searched   int           `help:"Instead, fill a scratch database with so many messages, unless it was so before, and time searches in them." placeholder:"N"`
	Searches   int           `default:"200" help:"Of each kind."`
	JSON       string        `help:"Also write the results to this file." placeholder:"FILE"`
	SVG        string        `help:"Also draw the results into this file." placeholder:"FILE"`
}

// Validate is called by kong after parsing.
func (c *benchCommand) Validate() error {
	if c.Runs < 1 {
		return fmt.Errorf("--runs %d must be at least 1", c.Runs)
	}
	if _, err := c.scenarios(); err != nil {
		return err
	}
	return c.Database.Validate()
}

// scenarios are those asked for.
func (c *benchCommand) scenarios() ([]bench.Scenario, error) {
	all := []bench.Scenario{{
		Name: "own", Rooms: c.Rooms, PerRoom: c.PerRoom, Publishers: min(c.Publishers, max(c.PerRoom-c.Stalled, 0)), UnderWay: c.UnderWay,
		Rate: c.Rate, Body: c.Body, Instances: c.Instances, Stalled: c.Stalled, History: c.History, Warmup: 2 * time.Second, Time: 10 * time.Second,
	}}
	if c.Rate > 0 {
		all[0].UnderWay = 0
	}
	if c.Set != "" || c.Only != "" {
		all = bench.Sets[cmp.Or(c.Set, "speed")]()
	}
	if c.Only != "" {
		names := make([]string, len(all))
		for i, s := range all {
			names[i] = s.Name
		}
		i := slices.Index(names, c.Only)
		if i < 0 {
			return nil, fmt.Errorf("--only %q: the set has %s", c.Only, strings.Join(names, ", "))
		}
		all = all[i : i+1]
	}
	for i := range all {
		s := &all[i]
		s.Pages, s.Instances = c.Pages, max(s.Instances, c.Instances)
		s.Warmup, s.Time = cmp.Or(c.Warmup, s.Warmup), cmp.Or(c.Time, s.Time)
		if err := s.Check(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Run puts load on the database by servers of its own, with users and rooms of its own, and prints what it carried.
func (c *benchCommand) Run(ctx context.Context, p *program) error {
	scenarios, err := c.scenarios()
	if err != nil {
		return err
	}
	if err := touch(c.JSON, c.SVG); err != nil {
		return err
	}
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		if c.Searched > 0 {
			return c.search(ctx, p, pool)
		}
		b := &bench.Bench{Pool: pool, DatabaseURL: pool.Config().ConnString(), Say: func(format string, args ...any) {
			_, _ = fmt.Fprintf(p.err, format+"\n", args...)
		}}
		report := bench.Report{Machine: bench.Machine(), Time: time.Now()}
		before, err := b.Yardsticks(ctx)
		if err != nil {
			return err
		}
		report.Yardsticks = before
		for _, s := range scenarios {
			result, err := b.Median(ctx, s, c.Runs)
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", s.Name, err), c.print(p, report)) // what there is
			}
			report.Results = append(report.Results, result)
		}
		after, err := b.Yardsticks(ctx) // machines that are shared change while they are measured
		if err != nil {
			return errors.Join(err, c.print(p, report))
		}
		report.Yardsticks = before.Mean(after)
		return c.print(p, report)
	})
}

// search prints what searches take.
func (c *benchCommand) search(ctx context.Context, p *program, pool *pgxpool.Pool) error {
	b := &bench.Bench{Pool: pool, DatabaseURL: pool.Config().ConnString(), Say: func(format string, args ...any) {
		_, _ = fmt.Fprintf(p.err, format+"\n", args...)
	}}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "search\tby one\tp50 ms\tp95\tmax\tfound\tstopped %")
	err := b.Search(ctx, c.Searched, c.Searches, func(r bench.SearchResult) {
		b.Say("  %s, by one %s: p95 %.1f ms", r.Name, r.Reader, r.P95)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\n", r.Name, r.Reader, r.P50, r.P95, r.Max, r.Found, 100*r.Stopped)
	})
	return errors.Join(err, table.Flush())
}

// touch makes the files, so that what was measured can be written; "" is none.
func touch(paths ...string) error {
	for _, path := range paths {
		if path == "" {
			continue
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // a report for everybody
		if err != nil {
			return fmt.Errorf("the results could not be written: %w", err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (c *benchCommand) print(p *program, report bench.Report) error {
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "scenario\tacked/s\tdelivered/s\tp50 ms\tp90\tp99\tlost\tdoubled\trefused\tCPU µs/msg\tµs/delivery\tCPU %\tKB/conn\tWAL KB\tpage p50\tnewest\t")
	for _, r := range report.Results {
		_, _ = fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%.1f\t%.2f\t%.2f\t%.1f\t%.0f\t%.2f\t%.2f\t\n", r.Name, r.Acknowledged, r.Delivered,
			r.P50, r.P90, r.P99, r.Lost, r.Doubled, r.Refused, r.CPUMessage, r.CPUDelivery, r.CPUShare, r.Memory, r.WAL, r.PageP50, r.NewestPageP50)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, "\nYardsticks of the same run: one INSERT and NOTIFY per commit %.0f/s; a bare broadcast without a database %.0f deliveries/s.\n",
		report.Yardsticks.Commits, report.Yardsticks.Broadcast)
	for _, r := range report.Results {
		if r.Acknowledged > 0 {
			_, _ = fmt.Fprintf(p.out, "%s: %.1f times the commits, %.2f times the broadcast.\n", r.Name, r.Acknowledged/report.Yardsticks.Commits, r.Delivered/report.Yardsticks.Broadcast)
		}
	}
	if c.JSON != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.WriteFile(c.JSON, append(text, '\n'), 0o644) //nolint:gosec // a report for everybody
		}
		if err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, report.SVG(), 0o644); err != nil { //nolint:gosec // a picture for everybody
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	return nil
}
