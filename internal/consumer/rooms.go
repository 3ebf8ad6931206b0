package consumer

import (
	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/presence"
)

// v1NamesMost is how many of those who are online are named to who joins.
const v1NamesMost = 200

type v1RoomNow struct {
	Type     string `json:"type,omitempty"`
	Room     string `json:"room"`
	Name     string `json:"name"`
	Topic    string `json:"topic"`
	Kind     string `json:"kind"`
	Archived bool   `json:"archived"`
	Member   bool   `json:"member"`
	Members  int    `json:"members"`
	KeepDays int    `json:"keep_days,omitempty"`
	First    int64  `json:"first,omitempty"` // seq of its oldest message, where older ones were removed
	Cursor   string `json:"cursor"`

	// As the user has it, who is a member.
	Role     string `json:"role,omitempty"`
	Starred  bool   `json:"starred,omitempty"`
	Notify   string `json:"notify,omitempty"`
	Seq      int64  `json:"seq"`
	Read     int64  `json:"read"`
	Mentions int    `json:"mentions"`
}

type v1Rooms struct {
	Type  string      `json:"type"`
	Rooms []v1RoomNow `json:"rooms"`
}

type v1Members struct {
	Type    string     `json:"type"`
	Room    string     `json:"room"`
	Members []v1Member `json:"members"`
}

type v1Member struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
	Role string    `json:"role"`
}

func role(owner bool) string {
	if owner {
		return "owner"
	}
	return "member"
}

// Room is a room as the user has it, in the form of a frame of [Protocol].
func Room(r chat.Room) any {
	room := v1RoomNowOf(r)
	room.Type = "room"
	return room
}

// Rooms is the rooms that the user may see.
func Rooms(rooms []chat.Room) any {
	list := make([]v1RoomNow, 0, len(rooms))
	for _, r := range rooms {
		list = append(list, v1RoomNowOf(r))
	}
	return v1Rooms{Type: "rooms", Rooms: list}
}

func v1RoomNowOf(r chat.Room) v1RoomNow {
	room := v1RoomNow{
		Room: r.Slug, Name: r.Name, Topic: r.Topic, Kind: r.Kind, Archived: r.Archived, Member: r.Member, Members: r.Members,
		Cursor: r.Head().String(), Seq: r.LastSeq, Read: r.Read, Mentions: r.Mentions,
	}
	room.KeepDays, room.First = r.KeepDays, firstKept(r)
	if r.Member {
		room.Role, room.Starred, room.Notify = role(r.Owner), r.Starred, r.Notify
	}
	return room
}

// firstKept is the seq of the room's oldest message; 0: it keeps all.
func firstKept(r chat.Room) int64 {
	if r.FirstSeq <= 1 {
		return 0
	}
	return r.FirstSeq
}

// Members is who is in a room.
func Members(slug string, members []chat.Member) any {
	list := make([]v1Member, 0, len(members))
	for _, m := range members {
		list = append(list, v1Member{ID: m.ID, Name: m.Name, Role: role(m.Owner)})
	}
	return v1Members{Type: "members", Room: slug, Members: list}
}

// Left is that the user is no longer in a room.
func Left(slug string) any { return v1Left{Type: "left", Room: slug} }

// v1Names is the first of those who are online, by name.
func v1Names(people []presence.Person) []string {
	names := make([]string, 0, min(len(people), v1NamesMost))
	for _, p := range people[:cap(names)] {
		names = append(names, p.Name)
	}
	return names
}
