// Package terminal makes text fit for terminals.
package terminal

import (
	"fmt"
	"strings"
	"unicode"
)

// Harmless writes what would command a terminal, or turn the direction of what follows, as a Go string literal would. Lines and tabs stay.
func Harmless(text string) string {
	if !strings.ContainsFunc(text, Commands) {
		return strings.ToValidUTF8(text, "\ufffd")
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case !Commands(r):
			out.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// Commands reports whether a letter does something else than show: control characters, also the 8-bit ones, line and paragraph
// separators, and what turns the direction of a text.
func Commands(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), unicode.Is(unicode.Bidi_Control, r):
		return true
	}
	return false
}
