package page

import (
	"bytes"
	"html/template"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/pgchat/pgchat/internal/chat"
)

// Thread is what stands beside the room: a message and what answers it.
type Thread struct {
	Room    chat.Room
	First   chat.Message
	Replies []chat.Message // oldest first
	Earlier int64          // there are replies before the one with this seq; 0: there are none
	Draft   string         // what was typed and could not be sent

	FileLimit int64     // bytes that a file may have
	PostID    uuid.UUID // the id of the reply that its form will post
	Errors    map[string]string
}

// Thread is the fragment of a thread, which goes into its place beside the room.
func (p *Pages) Thread(t Thread) []byte { return p.fragment("thread", &t) }

// beside is messages as they stand beside the room, where they may be as well: under other ids. threads.js does the same.
func (p *Pages) beside(messages ...chat.Message) template.HTML {
	shown := p.fragment("messages", plain(messages, 0))
	for _, kind := range []string{` id="`, ` for="`} { // in a text the quotation mark is escaped
		shown = bytes.ReplaceAll(shown, []byte(kind), []byte(kind+"t"))
	}
	return template.HTML(shown) //nolint:gosec // made by templates
}

// quoteLength is how much of a message a reply shows, in characters; replies.js shows as much.
const quoteLength = 140

// cut is how a message begins, in one line of text without its marks.
func (m *markup) cut(body string) string {
	text := body
	if !plainText(body) {
		text = inner(string(m.html(body)))
	}
	words := strings.Fields(text)
	if len(words) == 0 { // nothing but marks
		words = strings.Fields(body)
	}
	line := []rune(strings.Join(words, " "))
	if len(line) <= quoteLength {
		return string(line)
	}
	return strings.TrimSpace(string(line[:quoteLength])) + "…"
}

// inner is the text of an HTML.
func inner(fragment string) string {
	var text strings.Builder
	for tokens := html.NewTokenizer(strings.NewReader(fragment)); ; {
		switch tokens.Next() {
		case html.ErrorToken:
			return text.String()
		case html.TextToken:
			text.Write(tokens.Text())
		}
	}
}
