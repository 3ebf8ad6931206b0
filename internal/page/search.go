package page

import (
	"html/template"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pgchat/pgchat/internal/chat"
)

// Search is the page of what was searched for.
type Search struct {
	Base
	Query  string
	Order  chat.Order
	Zone   string // minutes east of UTC, as the page's script tells; "": UTC
	Asked  bool   // something was searched for; else the page says how
	Later  bool   // it is not the first page
	Found  chat.Found
	Errors map[string]string
	// Addresses: of the next page, and of the same search in the other order.
	Next, Other string
}

const (
	snippetLength = 280 // characters of a message that are shown
	snippetBefore = 70  // of them, before the first word that was found
)

// snippet is the part of a text in which the words are, each marked: safe HTML.
func snippet(text string, words []string) template.HTML {
	text = strings.Join(strings.Fields(unmarked.Replace(text)), " ")
	marks := marksOf(text, words)
	begin, end := 0, len(text)
	if utf8.RuneCountInString(text) > snippetLength {
		if len(marks) > 0 {
			begin = back(text, marks[0][0], snippetBefore)
		}
		end = forth(text, begin, snippetLength)
		for len(marks) > 0 && marks[len(marks)-1][1] > end {
			marks = marks[:len(marks)-1]
		}
	}
	var out strings.Builder
	if begin > 0 {
		out.WriteString("…\u00a0")
	}
	at := begin
	for _, m := range marks {
		out.WriteString(template.HTMLEscapeString(text[at:m[0]]) + "<mark>" + template.HTMLEscapeString(text[m[0]:m[1]]) + "</mark>")
		at = m[1]
	}
	out.WriteString(template.HTMLEscapeString(text[at:end]))
	if end < len(text) {
		out.WriteString("\u00a0…")
	}
	return template.HTML(out.String()) //nolint:gosec // escaped piece by piece
}

// unmarked takes away what Markdown marks text by.
var unmarked = strings.NewReplacer("**", "", "__", "", "~~", "", "`", "", "||", "")

// marksOf are the beginnings and ends of the words in the text.
func marksOf(text string, words []string) (marks [][2]int) {
	begin := -1
	for i, r := range text + " " {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if begin < 0 {
				begin = i
			}
			continue
		}
		if begin >= 0 && meant(words, strings.ToLower(text[begin:i])) {
			marks = append(marks, [2]int{begin, i})
		}
		begin = -1
	}
	return marks
}

// meant reports whether the word is one of words; one that ends with "*" stands for all that begin so.
func meant(words []string, word string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		beginning, star := strings.CutSuffix(w, "*")
		return word == w || star && strings.HasPrefix(word, beginning)
	})
}

// back is the beginning of a word about n characters before at, forth the end of one after it.
func back(text string, at, n int) int {
	for ; n > 0 && at > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:at])
		at -= size
	}
	if space := strings.IndexByte(text[at:], ' '); at > 0 && space >= 0 && space < snippetBefore {
		at += space + 1
	}
	return at
}

func forth(text string, at, n int) int {
	begin := at
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	if space := strings.LastIndexByte(text[begin:at], ' '); at < len(text) && space > snippetLength/2 {
		at = begin + space
	}
	return at
}
