package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/store"
)

// MaxDirect is the most people that a direct conversation has, the user among them.
const MaxDirect = 9

// Member is somebody in a room.
type Member struct {
	ID    uuid.UUID
	Name  string
	Owner bool
}

// May reports whether the user may rename, archive and restore the room, and put people out of it: its owners may, and
// administrators who may see it.
func (r Room) May(user User) bool { return r.Kind != Direct && (r.Owner || user.Admin()) }

var errNotOwner = Errorf(Forbidden, "Only the room's owners and administrators may do that.")

// Direct returns the direct conversation of the user and these people, which begins with this where there was none. Without
// others it is the user's own, for notes.
func (r *Rooms) Direct(ctx context.Context, user User, others ...uuid.UUID) (Room, error) {
	people := append([]uuid.UUID{user.ID}, others...)
	slices.SortFunc(people, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	people = slices.Compact(people)
	if len(people) > MaxDirect {
		return Room{}, &Error{Code: Invalid, Field: "user", Message: fmt.Sprintf("A direct conversation has at most %d people. Make a private room for more.", MaxDirect)}
	}
	slug, err := r.queries.AddDirect(ctx, store.AddDirectParams{People: people, UserID: &user.ID})
	if errors.Is(err, pgx.ErrNoRows) {
		return Room{}, &Error{Code: NotFound, Field: "user", Message: "Somebody of these people is not here any more."}
	}
	if err != nil {
		return Room{}, fmt.Errorf("begin a direct conversation: %w", err)
	}
	return r.BySlug(ctx, user.ID, slug)
}

// Update gives the room another name and topic; its address stays. The error may be an [Error] of code Forbidden, or of Invalid or
// Taken about the field "name" or "topic".
func (r *Rooms) Update(ctx context.Context, user User, room Room, name, topic string) error {
	if !room.May(user) {
		return errNotOwner
	}
	name, topic, err := checkRoom(name, topic)
	if err != nil {
		return err
	}
	err = briefly(ctx, r.pool, func(q *store.Queries) error {
		return q.UpdateRoom(ctx, store.UpdateRoomParams{Actor: user.ID, ID: room.ID, Name: name, Topic: topic})
	})
	if constraint(err) == "rooms_name_key" {
		return nameTaken(name)
	}
	if err != nil {
		return fmt.Errorf("rename room %s: %w", room.ID, err)
	}
	return nil
}

// Archive closes the room for posting, or with archived false opens it again.
func (r *Rooms) Archive(ctx context.Context, user User, room Room, archived bool) error {
	if !room.May(user) {
		return errNotOwner
	}
	err := briefly(ctx, r.pool, func(q *store.Queries) error {
		return q.ArchiveRoom(ctx, store.ArchiveRoomParams{Actor: user.ID, ID: room.ID, Archived: archived})
	})
	if err != nil {
		return fmt.Errorf("archive room %s: %w", room.ID, err)
	}
	return nil
}

// MembersOf returns who is a member of the room, by name.
func (r *Rooms) MembersOf(ctx context.Context, roomID uuid.UUID) ([]Member, error) {
	rows, err := r.queries.MembersOf(ctx, roomID)
	if err != nil {
		return nil, fmt.Errorf("read the members of room %s: %w", roomID, err)
	}
	members := make([]Member, 0, len(rows))
	for _, m := range rows {
		members = append(members, Member{ID: m.ID, Name: m.Name, Owner: m.Role == "owner"})
	}
	return members, nil
}

// Invite has the user make those of these names members of the room, all or none of them; every member may. names are separated by
// white space or commas, each with or without a leading "@". The error may be an [Error] about the field "names".
func (r *Rooms) Invite(ctx context.Context, user User, room Room, names string) error {
	wanted := strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ';' })
	for i, name := range wanted {
		wanted[i] = strings.TrimPrefix(name, "@")
	}
	switch {
	case room.Kind == Direct:
		return Errorf(Forbidden, "Nobody joins a direct conversation. Begin one with all who are to be in it, or make a private room.")
	case !room.Member:
		return Errorf(Forbidden, "Only members of #%s may add people to it.", room.Name)
	case room.Archived:
		return Errorf(Forbidden, "#%s is archived: nobody can join it.", room.Name)
	case len(wanted) == 0:
		return wrong("names", "Say who is to be added.")
	case strings.ContainsRune(names, 0):
		return wrong("names", "A name has no NUL character.")
	}
	var refused []store.AddMembersRow
	err := briefly(ctx, r.pool, func(q *store.Queries) (err error) {
		refused, err = q.AddMembers(ctx, store.AddMembersParams{Actor: user.ID, RoomID: room.ID, Names: wanted})
		return err
	})
	if err != nil {
		return fmt.Errorf("add people to room %s: %w", room.ID, err)
	}
	var unknown, banned []string
	for _, one := range refused {
		if one.Banned {
			banned = append(banned, one.Name)
		} else {
			unknown = append(unknown, one.Name)
		}
	}
	switch {
	case len(unknown) > 0:
		return &Error{Code: NotFound, Field: "names", Message: "Nobody was added, since there is no user called " + strings.Join(unknown, ", ") + "."}
	case len(banned) > 0:
		return &Error{Code: Forbidden, Field: "names", Message: "Nobody was added, since from this room are banned: " + strings.Join(banned, ", ") + "."}
	}
	return nil
}

// Leave ends the user's own membership. The error may be an [Error] of code Forbidden.
func (r *Rooms) Leave(ctx context.Context, user User, room Room) error {
	return r.Remove(ctx, user, room, user.ID)
}

// Remove ends somebody's membership: one's own, or as an owner that of others.
func (r *Rooms) Remove(ctx context.Context, user User, room Room, memberID uuid.UUID) error {
	switch {
	case room.Everyone:
		return Errorf(Forbidden, "Everybody belongs to #%s. You can mute it.", room.Name)
	case room.Kind == Direct:
		return Errorf(Forbidden, "Nobody leaves a direct conversation. You can mute it.")
	case memberID != user.ID && !room.May(user):
		return errNotOwner
	}
	var n int64
	err := briefly(ctx, r.pool, func(q *store.Queries) (err error) {
		n, err = q.RemoveMember(ctx, store.RemoveMemberParams{Actor: user.ID, RoomID: room.ID, UserID: memberID})
		return err
	})
	if err != nil {
		return fmt.Errorf("remove a member from room %s: %w", room.ID, err)
	}
	if n == 0 {
		return Errorf(NotFound, "That is no member of #%s.", room.Name)
	}
	return nil
}

// SetOwner makes a member an owner, or an owner a member.
func (r *Rooms) SetOwner(ctx context.Context, user User, room Room, memberID uuid.UUID, owner bool) error {
	if !room.May(user) {
		return errNotOwner
	}
	role := RoleMember
	if owner {
		role = "owner"
	}
	var n int64
	err := briefly(ctx, r.pool, func(q *store.Queries) (err error) {
		n, err = q.SetMemberRole(ctx, store.SetMemberRoleParams{Actor: user.ID, RoomID: room.ID, UserID: memberID, Role: role})
		return err
	})
	if err != nil {
		return fmt.Errorf("set the role of a member of room %s: %w", room.ID, err)
	}
	if n > 0 {
		return nil
	}
	members, err := r.MembersOf(ctx, room.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(members, func(m Member) bool { return m.ID == memberID }) {
		return Errorf(Forbidden, "#%s would have no owner. Make somebody else one first.", room.Name)
	}
	return Errorf(NotFound, "That is no member of #%s.", room.Name)
}

// Hidden returns, of users and rooms at the same index, the indexes of those where the user may not see the room, and whether that is
// for a ban.
func (r *Rooms) Hidden(ctx context.Context, userIDs, roomIDs []uuid.UUID) (map[int]bool, error) {
	rows, err := r.queries.HiddenRooms(ctx, store.HiddenRoomsParams{UserIds: userIDs, RoomIds: roomIDs})
	if err != nil {
		return nil, fmt.Errorf("look who may see %d rooms: %w", len(roomIDs), err)
	}
	hidden := make(map[int]bool, len(rows))
	for _, row := range rows {
		hidden[int(row.N)-1] = row.Banned || hidden[int(row.N)-1]
	}
	return hidden, nil
}

// Prefer stores how the user wants to have the room.
func (r *Rooms) Prefer(ctx context.Context, userID, roomID uuid.UUID, starred bool, notify string) error {
	if notify != NotifyAll && notify != NotifyMentions && notify != NotifyNothing {
		return wrong("notify", "One can be notified of all messages, of mentions, or of nothing.")
	}
	if err := r.queries.SetPreferences(ctx, store.SetPreferencesParams{RoomID: roomID, UserID: userID, Starred: starred, Notify: notify}); err != nil {
		return fmt.Errorf("store preferences for room %s: %w", roomID, err)
	}
	return nil
}

// Find returns at most limit users whose names hold the text, those that begin with it first.
func (p *People) Find(ctx context.Context, part string, limit int) ([]Member, error) {
	if strings.ContainsRune(part, 0) {
		return nil, nil
	}
	rows, err := p.queries.Users(ctx, store.UsersParams{Part: part, MaxRows: int32(min(limit, 1000))}) //nolint:gosec // bounded
	if err != nil {
		return nil, fmt.Errorf("look for users: %w", err)
	}
	found := make([]Member, 0, len(rows))
	for _, u := range rows {
		found = append(found, Member{ID: u.ID, Name: u.Name})
	}
	return found, nil
}

// Called returns at most limit users whose names begin with the text, then those that hold it; of a text of one or two characters,
// the former only. Unlike Find it takes the same short time whatever the number of users.
func (p *People) Called(ctx context.Context, part string, limit int) ([]Member, error) {
	if strings.ContainsRune(part, 0) {
		return nil, nil
	}
	rows, err := p.queries.UsersCalled(ctx, store.UsersCalledParams{Part: part, MaxRows: int32(min(limit, 1000))}) //nolint:gosec // bounded
	if err != nil {
		return nil, fmt.Errorf("look for users by name: %w", err)
	}
	found := make([]Member, 0, len(rows))
	for _, u := range rows {
		found = append(found, Member{ID: u.ID, Name: u.Name})
	}
	return found, nil
}

// Addressable returns at most limit users whose names hold the text, the room's members first.
func (p *People) Addressable(ctx context.Context, roomID uuid.UUID, part string, limit int) ([]Addressee, error) {
	if strings.ContainsRune(part, 0) {
		return nil, nil
	}
	rows, err := p.queries.Addressable(ctx, store.AddressableParams{RoomID: roomID, Part: part, MaxRows: int32(min(limit, 1000))}) //nolint:gosec // bounded
	if err != nil {
		return nil, fmt.Errorf("look for whom to address: %w", err)
	}
	found := make([]Addressee, 0, len(rows))
	for _, u := range rows {
		found = append(found, Addressee{Name: u.Name, Member: u.Member})
	}
	return found, nil
}

// Addressee is somebody whom a message may address. Those who are not Members of its room are not told.
type Addressee struct {
	Name   string
	Member bool
}
