package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgchat/pgchat/internal/store"
)

const (
	foundOnPage  = 20
	rankedAtOnce = 80 // of so many of the newest messages that were found, the best come first
	searchWithin = 12 * time.Millisecond
	namesAtOnce  = 5 // rooms, and people
)

// windowWithin is how long the next page of the same messages may take. They were found within searchWithin before: only where everything
// has come to a standstill are they not, and then it is said, since other messages would be in another order.
var windowWithin = 2 * time.Second

// Search finds messages, rooms and people.
type Search struct{ queries *store.Queries }

// NewSearch searches through pool.
func NewSearch(pool *pgxpool.Pool) *Search { return &Search{queries: store.New(pool)} }

// Order is how messages that were found are ordered.
type Order string

// Orders.
const (
	BestFirst   Order = ""       // among the newest 80 those that fit best, then among the next 80
	NewestFirst Order = "newest" // by time alone
)

// Hit is a message that was found.
type Hit struct {
	Message
	Room Room // its id, slug, name, kind and other alone
}

// Found is a page of what was found.
type Found struct {
	Hits       []Hit
	Rooms      []Room   // called like what was typed; on the first page
	People     []Member // so too
	Words      []string // the words that were looked for and what stands for them, in lower case
	Near       bool     // nothing has the words themselves: what was found has words that are like them
	Next       string   // the place of the next page; "": this is the last one
	More       bool     // with no hits: there may be some beyond Next, older than what was looked through
	Unsearched int64    // so many new messages could not be looked at: they are not in the index yet
}

// Find returns the page at a place, "" being the first one, of the messages that the user may see and that have all of the query. The
// error may be an [Error] of code Invalid about the field "q", or about none where the place is wrong, or of code Unavailable.
func (s *Search) Find(ctx context.Context, user User, q Query, order Order, at string) (found Found, err error) {
	place, err := parsePlace(at)
	if err != nil {
		return Found{}, err
	}
	arg, err := s.who(ctx, user, q)
	if err != nil {
		return Found{}, err
	}
	arg.FromAt, arg.FromRoom, arg.FromSeq = place.at, place.room, place.seq
	arg.Most = rankedAtOnce
	if order == NewestFirst {
		arg.Most = foundOnPage
	}
	if place.window > 0 { // the same messages as on the pages of this window before
		arg.Most, arg.BudgetMs = int32(place.window), float64(windowWithin.Milliseconds()) //nolint:gosec // at most rankedAtOnce
	}
	var called Found // rooms and people, found meanwhile
	var names errgroup.Group
	if at == "" {
		names.Go(func() error { return s.names(ctx, user, q, &called) })
	}
	defer func() {
		if namesErr := names.Wait(); err == nil {
			err = namesErr
		}
		found.Rooms, found.People = called.Rooms, called.People
	}()
	row, err := s.look(ctx, q, arg, place.near, &found)
	if err == nil && len(row.Seqs) == 0 && row.Reached == "" && len(q.Words) > 0 && at == "" {
		place.near = true
		row, err = s.look(ctx, q, arg, true, &found)
	}
	if err != nil {
		return Found{}, err
	}
	if len(row.Seqs) < place.window && row.Reached != "" {
		return Found{}, Errorf(Unavailable, "The search takes longer than it should just now. Try again in a moment.")
	}
	found.Near, found.Unsearched = place.near && len(row.Seqs) > 0, row.Unsearched

	hits := make([]int, len(row.Seqs)) // indexes of row's, by order
	for i := range hits {
		hits[i] = i
	}
	if order == BestFirst {
		slices.SortStableFunc(hits, func(a, b int) int { return cmp.Compare(row.Ranks[b], row.Ranks[a]) })
	}
	begin := min(place.page*foundOnPage, len(hits))
	end := min(begin+foundOnPage, len(hits))
	switch {
	case end < len(hits):
		next := place
		next.page++
		next.window = len(hits)
		if next.at == nil { // of the first page's messages the newest, since newer ones may come
			newest, err := s.queries.FoundMessages(ctx, store.FoundMessagesParams{Reader: user.ID, RoomIds: row.RoomIds[:1], Seqs: row.Seqs[:1]})
			if err != nil {
				return Found{}, fmt.Errorf("search: read the newest message: %w", err)
			}
			if len(newest) > 0 {
				below := newest[0].Seq + 1
				next.at, next.room, next.seq = &newest[0].CreatedAt, &newest[0].RoomID, &below
			}
		}
		found.Next = next.String()
	case row.Reached != "":
		found.Next = row.Reached + ".0.0"
		if place.near {
			found.Next += ".near"
		}
	}
	found.More = len(hits) == 0 && found.Next != ""
	shown := store.FoundMessagesParams{Reader: user.ID, RoomIds: []uuid.UUID{}, Seqs: []int64{}}
	for _, i := range hits[begin:end] {
		shown.RoomIds, shown.Seqs = append(shown.RoomIds, row.RoomIds[i]), append(shown.Seqs, row.Seqs[i])
	}
	rows, err := s.queries.FoundMessages(ctx, shown)
	if err != nil {
		return Found{}, fmt.Errorf("search: read %d messages: %w", len(shown.Seqs), err)
	}
	for _, r := range rows {
		found.Hits = append(found.Hits, Hit{
			Message: Message{RoomID: r.RoomID, Seq: r.Seq, ID: r.ID, AuthorID: r.AuthorID, Author: r.Author, Body: r.Body, CreatedAt: r.CreatedAt, Rev: r.Rev, EditedAt: r.EditedAt, Extra: r.Extra},
			Room:    Room{ID: r.RoomID, Slug: r.Slug, Name: r.Room, Kind: r.Kind, Other: r.Other},
		})
	}
	return found, nil
}

// who finds out whom and which rooms the query means.
func (s *Search) who(ctx context.Context, user User, q Query) (store.SearchMessagesParams, error) {
	arg := store.SearchMessagesParams{
		Reader: user.ID, Phrases: []string{}, InRooms: []uuid.UUID{}, Authors: []uuid.UUID{}, Has: append([]string{}, q.Has...),
		BudgetMs: float64(searchWithin.Milliseconds()),
	}
	var wrongs error
	for _, name := range q.From {
		if strings.EqualFold(name, "me") {
			arg.Authors = append(arg.Authors, user.ID)
			continue
		}
		author, err := s.queries.UserByName(ctx, name)
		if errors.Is(err, pgx.ErrNoRows) {
			wrongs = errors.Join(wrongs, wrong("q", "There is nobody called “%s”: from: takes a user's name, or me.", name))
		} else if err != nil {
			return arg, fmt.Errorf("search: find the author %s: %w", name, err)
		}
		arg.Authors = append(arg.Authors, author.ID)
	}
	for _, name := range q.In {
		rooms, err := s.queries.RoomsCalled(ctx, store.RoomsCalledParams{Reader: user.ID, Name: name})
		if err != nil {
			return arg, fmt.Errorf("search: find the room %s: %w", name, err)
		}
		if len(rooms) == 0 {
			wrongs = errors.Join(wrongs, wrong("q", "There is no room called “%s” that you may see, and no direct conversation with somebody of that name.", name))
		}
		arg.InRooms = append(arg.InRooms, rooms...)
	}
	if !q.Since.IsZero() {
		arg.Since = &q.Since
	}
	if !q.Until.IsZero() {
		arg.Until = &q.Until
	}
	for _, phrase := range q.Phrases {
		arg.Phrases = append(arg.Phrases, phrasePattern(phrase))
	}
	return arg, wrongs
}

// look searches once, near: for words that are like those of the query as well.
func (s *Search) look(ctx context.Context, q Query, arg store.SearchMessagesParams, near bool, found *Found) (store.SearchMessagesRow, error) {
	forms, err := s.queries.SearchForms(ctx, store.SearchFormsParams{
		Words: append([]string{}, q.Words...), Near: near, Exact: strings.Join(q.Phrases, " "), Without: append([]string{}, q.Without...),
	})
	if err != nil {
		return store.SearchMessagesRow{}, fmt.Errorf("search: look for words: %w", err)
	}
	found.Words = nil
	for _, f := range forms.Forms {
		found.Words = append(found.Words, strings.Fields(f)...)
	}
	arg.Forms, arg.Without = forms.Forms, forms.Without
	if len(forms.Forms) == 0 && len(q.Words)+len(q.Phrases) > 0 {
		return store.SearchMessagesRow{}, wrong("q", "There is no letter and no digit in it: words are searched for.")
	}
	row, err := s.queries.SearchMessages(ctx, arg)
	if err != nil {
		return row, fmt.Errorf("search messages: %w", err)
	}
	return row, nil
}

// names finds the rooms and people that are called like what was typed.
func (s *Search) names(ctx context.Context, user User, q Query, found *Found) error {
	part := strings.TrimLeft(q.Text(), "#@")
	if part == "" {
		return nil
	}
	rooms, err := s.queries.FoundRooms(ctx, store.FoundRoomsParams{Reader: user.ID, Part: part, MaxRows: namesAtOnce})
	if err != nil {
		return fmt.Errorf("search rooms: %w", err)
	}
	for _, r := range rooms {
		found.Rooms = append(found.Rooms, Room{ID: r.ID, Slug: r.Slug, Name: r.Name, Topic: r.Topic, Kind: r.Kind, Archived: r.Archived, Member: r.Member, Other: r.ID})
	}
	people, err := s.queries.FoundPeople(ctx, store.FoundPeopleParams{Part: part, MaxRows: namesAtOnce})
	if err != nil {
		return fmt.Errorf("search people: %w", err)
	}
	for _, p := range people {
		found.People = append(found.People, Member{ID: p.ID, Name: p.Name})
	}
	return nil
}

// searchPlace is where a page begins: below a message, page pages on in a window of so many messages, 0: of as many as there are in time;
// near, where words alike are searched for.
type searchPlace struct {
	at           *time.Time
	room         *uuid.UUID
	seq          *int64
	page, window int
	near         bool
}

func (p searchPlace) String() string {
	text := fmt.Sprintf("%d.%s.%d.%d.%d", p.at.UnixMicro(), p.room, *p.seq, p.page, p.window)
	if p.near {
		text += ".near"
	}
	return text
}

func parsePlace(text string) (searchPlace, error) {
	var p searchPlace
	if text == "" {
		return p, nil
	}
	text, p.near = strings.CutSuffix(text, ".near")
	parts := strings.Split(text, ".")
	if len(parts) == 5 {
		at, err1 := strconv.ParseInt(parts[0], 10, 64)
		room, err2 := uuid.Parse(parts[1])
		seq, err3 := strconv.ParseInt(parts[2], 10, 64)
		page, err4 := strconv.Atoi(parts[3])
		window, err5 := strconv.Atoi(parts[4])
		if errors.Join(err1, err2, err3, err4, err5) == nil && page >= 0 && page < rankedAtOnce && window >= 0 && window <= rankedAtOnce && at > -1<<53 && at < 1<<53 {
			t := time.UnixMicro(at)
			p.at, p.room, p.seq, p.page, p.window = &t, &room, &seq, page, window
			return p, nil
		}
	}
	return p, Errorf(Invalid, "%q is not a place in what was found: it comes from a page's link to older messages.", text)
}
