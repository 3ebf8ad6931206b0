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
			return "", wrong("name", `A user name has letters, digits, "-", "_" and "." only; %q is none of them.`, r)
		}
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
	if n := utf8.RuneCountInString(text); n > limit {
		return "", wrong(field, "A %s has at most %d characters; this one has %d.", what, limit, n)
	}
	return text, nil
}
