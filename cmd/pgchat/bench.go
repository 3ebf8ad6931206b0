package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/bench"
	"github.com/pgchat/pgchat/internal/config"
)

type benchCommand struct {
	config.Database
	Set        bool          `help:"Run the set of scenarios of docs/performance.md instead of one of your own."`
	Only       string        `help:"Of the set, this scenario alone." placeholder:"NAME"`
	Rooms      int           `default:"10" help:"Rooms."`
	PerRoom    int           `name:"connections" default:"10" help:"Connections in each room."`
	Publishers int           `default:"10" help:"Connections in each room that publish."`
	UnderWay   int           `default:"1" help:"Messages that each publisher keeps without an answer (closed loop)."`
	Rate       float64       `help:"Messages a second in all (open loop) instead."`
	Body       int           `default:"64" help:"Bytes of a message."`
	Instances  int           `default:"1" help:"Servers that the connections are spread over."`
	Pages      bool          `help:"Connect as HTML pages do, not as programs."`
	Warmup     time.Duration `default:"2s" help:"Time before measuring."`
	Time       time.Duration `default:"10s" help:"Time to measure."`
	Runs       int           `default:"1" help:"Runs of each scenario; the one of median throughput is reported."`
	JSON       string        `help:"Also write the results to this file." placeholder:"FILE"`
	SVG        string        `help:"Also draw the results into this file." placeholder:"FILE"`
}

// Run puts load on the database by servers of its own, with users and rooms of its own, and prints what it carried.
func (c *benchCommand) Run(ctx context.Context, p *program) error {
	scenarios := []bench.Scenario{{
		Name: "own", Rooms: c.Rooms, PerRoom: c.PerRoom, Publishers: min(c.Publishers, c.PerRoom), UnderWay: c.UnderWay, Rate: c.Rate,
		Body: c.Body, Instances: c.Instances, Warmup: c.Warmup, Time: c.Time,
	}}
	if c.Rate > 0 {
		scenarios[0].UnderWay = 0
	}
	if c.Set || c.Only != "" {
		scenarios = bench.Set(c.Warmup, c.Time)
	}
	return withPool(ctx, c.Database, func(pool *pgxpool.Pool) error {
		b := &bench.Bench{Pool: pool, DatabaseURL: pool.Config().ConnString(), Say: func(format string, args ...any) {
			_, _ = fmt.Fprintf(p.err, format+"\n", args...)
		}}
		report := bench.Report{Machine: bench.Machine(), Time: time.Now()}
		var err error
		if report.Yardsticks, err = b.Yardsticks(ctx); err != nil {
			return err
		}
		for _, s := range scenarios {
			if c.Only != "" && s.Name != c.Only {
				continue
			}
			s.Pages, s.Instances = c.Pages, c.Instances
			result, err := b.Median(ctx, s, c.Runs)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			report.Results = append(report.Results, result)
		}
		return c.print(p, report)
	})
}

func (c *benchCommand) print(p *program, report bench.Report) error {
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "scenario\tacked/s\tdelivered/s\tp50 ms\tp90\tp99\tlost\tdoubled\trefused\tCPU µs/msg\tµs/delivery\tCPU %\tKB/conn\t")
	for _, r := range report.Results {
		_, _ = fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%.1f\t%.2f\t%.1f\t%.1f\t\n", r.Name, r.Acknowledged, r.Delivered,
			r.P50, r.P90, r.P99, r.Lost, r.Doubled, r.Refused, r.CPUMessage, r.CPUDelivery, r.CPUShare, r.Memory)
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
