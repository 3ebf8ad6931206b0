package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/config"
	"github.com/pgchat/pgchat/internal/feed"
	layer "github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/postgres"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/tail"
)

type tailCommand struct {
	config.Database
	Rooms    []string `arg:"" optional:"" name:"room" help:"Rooms to follow, by slug or name; without any all public ones, also those that are made later."`
	All      bool     `help:"Without rooms, follow private rooms and direct conversations as well."`
	After    string   `placeholder:"CURSOR" help:"Go on after a cursor, such as 17.3, or with several rooms general=17.3,ops=4.0; what came since comes first."`
	Since    string   `placeholder:"TIME" help:"First print what was said and happened since: so long ago, such as 10m, or a time, such as 2026-03-01 or \"2026-03-01 09:30\"."`
	Last     int      `placeholder:"N" help:"First print the newest messages, so many of each room."`
	Presence bool     `help:"Also print who comes online in the rooms and goes."`
	JSON     bool     `name:"json" help:"Print JSON objects, one a line; docs/listening.md documents them."`
}

// Validate is called by kong after parsing.
func (c *tailCommand) Validate() error {
	given := 0
	for _, is := range []bool{c.After != "", c.Since != "", c.Last != 0} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("--after, --since and --last each say where to begin: give one")
	case c.Last < 0:
		return fmt.Errorf("--last %d must not be negative", c.Last)
	case c.All && len(c.Rooms) > 0:
		return errors.New("--all follows every room: name none beside it")
	}
	if _, err := c.after(); err != nil {
		return err
	}
	if _, err := c.since(time.Now()); err != nil {
		return err
	}
	return c.Database.Validate()
}

// A room's slug may have commas and equals signs; what follows the last one before a comma is its cursor.
var roomCursor = regexp.MustCompile(`^(.+?)=(\d+\.\d+(?:\.[0-9a-f]{8})?)(?:,|$)`)

// after returns the cursors by room.
func (c *tailCommand) after() (map[string]chat.Cursor, error) {
	wrong := func(why string) (map[string]chat.Cursor, error) {
		return nil, fmt.Errorf("--after %q: %s", c.After, why)
	}
	after := map[string]chat.Cursor{}
	if at, err := chat.ParseCursor(c.After); err == nil {
		if len(c.Rooms) != 1 {
			return wrong("a cursor is of one room: name that, or write ROOM=" + c.After)
		}
		return map[string]chat.Cursor{c.Rooms[0]: at}, nil
	}
	for rest := c.After; rest != ""; {
		found := roomCursor.FindStringSubmatch(rest)
		if found == nil {
			return wrong("it is like 17.3 with one room, else like general=17.3,ops=4.0")
		}
		at, err := chat.ParseCursor(found[2])
		if err != nil {
			return wrong(found[2] + " is not a cursor")
		}
		after[found[1]], rest = at, rest[len(found[0]):]
	}
	return after, nil
}

// since returns the time from which on to print; zero: none is given.
func (c *tailCommand) since(now time.Time) (time.Time, error) {
	if c.Since == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(c.Since); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, c.Since, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q: it is a time ago, such as 10m or 48h, or a time, such as 2026-03-01 or \"2026-03-01 09:30\"", c.Since)
}

// Run prints what happens in the rooms until ctx ends or nobody reads it any more.
func (c *tailCommand) Run(ctx context.Context, p *program) (err error) {
	after, err := c.after()
	if err != nil {
		return err
	}
	since, err := c.since(time.Now())
	if err != nil {
		return err
	}
	ctx, stop := untilUnread(ctx, p.out)
	defer stop()
	log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer d.close(&err)
	pool, err := d.serving(ctx, log)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, d.url); err != nil {
		return err
	}
	carrier, messages := layer.New(pool, d.listenURL, uuid.New(), log), chat.NewMessages(pool)
	rooms := feed.New(carrier, messages, log)
	if err := rooms.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, 0, rooms.Stop)
	if err := carrier.Start(ctx); err != nil {
		return err
	}
	defer stopping(&err, log, 0, carrier.Stop)
	follow := tail.New(tail.Parts{
		Layer: carrier, Feed: rooms, Messages: messages, Rooms: chat.NewRooms(pool), Log: log,
		Presence: presence.New(pool, presence.Instance{Lease: 30 * time.Second}, log),
	}, tail.Options{Rooms: c.Rooms, All: c.All, After: after, Last: c.Last, Since: since, Online: c.Presence})
	out := bufio.NewWriter(p.out)
	text := tail.Text{Colour: colourful(p.out), Zone: time.Local}
	err = follow.Run(ctx, func() {
		_, _ = fmt.Fprintf(p.err, "Following %s. Ctrl-C ends.\n", plural(len(follow.Cursors()), "room"))
	}, func(items []tail.Item) error {
		var line []byte
		for _, i := range items {
			if c.JSON {
				line = tail.AppendJSON(line[:0], i)
			} else {
				line = text.Append(line[:0], i)
			}
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		return out.Flush()
	})
	if errors.Is(err, syscall.EPIPE) {
		err = nil
	}
	if resume := c.resume(follow.Cursors()); resume != "" {
		_, _ = fmt.Fprintln(p.err, "Go on from here with:", resume)
	}
	return err
}

// resume is the command line that goes on from the cursors.
func (c *tailCommand) resume(cursors map[string]chat.Cursor) string {
	if len(cursors) == 0 {
		return ""
	}
	words := []string{"pgchat", "tail"}
	for _, room := range c.Rooms {
		words = append(words, shellWord(room))
	}
	if c.URL == "" && c.DataDir != "./.pgchat" {
		words = append(words, "--data-dir", shellWord(c.DataDir))
	}
	for _, flag := range []struct {
		name string
		is   bool
	}{{"--all", c.All}, {"--json", c.JSON}, {"--presence", c.Presence}} {
		if flag.is {
			words = append(words, flag.name)
		}
	}
	var after []string
	for _, slug := range slices.Sorted(maps.Keys(cursors)) {
		after = append(after, slug+"="+cursors[slug].String())
	}
	return strings.Join(append(words, "--after", shellWord(strings.Join(after, ","))), " ")
}

var plainWord = regexp.MustCompile(`^[\p{L}\p{N}_@%+=:,./-]+$`)

// shellWord is a word as a shell reads it.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// untilUnread returns a context that also ends when what is written to w is read by nobody any more: the other end of a pipe has
// closed. Writing to it is an error then, which would otherwise end the program on the spot.
func untilUnread(ctx context.Context, w io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		again := time.NewTicker(time.Second)
		defer again.Stop()
		for !unheard(w) {
			select {
			case <-again.C:
			case <-broken:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return ctx, func() {
		cancel()
		<-ended
		signal.Stop(broken)
	}
}

func unheard(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(file.Fd())}} //nolint:gosec // a file's number is small
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
}
