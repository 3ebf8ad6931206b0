package chat

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Cursor says how much of a room somebody has: all messages up to Seq and all changes up to Rev, as they are in History.
type Cursor struct {
	Seq, Rev int64
	History  string // the database's, which a restore ends; see chat.histories. "": not told, and not compared
}

// String gives the form that browsers and programs keep: "17.3.0f9a2c41".
func (c Cursor) String() string {
	s := strconv.FormatInt(c.Seq, 10) + "." + strconv.FormatInt(c.Rev, 10)
	if c.History != "" {
		s += "." + c.History
	}
	return s
}

var historyID = regexp.MustCompile(`^[0-9a-f]{8}$`)

// ParseCursor reads what String wrote. The error is an [Error] of code Invalid.
func ParseCursor(s string) (Cursor, error) {
	seq, rev, ok := strings.Cut(s, ".")
	rev, history, told := strings.Cut(rev, ".")
	c := Cursor{History: history}
	var err1, err2 error
	if ok {
		c.Seq, err1 = strconv.ParseInt(seq, 10, 64)
		c.Rev, err2 = strconv.ParseInt(rev, 10, 64)
	}
	if !ok || err1 != nil || err2 != nil || c.Seq < 0 || c.Rev < 0 || told && !historyID.MatchString(history) {
		return Cursor{}, &Error{Code: Invalid, Field: "cursor", Message: fmt.Sprintf("%q is not a cursor: it looks like 17.3.0f9a2c41.", s)}
	}
	return c, nil
}
