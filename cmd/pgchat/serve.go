package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/consumer"
	"github.com/pgchat/pgchat/internal/feed"
	layer "github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/page"
	"github.com/pgchat/pgchat/internal/postgres"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/server"
	"github.com/pgchat/pgchat/internal/unread"
)

type serveCommand struct{ config.Serve }

// Run serves until ctx ends, then stops in order: ready no more, connections closed, what waits written, presence removed,
// PostgreSQL stopped where it is ours.
func (c *serveCommand) Run(ctx context.Context, p *program) (err error) {
	log := logger(c.Log, p.err)
	pages, err := page.New()
	if err != nil {
		return err
	}
	// Taken first: nothing is started where the address is in use.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("serve on %s: %w", c.Listen, err)
	}
	defer func() { _ = listener.Close() }()
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	pool, err := d.serving(ctx, log, chat.NoticeRestores)
	if err != nil {
		return err
	}
	defer pool.Close()
	if c.Migrate {
		applied, err := postgres.Migrate(ctx, d.url, func(why string) { log.Warn("a migration waits for a lock", "because", why) })
		if err != nil {
			return err
		}
		if len(applied) > 0 {
			log.Info("the schema was brought up to date", "applied", applied)
			if lacking, err := postgres.GrantRights(ctx, d.url); err != nil || len(lacking) > 0 {
				log.Warn("there are roles that this user may not make; pgchat migrate up says how to", "roles", lacking, "error", err)
			}
		}
	} else if err := postgres.CheckSchema(ctx, d.url); err != nil {
		return err
	}
	instance := presence.Instance{ID: uuid.New(), Name: c.name(listener), Version: version, Heartbeat: c.Heartbeat, Lease: c.Lease}
	carrier := layer.New(pool, d.listenURL, instance.ID, log)
	messages, sessions, tokens := chat.NewMessages(pool), chat.NewSessions(pool), chat.NewTokens(pool)
	files := chat.NewFiles(pool, chat.FileLimits{Each: int64(c.FileLimit), InAll: int64(c.FilesLimit)})
	rooms := feed.New(carrier, messages, log)
	writer := chat.NewWriter(pool)
	online := presence.New(pool, instance, log)

	// What was started is stopped in the opposite order, also when a later part does not start.
	if err := rooms.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, c.Drain, rooms.Stop)
	if err := carrier.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, c.Drain, carrier.Stop)
	if err := online.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, c.Drain, online.Stop)
	reads := chat.NewReads(pool)
	hub := unread.New(carrier, reads, log)
	if err := hub.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, c.Drain, hub.Stop)
	writer.OnStored(hub.Stored)
	writer.Start(ctx)
	defer stopping(&err, log, c.Drain, writer.Stop)
	if c.Index {
		indexer := chat.NewIndexer(pool, log)
		indexer.Start(ctx)
		defer stopping(&err, log, c.Drain, indexer.Stop)
	}
	sweep, stopSweep := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		var parts sync.WaitGroup
		parts.Go(func() { sweepAll(sweep, time.Hour, "expired sessions", sessions.Sweep, log) })
		parts.Go(func() { sweepAll(sweep, 10*time.Minute, "files that nobody will see", files.Sweep, log) })
		retention := chat.Retention{History: c.KeepHistory, Audit: c.KeepAudit}
		parts.Go(func() {
			sweepAll(sweep, time.Hour, "old rows of chat.message_history and chat.audit_log", func(ctx context.Context) (int64, error) { return retention.Sweep(ctx, pool) }, log)
		})
		parts.Go(func() {
			sweepAll(sweep, time.Minute, "messages that are older than their room keeps them", func(ctx context.Context) (int64, error) { return chat.Retain(ctx, pool, log) }, log)
		})
		parts.Wait()
	}()
	defer func() { stopSweep(); <-swept }()

	people := chat.NewPeople(pool, c.Signup == "open")
	limit := chat.NewPostLimiter(c.PostRate, c.PostBurst)
	sockets := consumer.New(consumer.Config{
		Layer: carrier, Feed: rooms, Presence: online, Unread: hub, Writer: writer, Rooms: chat.NewRooms(pool), Messages: messages, Log: log,
		RenderMessages: pages.Messages, RenderLines: pages.Lines, PostLimit: limit,
		Sessions: sessions, Tokens: tokens, People: people,
		RenderPeople: func(people []presence.Person) []byte {
			shown := make([]page.Person, len(people))
			for i, p := range people {
				shown[i] = page.Person(p)
			}
			return pages.People(shown)
		},
		Announcements: chat.NewAnnouncements(pool), RenderAnnouncements: pages.Announcements,
	})
	if err := sockets.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, c.Drain, sockets.Stop)
	online.Figures(func() presence.Figures { return figures(sockets, rooms, carrier, writer) })
	metrics := ""
	if c.MetricsListen != "" {
		all := slices.Concat(sockets.Collectors(), writer.Collectors(), rooms.Collectors(), carrier.Collectors(), online.Collectors(), poolMetrics(pool))
		url, stop, metricsErr := serveMetrics(ctx, c.MetricsListen, log, all...)
		if metricsErr != nil {
			return metricsErr
		}
		defer stopping(&err, log, c.Drain, stop)
		metrics = "Metrics: " + url + "\n"
	}
	srv := server.New(server.Config{
		People: people, Sessions: sessions, Tokens: tokens,
		Rooms: chat.NewRooms(pool), Messages: messages, Reads: reads, Files: files,
		Writer: writer, Presence: online, Pages: pages, TrustProxy: c.TrustProxy, Log: log, Sockets: sockets,
		Search: chat.NewSearch(pool), PostLimit: limit,
		Checks: map[string]func(context.Context) error{
			"database": pool.Ping,
			"listener": func(context.Context) error {
				if why := carrier.Polling(); why != nil {
					return fmt.Errorf("%w: it polls, so messages come late and typing is not told: %w", server.ErrDegraded, why)
				}
				return carrier.Ready()
			},
			"writer": func(context.Context) error { return writer.Ready() },
		},
	})
	srv.Start(listener)
	_, _ = fmt.Fprintf(p.out, "pgchat serves http://%s\nLook in with: %s\n%s", listener.Addr(), d.psql, metrics)
	select {
	case err := <-srv.Done():
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping", "connections are closed within", c.Drain.String())
	defer stopping(&err, log, c.Drain, func(ctx context.Context) error { return srv.Stop(ctx, c.Drain) })
	return nil
}

// figures are what chat.instances has of this server.
func figures(sockets *consumer.Sockets, rooms *feed.Feed, carrier *layer.Layer, writer *chat.Writer) presence.Figures {
	link := carrier.Link()
	f := presence.Figures{Connections: sockets.Connections(), Rooms: rooms.Rooms(), Listener: "hears", ListenerPID: link.PID, Lag: link.Lag}
	if carrier.Polling() != nil {
		f.Listener = "polls"
	} else if carrier.Ready() != nil {
		f.Listener = "lost"
	}
	f.Queue, f.Batches, f.Messages, f.LargestBatch = writer.Load()
	return f
}

// stopping stops a part within a bounded time and adds its error. That the database cannot be told is none: what is left there
// ends with this instance's lease.
func stopping(err *error, log *slog.Logger, drain time.Duration, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), drain+10*time.Second)
	defer cancel()
	why := stop(ctx)
	if postgres.Unreachable(why) {
		log.Warn("stopped without the database, which cannot be reached", "error", why)
		return
	}
	*err = errors.Join(*err, why)
}

func (c *serveCommand) name(l net.Listener) string {
	if c.Name != "" {
		return c.Name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + " " + l.Addr().String()
}

// sweepAll removes what is no longer needed, at once and again and again.
func sweepAll(ctx context.Context, again time.Duration, what string, sweep func(context.Context) (int64, error), log *slog.Logger) {
	every := time.NewTicker(again)
	defer every.Stop()
	for {
		if n, err := sweep(ctx); err != nil && ctx.Err() == nil {
			log.Warn(what+" are not removed", "error", err)
		} else if n > 0 {
			log.Info(what+" were removed", "number", n)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}
