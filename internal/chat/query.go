package chat

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what is searched for.
const (
	MaxQuery      = 300 // characters
	maxQueryWords = 16
)

// Query is what somebody searches for, as they typed it.
type Query struct {
	Words    []string // all are wanted; one that ends with "*" stands for the beginning of a word
	Phrases  []string // words in a row, all are wanted
	Without  []string // none is wanted
	From, In []string // names of authors, and of rooms: one of each is wanted; "me" is the reader
	Has      []string // "file", "link": all are wanted
	Since    time.Time
	Until    time.Time // zero: no bound; else the message is older
}

// Empty reports whether nothing is searched for.
func (q Query) Empty() bool {
	return len(q.Words)+len(q.Phrases)+len(q.Without)+len(q.From)+len(q.In)+len(q.Has) == 0 && q.Since.IsZero() && q.Until.IsZero()
}

// Text is what was typed without operators: rooms and people are found by it.
func (q Query) Text() string {
	return strings.TrimSuffix(strings.Join(append(append([]string{}, q.Words...), q.Phrases...), " "), "*")
}

// ParseQuery reads words, "phrases", -words, from:, in:, before:, after:, on: and has:. Days are those of zone. The error is an [Error] of
// code Invalid about the field "q".
func ParseQuery(text string, zone *time.Location, now time.Time) (Query, error) {
	var q Query
	text = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`).Replace(text)
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return q, wrong("q", "The search is not valid UTF-8 text.")
	case utf8.RuneCountInString(text) > MaxQuery:
		return q, wrong("q", "A search has at most %d characters; this one has %d.", MaxQuery, utf8.RuneCountInString(text))
	}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimLeftFunc(rest, unicode.IsSpace) {
		var err error
		if rest, err = q.take(rest, zone, now); err != nil {
			return q, err
		}
	}
	words := len(q.Without)
	for _, w := range append(append([]string{}, q.Words...), q.Phrases...) {
		words += len(phraseWords(w))
	}
	if words > maxQueryWords {
		return q, wrong("q", "A search has at most %d words; this one has %d.", maxQueryWords, words)
	}
	return q, nil
}

// take reads what comes first, and returns the rest.
func (q *Query) take(text string, zone *time.Location, now time.Time) (string, error) {
	minus := len(text) > 1 && text[0] == '-'
	if minus {
		text = text[1:]
	}
	if text[0] == '"' {
		phrase, rest := quoted(text)
		if minus {
			return "", wrong("q", `-"…" is not known: only single words can be left out, such as -%s.`, first(phraseWords(phrase), "word"))
		}
		if len(phraseWords(phrase)) > 0 {
			q.Phrases = append(q.Phrases, phrase)
		}
		return rest, nil
	}
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	name, value, operator := strings.Cut(text[:end], ":")
	name = strings.ToLower(name)
	if !operator || !known[name] {
		if word := text[:end]; len(phraseWords(word)) == 0 {
			// Punctuation alone is not searched for.
		} else if minus {
			q.Without = append(q.Without, word)
		} else {
			q.Words = append(q.Words, strings.Trim(word, `"`))
		}
		return text[end:], nil
	}
	if minus {
		return "", wrong("q", "-%s: is not known: only words can be left out.", name)
	}
	rest := text[end:]
	if strings.HasPrefix(value, `"`) {
		value, rest = quoted(text[len(name)+1:])
	}
	if value = strings.TrimSpace(value); value == "" {
		return "", wrong("q", "%s: needs something right behind it, such as %s.", name, examples[name])
	}
	return rest, q.operator(name, value, zone, now)
}

var known = map[string]bool{"from": true, "in": true, "before": true, "after": true, "on": true, "has": true}

var examples = map[string]string{"from": "from:ada or from:me", "in": "in:general", "before": "before:2026-03-31", "after": "after:2026-03-01", "on": "on:today", "has": "has:file"}

func (q *Query) operator(name, value string, zone *time.Location, now time.Time) error {
	switch name {
	case "from":
		q.From = append(q.From, strings.TrimPrefix(value, "@"))
	case "in":
		q.In = append(q.In, strings.TrimLeft(value, "#@"))
	case "has":
		switch strings.ToLower(value) {
		case "file", "files":
			q.Has = append(q.Has, "file")
		case "link", "links":
			q.Has = append(q.Has, "link")
		default:
			return wrong("q", "has:%s is not known: there are has:file and has:link.", value)
		}
	default:
		begin, end, ok := days(value, zone, now)
		if !ok {
			return wrong("q", "“%s” is no day: it looks like 2026-03-31, 2026-03, 2026, today or yesterday.", value)
		}
		if name != "before" && begin.After(q.Since) {
			q.Since = begin
		}
		if name == "before" {
			end = begin
		}
		if name != "after" && (q.Until.IsZero() || end.Before(q.Until)) {
			q.Until = end
		}
	}
	return nil
}

// days is the stretch of time that the text names, its end excluded.
func days(text string, zone *time.Location, now time.Time) (begin, end time.Time, ok bool) {
	year, month, day := now.In(zone).Date()
	switch strings.ToLower(text) {
	case "today":
		begin = time.Date(year, month, day, 0, 0, 0, 0, zone)
		return begin, begin.AddDate(0, 0, 1), true
	case "yesterday":
		begin = time.Date(year, month, day-1, 0, 0, 0, 0, zone)
		return begin, begin.AddDate(0, 0, 1), true
	}
	for layout, step := range map[string][3]int{"2006-01-02": {0, 0, 1}, "2006-01": {0, 1, 0}, "2006": {1, 0, 0}} {
		if begin, err := time.ParseInLocation(layout, text, zone); err == nil {
			return begin, begin.AddDate(step[0], step[1], step[2]), true
		}
	}
	return begin, end, false
}

// quoted is what stands between the quote that text begins with and the next one, or the end, and what comes after.
func quoted(text string) (inside, rest string) {
	inside, rest, _ = strings.Cut(text[1:], `"`)
	return inside, rest
}

// phraseWords are the words of a text: runs of letters and digits.
func phraseWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// phrasePattern is the regular expression of PostgreSQL's for the words in a row, with whatever is no word between them.
func phrasePattern(phrase string) string {
	return `(^|[^[:alnum:]])` + strings.Join(phraseWords(phrase), `[^[:alnum:]]+`) + `($|[^[:alnum:]])`
}

func first(all []string, otherwise string) string {
	if len(all) == 0 {
		return otherwise
	}
	return all[0]
}
