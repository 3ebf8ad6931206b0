package tail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
)

// find returns the room that is named, by its slug or else by its name, in any case, with or without a # before it.
func find(rooms []chat.Room, named string) (chat.Room, error) {
	name := strings.TrimPrefix(named, "#")
	for _, same := range []func(chat.Room) bool{
		func(r chat.Room) bool { return r.Slug == name },
		func(r chat.Room) bool { return strings.EqualFold(r.Slug, name) },
		func(r chat.Room) bool { return strings.EqualFold(r.Name, name) && r.Kind != chat.Direct },
	} {
		if i := slices.IndexFunc(rooms, same); i >= 0 {
			return rooms[i], nil
		}
	}
	why := fmt.Sprintf("there is no room %q", named)
	if near := alike(rooms, name); len(near) > 0 {
		return chat.Room{}, fmt.Errorf("%s; perhaps you meant %s", why, strings.Join(near, " or "))
	}
	return chat.Room{}, fmt.Errorf("%s; those that there are: select slug from chat.rooms;", why)
}

// alike returns the slugs of at most three rooms that are called nearly so.
func alike(rooms []chat.Room, name string) (slugs []string) {
	type near struct {
		slug  string
		steps int
	}
	var found []near
	name = strings.ToLower(name)
	for _, r := range rooms {
		if r.Kind == chat.Direct {
			continue
		}
		slug := strings.ToLower(r.Slug)
		steps := min(distance(name, slug), distance(name, strings.ToLower(r.Name)))
		if len(name) > 2 && strings.Contains(slug, name) {
			steps = min(steps, 1)
		}
		if steps <= 1+len([]rune(name))/4 {
			found = append(found, near{fmt.Sprintf("%q", r.Slug), steps})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.steps, b.steps) })
	for _, f := range found[:min(3, len(found))] {
		slugs = append(slugs, f.slug)
	}
	return slugs
}

// distance is how many letters must be put in, left out or replaced to make one text of the other.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range to {
			step := diagonal
			if r != s {
				step = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], step
		}
	}
	return row[len(to)]
}
