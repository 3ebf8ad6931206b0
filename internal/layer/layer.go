package layer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPayload is the most bytes that a payload may have.
const MaxPayload = 1 << 20

// MaxName is the most bytes that a group's name may have, which is what a PostgreSQL identifier takes.
const MaxName = 63

// ErrStopped is returned by what is called on a layer that was stopped or not yet started.
var ErrStopped = errors.New("the channel layer is not running")

// Layer is a channel layer; the package's documentation says what it keeps. All methods may be called from any goroutine.
type Layer interface {
	// Start connects and returns when the layer can carry.
	Start(ctx context.Context) error
	// Stop ends the layer and its goroutines; nothing is received afterwards.
	Stop(ctx context.Context) error
	// Open makes a channel for r and returns its name, which is valid on every instance.
	Open(r Receiver) (channel string)
	// Close takes the channel out of all its groups. A payload under way may still arrive.
	Close(channel string)
	// GroupAdd puts the channel into the group. What is sent after it has returned is received.
	GroupAdd(ctx context.Context, group, channel string) error
	// GroupDiscard takes the channel out of the group.
	GroupDiscard(group, channel string)
	// GroupSend sends the payload to every channel in the group, on all instances, the sender's own included.
	GroupSend(ctx context.Context, group, payload string) error
	// Send sends the payload to one channel, wherever it is. A channel that is gone receives nothing, without error.
	Send(ctx context.Context, channel, payload string) error
}

// Receiver takes what arrives on a channel. Its methods are called one at a time by the layer's goroutine and must not
// block.
type Receiver interface {
	// Receive takes a payload sent to the group, or with group "" to the channel itself.
	Receive(group, payload string)
	// Missed says that payloads to the channel or its groups may have been lost up to now.
	Missed()
}

// CheckGroup returns an error where group cannot be a group's name.
func CheckGroup(group string) error {
	if group == "" || len(group) > MaxName {
		return fmt.Errorf("group name %q: it has 1 to %d bytes", group, MaxName)
	}
	if !isText(group) {
		return fmt.Errorf("group name %q: it is not UTF-8 without NUL", group)
	}
	return nil
}

// CheckPayload returns an error where the payload cannot be carried.
func CheckPayload(payload string) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("payload of %d bytes: at most %d can be carried", len(payload), MaxPayload)
	}
	if !isText(payload) {
		return fmt.Errorf("payload of %d bytes: it is not UTF-8 without NUL", len(payload))
	}
	return nil
}

// isText reports whether PostgreSQL takes s as text.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
