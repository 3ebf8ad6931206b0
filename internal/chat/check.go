package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits, in characters.
const (
	MinUserName, MaxUserName = 2, 32
	MinPassword, MaxPassword = 10, 200
	MaxRoomName              = 80
	MaxTopic                 = 250
)

func wrong(field, format string, args ...any) error {
	return &Error{Code: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// checkUserName returns the name without white space around it.
func checkUserName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n < MinUserName || n > MaxUserName {
		return "", wrong("name", "A user name has %d to %d characters; this one has %d.", MinUserName, MaxUserName, n)
	}
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return "", wrong("name", `A user name has letters, digits, "-", "_" and "." only; %s is none of them.`, called(r))
		}
	}
	if l := strings.ToLower(name); l == "everyone" || l == "here" {
		return "", wrong("name", "@%s addresses all members of a room. Choose another name.", l)
	}
	return name, nil
}

func checkPassword(password string) error {
	if !utf8.ValidString(password) {
		return wrong("password", "The password is not valid UTF-8 text.")
	}
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return wrong("password", "A password has at least %d characters; this one has %d. A few words make a good one.", MinPassword, n)
	case n > MaxPassword:
		return wrong("password", "A password has at most %d characters; this one has %d.", MaxPassword, n)
	}
	return nil
}

// checkLine returns the text without white space around it, when it is one line of at most limit characters.
func checkLine(field, what, text string, limit int) (string, error) {
	if !utf8.ValidString(text) {
		return "", wrong(field, "The %s is not valid UTF-8 text.", what)
	}
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", wrong(field, "The %s has a control character, such as a line break or a tab. It must be one line of text.", what)
	}
	if r, has := invisible(text); has {
		return "", wrong(field, "The %s has an invisible character (%s), by which two that look alike would differ. Type it anew without it.", what, called(r))
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return "", wrong(field, "A %s has at most %d characters; this one has %d.", what, limit, n)
	}
	return text, nil
}

// called names a character so that people know which one is meant.
func called(r rune) string {
	switch {
	case r == ' ':
		return "a space"
	case unicode.IsPrint(r):
		return `"` + string(r) + `"`
	}
	return fmt.Sprintf("U+%04X", r)
}

// invisible returns the first character of the text that shows nothing. The joiner between the parts of an emoji is none.
func invisible(text string) (rune, bool) {
	const joiner = '\u200D'
	var before rune
	for i, r := range text {
		if unicode.Is(unicode.Cf, r) {
			after, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
			if r != joiner || !emoji(before) || !emoji(after) {
				return r, true
			}
		}
		before = r
	}
	return 0, false
}

// emoji reports whether r may stand beside a joiner in one: a picture, its colour of skin, or its presentation.
func emoji(r rune) bool {
	return r != utf8.RuneError && r > 0xFF && unicode.In(r, unicode.So, unicode.Sk) || r == '\uFE0F'
}
