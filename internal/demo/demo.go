// Package demo fills an empty database with a week of a small team, for who wants to look around first and for the pictures in
// docs/screenshots. The week is in week.txt; it ends now.
package demo

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/store"
)

//go:embed week.txt
var week string

// ErrNotEmpty says that the database has accounts already.
var ErrNotEmpty = errors.New("the database has accounts already: the demo fills an empty one")

// Filled counts what was made.
type Filled struct {
	People, Rooms, Messages, Reactions, Files int
}

// Who of the team everybody is. The first one is the administrator, and whom to sign in as.
var people = []string{"ada", "bob", "carol", "dave", "erin", "frank", "grace", "pipeline"}

// Reader is whom to sign in as.
const Reader = "ada"

// Fill fills the database, in the local time of now. All accounts get the password. The error is [ErrNotEmpty], or the database's.
func Fill(ctx context.Context, pool *pgxpool.Pool, password string, now time.Time) (Filled, error) {
	accounts := chat.NewPeople(pool, false)
	if empty, err := accounts.Empty(ctx); err != nil {
		return Filled{}, err
	} else if !empty {
		return Filled{}, ErrNotEmpty
	}
	conversations, err := parse(week, now)
	if err != nil {
		return Filled{}, fmt.Errorf("read the week: %w", err)
	}
	f := filler{queries: store.New(pool), rooms: chat.NewRooms(pool), files: chat.NewFiles(pool, chat.FileLimits{Each: 10_000_000, InAll: 100_000_000}), users: map[string]chat.User{}}
	for i, name := range people {
		role := chat.RoleMember
		if i == 0 {
			role = chat.RoleAdmin
		}
		if f.users[name], err = accounts.Create(ctx, name, password, role); err != nil {
			return f.done, err
		}
		f.done.People++
	}
	for _, c := range conversations {
		if err := f.fill(ctx, c); err != nil {
			return f.done, fmt.Errorf("fill %s: %w", c.name, err)
		}
	}
	return f.done, nil
}

type filler struct {
	queries *store.Queries
	rooms   *chat.Rooms
	files   *chat.Files
	users   map[string]chat.User
	done    Filled
}

// room finds the conversation's room, which may be there from the start, or makes it.
func (f *filler) room(ctx context.Context, c conversation) (chat.Room, error) {
	owner := f.users[c.members[0]]
	if c.kind == chat.Direct {
		var others []uuid.UUID
		for _, name := range c.members[1:] {
			others = append(others, f.users[name].ID)
		}
		return f.rooms.Direct(ctx, owner, others...)
	}
	room, err := f.rooms.BySlug(ctx, owner.ID, c.name)
	var missing *chat.Error
	switch {
	case errors.As(err, &missing) && missing.Code == chat.NotFound:
		return f.rooms.Create(ctx, owner, c.name, c.topic, c.kind)
	case err != nil:
		return room, err
	}
	return room, f.rooms.Update(ctx, owner, room, room.Name, c.topic)
}

func (f *filler) fill(ctx context.Context, c conversation) error {
	room, err := f.room(ctx, c)
	if err != nil {
		return err
	}
	f.done.Rooms++
	for _, name := range c.members {
		if err := f.rooms.Join(ctx, room.ID, f.users[name].ID); err != nil {
			return err
		}
	}
	past := store.InsertPastMessagesParams{RoomID: room.ID}
	for _, m := range c.messages {
		past.Authors = append(past.Authors, f.users[m.author].ID)
		past.Bodies = append(past.Bodies, m.body)
		past.Times = append(past.Times, m.at)
	}
	if err := f.queries.InsertPastMessages(ctx, past); err != nil {
		return fmt.Errorf("insert %d messages: %w", len(past.Bodies), err)
	}
	for i, m := range c.messages {
		if m.pinnedBy == "" {
			continue
		}
		pin := store.AddPinParams{RoomID: room.ID, Seq: room.LastSeq + int64(i) + 1, UserID: f.users[m.pinnedBy].ID}
		if _, err := f.queries.AddPin(ctx, pin); err != nil {
			return fmt.Errorf("pin message %d: %w", pin.Seq, err)
		}
	}
	if c.muted {
		if err := f.rooms.Prefer(ctx, f.users[Reader].ID, room.ID, false, chat.NotifyNothing); err != nil {
			return err
		}
	}
	if c.archived {
		if err := f.rooms.Archive(ctx, f.users[c.members[0]], room, true); err != nil {
			return err
		}
	}
	if err := f.queries.DateLines(ctx, room.ID); err != nil {
		return fmt.Errorf("date what happened to the room: %w", err)
	}
	f.done.Messages += len(past.Bodies)
	replies := store.AddRepliesParams{RoomID: room.ID}
	for i, m := range c.messages {
		if m.answers > 0 {
			replies.Seqs = append(replies.Seqs, room.LastSeq+int64(i)+1)
			replies.ReplyTos = append(replies.ReplyTos, room.LastSeq+int64(i)+1-int64(m.answers))
		}
	}
	if err := f.queries.AddReplies(ctx, replies); err != nil {
		return fmt.Errorf("insert %d replies: %w", len(replies.Seqs), err)
	}
	given := store.AddPastReactionsParams{RoomID: room.ID}
	for i, m := range c.messages {
		for _, r := range m.reactions {
			for _, name := range r.by {
				given.Seqs = append(given.Seqs, room.LastSeq+int64(i)+1)
				given.Emojis = append(given.Emojis, r.emoji)
				given.Users = append(given.Users, f.users[name].ID)
				given.Times = append(given.Times, m.at.Add(time.Duration(len(given.Times))*time.Microsecond))
			}
		}
	}
	if err := f.queries.AddPastReactions(ctx, given); err != nil {
		return fmt.Errorf("insert %d reactions: %w", len(given.Seqs), err)
	}
	f.done.Reactions += len(given.Seqs)
	if err := f.attach(ctx, room, room.LastSeq, c.messages); err != nil {
		return err
	}
	if err := f.queries.ReadAll(ctx, store.ReadAllParams{RoomID: room.ID, Reader: Reader, Unread: c.unread}); err != nil {
		return fmt.Errorf("mark as read: %w", err)
	}
	return nil
}

type conversation struct {
	name, kind, topic string
	members           []string
	messages          []message
	unread            int64 // how many of the newest the reader has not read
	muted, archived   bool  // muted: for the reader
}

type message struct {
	author, body string
	at           time.Time
	reactions    []reaction
	files        []string
	answers      int    // how many messages before it is the one that it answers; 0: none
	pinnedBy     string // "": nobody
}

type reaction struct {
	emoji string
	by    []string
}

// parse reads the week. What would be later than now is said a day sooner, so that the newest of a demo that is filled before
// breakfast is yesterday's.
func parse(text string, now time.Time) ([]conversation, error) {
	var (
		all    []conversation
		number int
		day    time.Time
	)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		number++
		line := lines.Text()
		wrong := func(why string) error { return fmt.Errorf("line %d: %s: %q", number, why, line) }
		word, rest, _ := strings.Cut(line, " ")
		if word == "" && !strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "#") {
			continue
		}
		if word != "room" && word != "direct" && len(all) == 0 {
			return nil, wrong("no room yet")
		}
		switch word {
		case "room":
			head, topic, _ := strings.Cut(rest, ": ")
			name, kind, _ := strings.Cut(head, " ")
			all = append(all, conversation{name: name, kind: kind, topic: topic})
			continue
		case "direct":
			all = append(all, conversation{name: rest, kind: chat.Direct, members: strings.Fields(rest)})
			continue
		}
		c := &all[len(all)-1]
		switch {
		case word == "members":
			c.members = strings.Fields(rest)
		case word == "day":
			ago, err := strconv.Atoi(rest)
			if err != nil {
				return nil, wrong("no number of days")
			}
			day = time.Date(now.Year(), now.Month(), now.Day()-ago, 0, 0, 0, 0, now.Location())
		case word == "unread":
			n, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				return nil, wrong("no number of messages")
			}
			c.unread = n
		case word == "muted":
			c.muted = true
		case word == "archived":
			c.archived = true
		case len(c.messages) > 0 && word == "!":
			c.messages[len(c.messages)-1].pinnedBy = rest
		case len(c.messages) > 0 && strings.HasPrefix(line, "\t"):
			m := &c.messages[len(c.messages)-1]
			m.body = strings.TrimLeft(m.body+"\n"+line[1:], "\n")
		case len(c.messages) > 0 && word == "+":
			fields := strings.Fields(rest)
			m := &c.messages[len(c.messages)-1]
			m.reactions = append(m.reactions, reaction{fields[0], fields[1:]})
		case len(c.messages) > 0 && word == "=":
			if files[rest] == nil {
				return nil, wrong("no file that is known")
			}
			m := &c.messages[len(c.messages)-1]
			m.files = append(m.files, rest)
		default:
			at, err := time.Parse("15:04", word)
			if err != nil {
				return nil, wrong("neither a time nor a word that is known")
			}
			author, body, _ := strings.Cut(rest, " ")
			answers := 0
			if above, text, is := strings.Cut(body, " "); is && strings.HasPrefix(above, "^") {
				if answers, err = strconv.Atoi(above[1:]); err != nil || answers < 1 || answers > len(c.messages) {
					return nil, wrong("answers no message")
				}
				body = text
			}
			c.messages = append(c.messages, message{
				author: author, body: body, answers: answers,
				at: day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute),
			})
		}
	}
	late := false
	for _, c := range all {
		for _, m := range c.messages {
			late = late || m.at.After(now)
		}
	}
	for _, c := range all {
		for i := range c.messages {
			if late {
				c.messages[i].at = c.messages[i].at.AddDate(0, 0, -1)
			}
		}
	}
	return all, lines.Err()
}
