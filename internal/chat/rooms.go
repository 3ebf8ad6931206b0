package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Rooms makes and finds rooms.
type Rooms struct {
	pool    *pgxpool.Pool
	queries *store.Queries
}

// NewRooms keeps rooms through pool.
func NewRooms(pool *pgxpool.Pool) *Rooms { return &Rooms{pool, store.New(pool)} }

var errNoRoom = Errorf(NotFound, "There is no such room. It may have been removed, or its name changed.")

// List returns the rooms that the user may see, by name.
func (r *Rooms) List(ctx context.Context, userID uuid.UUID) ([]Room, error) {
	rows, err := r.queries.RoomsFor(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list the rooms: %w", err)
	}
	rooms := make([]Room, 0, len(rows))
	for _, row := range rows {
		rooms = append(rooms, room(store.RoomBySlugRow(row)))
	}
	slices.SortStableFunc(rooms, func(a, b Room) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return rooms, nil
}

// All returns every room, whoever may see it, by slug: for who reads the database itself. It knows nothing of one user.
func (r *Rooms) All(ctx context.Context) ([]Room, error) {
	rows, err := r.queries.AllRooms(ctx)
	if err != nil {
		return nil, fmt.Errorf("list all rooms: %w", err)
	}
	rooms := make([]Room, 0, len(rows))
	for _, row := range rows {
		rooms = append(rooms, Room{
			ID: row.ID, Slug: row.Slug, Name: row.Name, Kind: row.Kind, Archived: row.Archived,
			FirstSeq: row.FirstSeq, LastSeq: row.LastSeq, LastRev: row.LastRev, History: row.History, CreatedAt: row.CreatedAt,
		})
	}
	return rooms, nil
}

// BySlug returns the room at this address. The error is an [Error] of code NotFound where there is none, or of code Banned.
func (r *Rooms) BySlug(ctx context.Context, userID uuid.UUID, slug string) (Room, error) {
	if !utf8.ValidString(slug) || strings.ContainsRune(slug, 0) {
		return Room{}, errNoRoom
	}
	row, err := r.queries.RoomBySlug(ctx, store.RoomBySlugParams{UserID: userID, Slug: slug})
	if errors.Is(err, pgx.ErrNoRows) {
		return Room{}, refusalOr(ctx, r.queries, store.BanFromParams{UserID: userID, Slug: &slug}, errNoRoom)
	}
	if err != nil {
		return Room{}, fmt.Errorf("find room %s: %w", slug, err)
	}
	return room(row), nil
}

// ByID returns the room with this id. The error is an [Error] of code NotFound where there is none, or of code Banned.
func (r *Rooms) ByID(ctx context.Context, userID, id uuid.UUID) (Room, error) {
	row, err := r.queries.RoomByID(ctx, store.RoomByIDParams{UserID: userID, ID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return Room{}, refusalOr(ctx, r.queries, store.BanFromParams{UserID: userID, RoomID: &id}, errNoRoom)
	}
	if err != nil {
		return Room{}, fmt.Errorf("find room %s: %w", id, err)
	}
	return room(store.RoomBySlugRow(row)), nil
}

// Create makes a room of kind Public or Private, its slug from its name, and its maker its owner. The error may be an [Error]
// of code Invalid or Taken, about the field "name", "topic" or "kind".
func (r *Rooms) Create(ctx context.Context, creator User, name, topic, kind string) (Room, error) {
	name, topic, err := checkRoom(name, topic)
	if kind != Public && kind != Private {
		err = errors.Join(err, wrong("kind", "A room is public or private."))
	}
	if err != nil {
		return Room{}, err
	}
	for {
		slug, err := r.freeSlug(ctx, name)
		if err != nil {
			return Room{}, err
		}
		_, err = r.queries.AddRoom(ctx, store.AddRoomParams{Slug: slug, Name: name, Topic: topic, Kind: kind, CreatedBy: creator.ID})
		switch constraint(err) {
		case "rooms_name_key":
			return Room{}, nameTaken(name)
		case "rooms_slug_key": // somebody was quicker; the next one is looked for
			continue
		}
		if err != nil {
			return Room{}, fmt.Errorf("make room %s: %w", name, err)
		}
		return r.BySlug(ctx, creator.ID, slug)
	}
}

func checkRoom(name, topic string) (string, string, error) {
	name, err := checkLine("name", "room name", name, MaxRoomName)
	if err == nil && name == "" {
		err = wrong("name", "A room needs a name.")
	}
	topic, topicErr := checkLine("topic", "topic", topic, MaxTopic)
	return name, topic, errors.Join(err, topicErr)
}

func nameTaken(name string) error {
	return &Error{Code: Taken, Field: "name", Message: fmt.Sprintf("There is a room called %s. Choose another name, or go there.", name)}
}

func (r *Rooms) freeSlug(ctx context.Context, name string) (string, error) {
	slug := Slug(name)
	taken, err := r.queries.SlugsLike(ctx, slug)
	if err != nil {
		return "", fmt.Errorf("look for a free address for room %s: %w", name, err)
	}
	free := slug
	for n := 2; slices.Contains(taken, free); n++ {
		free = fmt.Sprintf("%s-%d", slug, n)
	}
	return free, nil
}

// Join makes the user a member of the room; who is one already stays one.
func (r *Rooms) Join(ctx context.Context, roomID, userID uuid.UUID) error {
	err := briefly(ctx, r.pool, func(q *store.Queries) error {
		return q.AddMember(ctx, store.AddMemberParams{RoomID: roomID, UserID: userID})
	})
	if err != nil {
		return fmt.Errorf("join room %s: %w", roomID, err)
	}
	return nil
}

func room(r store.RoomBySlugRow) Room {
	return Room{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Topic: r.Topic, Everyone: r.Everyone, Archived: r.Archived, Member: r.Member,
		Kind: r.Kind, Owner: r.Owner, Starred: r.Starred, Notify: r.Notify, Other: r.Other, Stamp: r.Stamp, Members: int(r.Members), KeepDays: int(r.KeepDays), FirstSeq: r.FirstSeq, LastSeq: r.LastSeq, LastRev: r.LastRev, History: r.History, CreatedAt: r.CreatedAt,
		Read: r.LastReadSeq, Mentions: int(r.Mentions),
	}
}
