package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/store"
)

// Limits, in characters. An emoji is made of several.
const (
	MaxStatusText  = 100
	MaxStatusEmoji = 16
)

// forever is the end of what ends only by hand, as it is read.
var forever = time.Date(9999, 6, 1, 0, 0, 0, 0, time.UTC)

// Forever is the end of what ends only by hand.
func Forever() time.Time { return forever }

// Status is what somebody says of themselves, and whether they may be disturbed.
type Status struct {
	Emoji string
	Text  string
	Until time.Time // when emoji and text end; Forever: by hand
	Quiet time.Time // until when they are not to be disturbed; zero: they may be; Forever: until they end it
}

// NewStatus makes one from a row. An end in 1970 is none.
func NewStatus(emoji, text string, until, quiet time.Time) Status {
	s := Status{Emoji: emoji, Text: text, Until: until.UTC()}
	if quiet.Unix() > 0 {
		s.Quiet = quiet.UTC()
	}
	return s
}

// Says reports whether there is something to show.
func (s Status) Says() bool { return s.Emoji != "" || s.Text != "" }

// MarshalJSON makes it what the pages' script takes: emoji, text, and the ends in ms since 1970, 0 for none.
func (s Status) MarshalJSON() ([]byte, error) {
	until, quiet := int64(0), int64(0)
	if s.Until.Before(forever) {
		until = s.Until.UnixMilli()
	}
	if !s.Quiet.IsZero() {
		quiet = s.Quiet.UnixMilli()
	}
	text, err := json.Marshal([]any{s.Emoji, s.Text, until, quiet})
	if err != nil {
		return nil, fmt.Errorf("encode a status: %w", err)
	}
	return text, nil
}

// SetStatus has the user say something of themselves until then; nil: until they change it. Without emoji and text they say
// nothing. The error may be an [Error] about the field "emoji", "text" or "until".
func (p *People) SetStatus(ctx context.Context, userID uuid.UUID, emoji, text string, until *time.Time) error {
	text, err := checkLine("text", "status", text, MaxStatusText)
	if err := errors.Join(err, checkEmoji(emoji), checkEnd(until)); err != nil {
		return err
	}
	if emoji == "" && text == "" {
		until = nil
	}
	if err := p.queries.SetStatus(ctx, store.SetStatusParams{ID: userID, Emoji: emoji, Text: text, Until: until}); err != nil {
		return fmt.Errorf("set the status of %s: %w", userID, err)
	}
	return nil
}

// DoNotDisturb has the user not be disturbed until then; nil: they may be again; Forever: until they end it. The error may be an
// [Error] about the field "until".
func (p *People) DoNotDisturb(ctx context.Context, userID uuid.UUID, until *time.Time) error {
	if err := checkEnd(until); err != nil {
		return err
	}
	always := until != nil && !until.Before(forever)
	if err := p.queries.SetDoNotDisturb(ctx, store.SetDoNotDisturbParams{ID: userID, Until: until, Always: always}); err != nil {
		return fmt.Errorf("have %s not be disturbed: %w", userID, err)
	}
	return nil
}

func checkEnd(until *time.Time) error {
	if until == nil || until.After(time.Now()) && !until.After(forever) {
		return nil
	}
	return wrong("until", "This end has passed, or is too far away. Choose a later one, or none.")
}

// IsEmoji reports whether the text can stand as the emoji of a status.
func IsEmoji(text string) bool { return text != "" && checkEmoji(text) == nil }

// checkEmoji takes pictures, flags and keycaps, not words.
func checkEmoji(emoji string) error {
	if !utf8.ValidString(emoji) || utf8.RuneCountInString(emoji) > MaxStatusEmoji {
		return wrong("emoji", "This is more than one emoji.")
	}
	picture := emoji == ""
	for _, r := range emoji {
		if unicode.IsLetter(r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			return wrong("emoji", "Only an emoji can stand here; what you want to say has a field of its own.")
		}
		picture = picture || r > 0xFF && unicode.In(r, unicode.So, unicode.Sm, unicode.Me)
	}
	if !picture {
		return wrong("emoji", "Only an emoji can stand here; what you want to say has a field of its own.")
	}
	return nil
}
