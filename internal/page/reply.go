package page

import (
	"strings"

	"golang.org/x/net/html"
)

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
