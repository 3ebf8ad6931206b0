package page

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

// Status is the page on which one sets one's status.
type Status struct {
	Base
	Emoji, Text, Ends, Until string // what was typed
	Errors                   map[string]string
}

// StatusForm is the form of the page alone, for its dialog.
func (p *Pages) StatusForm(s Status) []byte { return p.fragment("status-form", s) }

// person is the user as others see them.
func (b Base) person() Person {
	me := b.People[b.User.ID]
	me.UserID, me.Name = b.User.ID, b.User.Name
	return me
}

// about is a member as others see them.
func about(b Base, m chat.Member) Person {
	p := b.People[m.ID]
	p.UserID, p.Name = m.ID, m.Name
	return p
}

// state is how somebody is, in a word: people.js does the same.
func state(p Person) string {
	switch {
	case !p.Online:
		return "offline"
	case p.Status.Quiet.After(time.Now()):
		return "dnd"
	case p.Away:
		return "away"
	}
	return "online"
}

// says is a person's status as people.js takes it; empty where there is nothing to take.
func says(s chat.Status) (string, error) {
	if !s.Says() && s.Quiet.IsZero() {
		return "", nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("a status for the page: %w", err)
	}
	return string(text), nil
}

// End is when a status may end.
type End struct{ Value, Label string }

// Ends are the choices of the form.
func Ends() []End {
	return []End{
		{"today", "Tonight"},
		{"30m", "In 30 minutes"},
		{"1h", "In 1 hour"},
		{"4h", "In 4 hours"},
		{"never", "When I change it"},
		{"custom", "At a day and time"},
	}
}

// Quick is a status that is set with one click.
type Quick struct {
	Value, Emoji, Text, Ends string
	Label                    string // of its end
}

// QuickStatuses are the choices.
func QuickStatuses() []Quick {
	return []Quick{
		{"meeting", "📅", "In a meeting", "1h", "1 hour"},
		{"way", "🚌", "On my way", "30m", "30 minutes"},
		{"lunch", "🍜", "Having lunch", "1h", "1 hour"},
		{"home", "🏡", "Working from home", "today", "today"},
		{"ill", "🤒", "Ill", "today", "today"},
		{"away", "🌴", "On holiday", "never", "until I change it"},
	}
}
