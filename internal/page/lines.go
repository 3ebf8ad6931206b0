package page

import (
	"fmt"

	"github.com/pgchat/pgchat/internal/chat"
)

// Lines is what pages are sent of what happened to a room; their script puts each where it belongs, and together what is alike.
func (p *Pages) Lines(lines []chat.Line) []byte { return p.fragment("lines", lines) }

// between puts each line before the message that it stands before.
func between(shown []shownMessage, lines []chat.Line) []shownMessage {
	for i := range shown {
		n := 0
		for n < len(lines) && lines[n].After < shown[i].Seq {
			n++
		}
		shown[i].Lines, lines = lines[:n], lines[n:]
		shown[i].Continues = shown[i].Continues && n == 0
	}
	return shown
}

// trailing are the lines after the last message.
func trailing(messages []chat.Message, lines []chat.Line) []chat.Line {
	for i, l := range lines {
		if len(messages) == 0 || l.After >= messages[len(messages)-1].Seq {
			return lines[i:]
		}
	}
	return nil
}

// lineWords is a line as people read it; lines.js does the same for several that are alike.
func lineWords(l chat.Line) string {
	people, were := l.Subject, "was"
	if l.People > 0 {
		people, were = fmt.Sprintf("%d people", l.People), "were"
	}
	self := l.Actor != "" && l.Actor == l.Subject
	choose := func(active, passive string) string {
		if l.Actor != "" {
			return l.Actor + " " + active
		}
		return passive
	}
	switch l.Kind {
	case "joined":
		if self {
			return l.Actor + " joined"
		}
		return choose("added "+people, people+" "+were+" added")
	case "left":
		if self {
			return l.Actor + " left"
		}
		return choose("removed "+people, people+" "+were+" removed")
	case "renamed":
		return choose("renamed the room to ", "The room was renamed to ") + l.To
	case "topic":
		if l.To == "" {
			return choose("removed the topic", "The topic was removed")
		}
		return choose("changed the topic to: ", "The topic was changed to: ") + l.To
	case "archived", "restored":
		return choose(l.Kind+" the room", "The room was "+l.Kind)
	}
	return choose("made the room "+l.Kind, "The room was made "+l.Kind)
}
