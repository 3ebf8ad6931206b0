package page

import "github.com/pgchat/pgchat/internal/chat"

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
