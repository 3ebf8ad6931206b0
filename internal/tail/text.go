package tail

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/terminal"
)

// The colours of a terminal, as its user has set them.
const (
	faint  = "\x1b[2m"
	bold   = "\x1b[1m"
	cyan   = "\x1b[36m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

const quoteLength = 60 // letters of a message that something happened to

// Text makes what happened readable for people, a line for each thing; a message of several lines goes on with spaces before it.
type Text struct {
	Colour bool
	Zone   *time.Location

	width int // of the widest room so far
}

// Append adds what happened to text.
func (t *Text) Append(text []byte, i Item) []byte {
	number := "-"
	if i.Message != nil {
		number = fmt.Sprint(i.Message.Seq)
	}
	room := i.Room.Slug
	if i.Room.Kind == chat.Direct {
		room = i.Room.Name
	}
	room = terminal.Harmless(room)
	t.width = max(t.width, len([]rune(room)))
	room += strings.Repeat(" ", t.width-len([]rune(room)))
	when := i.at().In(t.Zone).Format(time.DateTime)
	indent := "\n" + strings.Repeat(" ", len(when)+2+t.width+2)
	for _, said := range t.say(i) {
		text = append(text, t.in(faint, when)+"  "+t.in(cyan, room)+"  "+t.in(faint, number)+" "...)
		text = append(text, strings.ReplaceAll(said, "\n", indent)...)
		text = append(text, '\n')
	}
	return text
}

func (t *Text) in(colour, text string) string {
	if !t.Colour {
		return text
	}
	return colour + text + plain
}

// say returns a line for each thing that is to be said of an item.
func (t *Text) say(i Item) (lines []string) {
	note := func(text string) []string { return []string{t.in(yellow, terminal.Harmless(text))} }
	switch {
	case i.Line != nil:
		return note(i.Line.Words())
	case i.Online != nil:
		var told []string
		if n := len(i.Online.Came); n > 0 {
			told = append(told, strings.Join(i.Online.Came, ", ")+isOrAre(n)+"online")
		}
		if n := len(i.Online.Went); n > 0 {
			told = append(told, strings.Join(i.Online.Went, ", ")+isOrAre(n)+"offline")
		}
		return note(fmt.Sprintf("%s (%d online)", strings.Join(told, "; "), i.Online.People))
	case i.First > 0:
		return note(fmt.Sprintf("Messages before %d were removed: the room does not keep them any longer.", i.First))
	case i.Message == nil:
		return note(i.End.words())
	case !i.Changed:
		return []string{t.message(*i.Message)}
	case i.Changes == nil:
		return []string{t.who(*i.Message) + t.in(yellow, ", changed, now: ") + t.body(*i.Message) + t.marks(*i.Message)}
	}
	for _, c := range i.Changes {
		if c.What != Replied { // the reply is told by itself
			lines = append(lines, t.change(*i.Message, c))
		}
	}
	return lines
}

func isOrAre(n int) string {
	if n == 1 {
		return " is "
	}
	return " are "
}

func (e End) words() string {
	switch e {
	case Gone:
		return "The room was deleted."
	case Hidden:
		return "The room is private now and followed no longer; --all or its name follows it."
	}
	return "The database was set back to an earlier state; the room is followed from there."
}

func (t *Text) who(m chat.Message) string { return t.in(bold, terminal.Harmless(m.Author)) }

func (t *Text) message(m chat.Message) string {
	who := t.who(m)
	if reply := m.Attached().Reply; reply != nil {
		who += t.in(faint, fmt.Sprintf(" (answers %d)", reply.Seq))
	}
	return who + ": " + t.body(m) + t.marks(m)
}

func (t *Text) body(m chat.Message) string {
	if m.DeletedAt != nil {
		return t.in(faint, "(deleted)")
	}
	return terminal.Harmless(m.Body)
}

// marks are what belongs to a message beside its text.
func (t *Text) marks(m chat.Message) string {
	var marks []string
	mark := func(format string, args ...any) {
		marks = append(marks, "["+terminal.Harmless(fmt.Sprintf(format, args...))+"]")
	}
	if m.EditedAt != nil && m.DeletedAt == nil {
		mark("edited")
	}
	x := m.Attached()
	for _, f := range x.Files {
		mark("file %s, %d bytes", f.Name, f.Size)
	}
	for _, r := range x.Reactions {
		others := ""
		if n := r.Others(); n > 0 {
			others = fmt.Sprintf(" and %d more", n)
		}
		mark("%s %s%s", r.Emoji, strings.Join(r.By, ", "), others)
	}
	if x.Pinned != nil {
		mark("pinned by %s", somebody(x.Pinned.By))
	}
	if len(marks) == 0 {
		return ""
	}
	return " " + t.in(faint, strings.Join(marks, " "))
}

func (t *Text) change(m chat.Message, c Change) string {
	by := func(did string) string {
		return t.in(bold, terminal.Harmless(somebody(c.By))) + t.in(yellow, " "+did+" ")
	}
	became := func(what string) string { return t.who(m) + t.in(yellow, ", "+what) }
	switch c.What {
	case Edited, Restored:
		return became(c.What+": ") + t.body(m)
	case Deleted:
		return became(c.What)
	case Reacted:
		return by("reacted "+terminal.Harmless(c.Emoji)+" to") + t.quote(m)
	case Unreacted:
		return by("took back "+terminal.Harmless(c.Emoji)+" from") + t.quote(m)
	case Attached, Detached:
		return became(c.What+": ") + terminal.Harmless(c.File)
	case Pinned:
		return by("pinned") + t.quote(m)
	}
	return became(c.What+": ") + short(m)
}

func somebody(name string) string {
	if name == "" {
		return "somebody"
	}
	return name
}

func (t *Text) quote(m chat.Message) string { return t.who(m) + ": " + short(m) }

// short is how a message begins.
func short(m chat.Message) string {
	body := []rune(strings.Join(strings.Fields(m.Body), " "))
	if len(body) > quoteLength {
		body = append(body[:quoteLength-1], '…')
	}
	return terminal.Harmless(string(body))
}
