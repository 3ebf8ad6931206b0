package page

import (
	"fmt"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
)

// reactors says who has reacted: "ada, bob and 3 others".
func reactors(r chat.Reaction) string {
	const most = 10
	names, others := r.By, r.Others()
	if len(names) > most {
		names, others = names[:most], r.Count-most
	}
	switch {
	case others == 1:
		return strings.Join(names, ", ") + " and 1 other"
	case others > 1:
		return fmt.Sprintf("%s and %d others", strings.Join(names, ", "), others)
	case len(names) < 2:
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
