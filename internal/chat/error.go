package chat

import "fmt"

// Code names a kind of failure to programs: it is in error frames and decides the HTTP status.
type Code string

// The codes that a caller may meet.
const (
	Invalid         Code = "invalid"         // the input breaks a rule
	NotFound        Code = "not_found"       // there is no such thing, or it is hidden
	Taken           Code = "taken"           // the name or id belongs to something else
	Forbidden       Code = "forbidden"       // known who you are, and you may not
	Banned          Code = "banned"          // from the room, or from all of the chat
	Unauthenticated Code = "unauthenticated" // not known who you are
	RateLimited     Code = "rate_limited"    // too much in a short time
	Busy            Code = "busy"            // the server's queue is full
	TooLarge        Code = "too_large"       // more bytes than the limit
	BadOrigin       Code = "bad_origin"      // sent from another site's page
	BadFrame        Code = "bad_frame"       // a WebSocket frame that cannot be understood
	NotJoined       Code = "not_joined"      // the connection has not joined the room
	CursorAhead     Code = "cursor_ahead"    // the cursor is ahead of the room: the database was set back
	Unavailable     Code = "unavailable"     // the database cannot be reached, or does not answer in time
)

// Error is a failure that its user can do something about.
type Error struct {
	Code    Code
	Field   string // the form field that is wrong; "": none in particular
	Message string // for the user: what was wrong and what to do
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an Error that is not about one field.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
