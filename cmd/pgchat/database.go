package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/postgres"
)

// database is the database that a command works on.
type database struct {
	url, listenURL string
	psql           string // the command that opens it
	cluster        *postgres.Embedded
}

// openDatabase returns the database that was given, or starts a private PostgreSQL.
func openDatabase(ctx context.Context, cfg config.Database) (*database, error) {
	if cfg.URL != "" {
		d := &database{url: cfg.URL, listenURL: cfg.ListenURL, psql: `psql "$DATABASE_URL"`}
		if d.listenURL == "" {
			d.listenURL = d.url
		}
		return d, nil
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	var bins []string
	if cfg.PostgresBin != "" {
		bins = append(bins, cfg.PostgresBin)
	}
	cluster, err := postgres.StartEmbedded(ctx, dir, bins...)
	if err != nil {
		return nil, err
	}
	url := cluster.URL("postgres")
	return &database{url: url, listenURL: url, psql: cluster.Psql("postgres"), cluster: cluster}, nil
}

// connect makes a pool.
func (d *database) connect(ctx context.Context, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	return postgres.Connect(ctx, d.url, options...)
}

// checkListen proves that a database of its own for LISTEN answers, before anything relies on it.
func (d *database) checkListen(ctx context.Context) error {
	if d.listenURL == d.url {
		return nil
	}
	return postgres.CheckListen(ctx, d.listenURL)
}

// serving makes a pool for who stays: a private PostgreSQL that dies is started again, and what they listen by answers.
func (d *database) serving(ctx context.Context, log *slog.Logger, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	if d.cluster != nil {
		d.cluster.Watch(log)
	}
	pool, err := d.connect(ctx, append([]func(*pgxpool.Config){postgres.Serving}, options...)...)
	if err != nil {
		return nil, err
	}
	if err := d.checkListen(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// close gives the database up.
func (d *database) close(err *error) {
	if d.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	*err = errors.Join(*err, d.cluster.Stop(ctx))
}
