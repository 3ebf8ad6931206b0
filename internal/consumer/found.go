package consumer

import "github.com/pgchat/pgchat/internal/chat"

type v1Found struct {
	Type       string     `json:"type"`
	Messages   []v1Hit    `json:"messages"`
	Rooms      []v1Room   `json:"rooms"`
	People     []v1Author `json:"people"`
	Near       bool       `json:"near,omitempty"`
	Unsearched int64      `json:"unsearched,omitempty"`
	Next       string     `json:"next,omitempty"`
}

type v1Hit struct {
	Room string `json:"room"`
	v1Message
}

type v1Room struct {
	Room string `json:"room"`
	Name string `json:"name"`
}

// Found is what was searched for as a program gets it.
func Found(f chat.Found) any {
	found := v1Found{Type: "found", Messages: []v1Hit{}, Rooms: []v1Room{}, People: []v1Author{}, Near: f.Near, Unsearched: f.Unsearched, Next: f.Next}
	for _, h := range f.Hits {
		found.Messages = append(found.Messages, v1Hit{h.Room.Slug, v1List([]chat.Message{h.Message})[0]})
	}
	for _, r := range f.Rooms {
		found.Rooms = append(found.Rooms, v1Room{r.Slug, r.Name})
	}
	for _, p := range f.People {
		found.People = append(found.People, v1Author{p.ID, p.Name})
	}
	return found
}
