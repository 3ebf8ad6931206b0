package page

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgchat/pgchat/internal/chat"
)

type shownMessage struct {
	chat.Message
	Attached  chat.Extra
	Day       string // "": the same day as the message before
	Continues bool   // by the same author as the message before, soon after it
	Found     bool   // it was asked for
	New       bool   // the first one that the reader has not read

	Lines []chat.Line // that stand before it
}

type olderLink struct {
	Slug   string
	More   bool
	Before int64
}

// found is the message that a whole page was asked for; nil: none. Without a script what can be done with it stands below.
func found(r Room) *chat.Message {
	if r.User == nil { // a fragment, for the script
		return nil
	}
	i := slices.IndexFunc(r.Messages, func(m chat.Message) bool { return r.At > 0 && m.Seq == r.At })
	if i < 0 {
		return nil
	}
	return &r.Messages[i]
}

func older(r Room) olderLink {
	link := olderLink{Slug: r.Room.Slug, More: r.Older}
	if len(r.Messages) > 0 {
		link.Before = r.Messages[0].Seq
	}
	return link
}

func plain(messages []chat.Message, at int64) []shownMessage {
	shown := make([]shownMessage, len(messages))
	for i, m := range messages {
		shown[i].Message, shown[i].Found, shown[i].Attached = m, at > 0 && m.Seq == at, m.Attached()
	}
	return shown
}

// groupWithin is how soon after each other messages of one author stand under one heading.
const groupWithin = 5 * time.Minute

// grouped is for browsers without JavaScript, in UTC; the page's script does the same in local time.
func grouped(messages []chat.Message, at int64) []shownMessage {
	shown := plain(messages, at)
	for i := range shown {
		m := &shown[i]
		day := m.CreatedAt.UTC().Format("Monday, 2 January 2006")
		if i == 0 || day != shown[i-1].CreatedAt.UTC().Format("Monday, 2 January 2006") {
			m.Day = day
			continue
		}
		before := shown[i-1]
		m.Continues = before.AuthorID == m.AuthorID && m.CreatedAt.Sub(before.CreatedAt) < groupWithin
	}
	return shown
}

const (
	lineLength = 76 // characters in a line of a message
	manyLines  = 30 // so many and more are shown in part; app.css shows 24
)

// long reports whether the message takes more lines than are shown at first.
func long(body string) bool {
	lines := 0
	for line := range strings.Lines(body) {
		lines += 1 + utf8.RuneCountInString(line)/lineLength
	}
	return lines >= manyLines
}

// unreadFrom marks the first message that its reader has not read and not written.
func unreadFrom(shown []shownMessage, b Base, room chat.Room) []shownMessage {
	if b.User == nil || !room.Member {
		return shown
	}
	for i := range shown {
		if m := &shown[i]; m.Seq > room.Read && m.AuthorID != b.User.ID {
			m.New, m.Continues = true, false
			break
		}
	}
	return shown
}
