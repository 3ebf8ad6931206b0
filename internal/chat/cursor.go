package chat

import (
	"fmt"
	"strconv"
	"strings"
)

// Cursor says how much of a room somebody has: all messages up to Seq and all changes up to Rev.
type Cursor struct {
	Seq, Rev int64
}

// String gives the form that browsers and programs keep: "17.3".
func (c Cursor) String() string {
	return strconv.FormatInt(c.Seq, 10) + "." + strconv.FormatInt(c.Rev, 10)
}

// ParseCursor reads what String wrote. The error is an [Error] of code Invalid.
func ParseCursor(s string) (Cursor, error) {
	seq, rev, ok := strings.Cut(s, ".")
	var c Cursor
	var err1, err2 error
	if ok {
		c.Seq, err1 = strconv.ParseInt(seq, 10, 64)
		c.Rev, err2 = strconv.ParseInt(rev, 10, 64)
	}
	if !ok || err1 != nil || err2 != nil || c.Seq < 0 || c.Rev < 0 {
		return Cursor{}, &Error{Code: Invalid, Field: "cursor", Message: fmt.Sprintf("%q is not a cursor: it looks like 17.3.", s)}
	}
	return c, nil
}
