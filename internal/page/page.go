// Package page makes HTML: whole pages, and the fragments that are swapped into them. Only it uses html/template.
// Fragments say nothing of who reads them, so that one serves every connection; what differs by reader is settled in
// the browser.
package page

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/web"
)

// Person is somebody as others see them.
type Person struct {
	UserID uuid.UUID
	Name   string
	Online bool
	Away   bool // and nobody uses any of their connections
	Status chat.Status
}

// Base is what every page has.
type Base struct {
	User   *chat.User           // nil: not signed in
	Rooms  []chat.Room          // for the sidebar
	People map[uuid.UUID]Person // how the user is, and those with whom they have a direct conversation
	Notice string               // one line above a form

	Announcements []chat.Announcement // that the reader has not dismissed
}

// SignIn is the sign-in page. Errors are by field; "" is the whole form.
type SignIn struct {
	Base
	Name, Next string
	Errors     map[string]string
	SignupOpen bool
}

// SignUp is the sign-up page; First makes the account the administrator's.
type SignUp struct {
	Base
	Name, Next  string
	Errors      map[string]string
	First, Open bool
}

// RoomList is the page of all rooms.
type RoomList struct{ Base }

// Listed is the rooms of the list: direct conversations are for who is in them only, and beside every page.
func (r RoomList) Listed() []chat.Room {
	return slices.DeleteFunc(slices.Clone(r.Rooms), func(room chat.Room) bool { return room.Kind == chat.Direct })
}

// NewRoom is the form that makes a room.
type NewRoom struct {
	Base
	Name, Topic string
	Private     bool
	Errors      map[string]string
}

// Settings is the page of what can be set for a room.
type Settings struct {
	Base
	Room    chat.Room
	May     bool // the user may rename it and the like
	Members []chat.Member
	// What was typed.
	Name, Topic, Names string
	KeepDays           string // "": for ever
	Errors             map[string]string
}

// NewDirect is the page on which people are chosen to write to.
type NewDirect struct {
	Base
	Query  string
	People []chat.Member
	Errors map[string]string
}

// Switcher is what the quick switcher chooses from.
type Switcher struct {
	Rooms  []chat.Room
	People []chat.Member
	More   bool // there are other people
}

// Room is the room page.
type Room struct {
	Base
	Room      chat.Room
	Messages  []chat.Message // oldest first
	Older     bool           // there are messages before them
	Latest    bool           // they are the newest; else the page looks back
	At        int64          // seq of the message that was asked for; 0: none
	Cursor    chat.Cursor    // what the page has; the WebSocket resumes there
	Pins      []int64        // seqs of the pinned messages
	People    []Person       // who is online
	May       bool           // the user may delete what others have said
	Address   string         // of the room, as told to other people
	Thread    *Thread        // beside the room; nil: none is open
	Answers   *chat.Message  // the message that the form will answer; nil: none
	Draft     string         // what was typed and could not be sent
	FileLimit int64          // bytes that a file may have
	PostID    uuid.UUID      // the id of the message that the form will post
	Errors    map[string]string

	Lines []chat.Line // what happened between the messages
}

// Failure is the page for what went wrong.
type Failure struct {
	Base
	Status                    int
	Title, Message, RequestID string
	Draft                     string // a message that was typed and could not be sent
	SignIn                    string // where to go after signing in, for who is not signed in
}

// Pages renders. It is safe for use by many goroutines.
type Pages struct {
	Static *web.Static
	pages  map[reflect.Type]*template.Template
	shared *template.Template
	markup *markup
}

// New parses the templates. The error is [web.ErrNoVendor] where the npm parts were not copied before the build.
func New() (*Pages, error) {
	static, err := web.NewStatic()
	if err != nil {
		return nil, err
	}
	p := &Pages{Static: static, pages: map[reflect.Type]*template.Template{}}
	emoji, err := static.ReadFile("vendor/emoji.json")
	if err != nil {
		return nil, fmt.Errorf("read the emoji: %w", err)
	}
	if p.markup, err = newMarkup(emoji); err != nil {
		return nil, err
	}
	p.shared, err = template.New("").Funcs(p.funcs()).Funcs(fileFuncs).ParseFS(web.Templates, "templates/layout.html", "templates/message/*.html", "templates/status/parts.html", "templates/room/lines.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	for name, data := range map[string]any{
		"search": Search{}, "pins": Pins{},
		"signin": SignIn{}, "signup": SignUp{}, "rooms": RoomList{}, "newroom": NewRoom{}, "room": Room{}, "settings": Settings{}, "newdirect": NewDirect{}, "failure": Failure{}, "status": Status{},
	} {
		t, err := p.shared.Clone()
		if err == nil {
			t, err = t.ParseFS(web.Templates, "templates/"+name+"/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("parse the page %s: %w", name, err)
		}
		p.pages[reflect.TypeOf(data)] = t
	}
	return p, nil
}

// Render writes the page that the type of data calls for. Nothing is written where it fails.
func (p *Pages) Render(w io.Writer, data any) error {
	t := p.pages[reflect.TypeOf(data)]
	if t == nil {
		return fmt.Errorf("there is no page for %T", data)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, "page", data); err != nil {
		return fmt.Errorf("render %T: %w", data, err)
	}
	_, err := out.WriteTo(w)
	return err
}

// Messages is the fragment that is appended to the log.
func (p *Pages) Messages(messages []chat.Message) []byte {
	return p.fragment("messages", plain(messages, 0))
}

// People is the inside of the list of people.
func (p *Pages) People(people []Person) []byte { return p.fragment("people", people) }

// Announcements is the inside of the place for what is announced.
func (p *Pages) Announcements(list []chat.Announcement) []byte {
	return p.fragment("announced", list)
}

// Window is the fragment with some of a room's messages: a link to what is older still, if there is, the notice, if there
// is, and the messages, that which was asked for marked.
func (p *Pages) Window(r Room) []byte {
	return slices.Concat(p.fragment("older", older(r)), p.fragment("log-notice", r.Notice), p.fragment("messages", plain(r.Messages, r.At)), p.fragment("lines", r.Lines))
}

// Sidebar is the list of rooms.
func (p *Pages) Sidebar(b Base) []byte { return p.fragment("rooms", newSidebar(b, "")) }

// Switcher is the inside of the quick switcher.
func (p *Pages) Switcher(s Switcher) []byte { return p.fragment("switcher", s) }

// View is the part of the room page that differs from room to room.
func (p *Pages) View(r Room) ([]byte, error) {
	var out bytes.Buffer
	if err := p.pages[reflect.TypeOf(r)].ExecuteTemplate(&out, "view", r); err != nil {
		return nil, fmt.Errorf("render the view of room %s: %w", r.Room.Slug, err)
	}
	return out.Bytes(), nil
}

func (p *Pages) fragment(name string, data any) []byte {
	var out bytes.Buffer
	if err := p.shared.ExecuteTemplate(&out, name, data); err != nil {
		panic(err) // the templates are tested with all that they may be given
	}
	return out.Bytes()
}

func (p *Pages) funcs() template.FuncMap {
	return template.FuncMap{
		"snippet":  snippet,
		"asset":    p.asset,
		"icon":     p.icon,
		"hue":      func(id uuid.UUID) int { return int(id[15]) % 12 },
		"initials": initials,
		"marked":   p.markup.html,
		"reactors": reactors,
		"acts":     acts,
		"source":   source,
		"long":     long,
		"cut":      p.markup.cut,
		"beside":   p.beside,
		"field":    newField,
		"found":    found,
		"grouped":  grouped,
		"unread":   unreadFrom,
		"next":     func(seq int64) int64 { return seq + 1 },
		"author":   func(m shownMessage) Person { return Person{UserID: m.AuthorID, Name: m.Author} },
		"by":       func(m chat.Message) Person { return Person{UserID: m.AuthorID, Name: m.Author} },
		"replier":  func(r chat.Replier) Person { return Person{UserID: r.ID, Name: r.Name} },
		"member":   func(m chat.Member) Person { return Person{UserID: m.ID, Name: m.Name} },
		"other":    func(r chat.Room) Person { return Person{UserID: r.Other, Name: r.Name} },
		"title":    roomTitle,
		"says":     says,
		"state":    state,
		"about":    about,
		"me":       func(b Base) Person { return b.person() },
		"ends":     Ends,
		"between":  between,
		"trailing": trailing,
		"words":    chat.Line.Words,
		"quick":    QuickStatuses,
		"person":   func(u *chat.User) Person { return Person{UserID: u.ID, Name: u.Name} },
		"side":     newSidebar,
		"own": func(u *chat.User) shownMessage {
			return shownMessage{Message: chat.Message{AuthorID: u.ID, Author: u.Name, Body: "…"}}
		},
		"older":  older,
		"prior":  func(seq int64) int64 { return seq - 1 },
		"format": func() []formatButton { return formatButtons },
		"last": func(messages []chat.Message) int64 {
			if len(messages) == 0 {
				return 0
			}
			return messages[len(messages)-1].Seq
		},
	}
}

// formatButton writes Markdown for those who do not know it; writing.js acts.
type formatButton struct{ Act, Label, Icon, Keys string }

var formatButtons = []formatButton{
	{"bold", "Bold", "bold", "Ctrl+B"},
	{"italic", "Italic", "italic", "Ctrl+I"},
	{"strike", "Struck", "strikethrough", "Ctrl+Shift+X"},
	{"code", "Code", "code", "Ctrl+E"},
	{"block", "Block of code", "square-code", ""},
	{"link", "Link", "link", ""},
	{"quote", "Quote", "text-quote", "Ctrl+Shift+9"},
	{"list", "List", "list", "Ctrl+Shift+8"},
	{"numbers", "Numbered list", "list-ordered", "Ctrl+Shift+7"},
}

// roomTitle is the room as it is named in text.
func roomTitle(r chat.Room) string {
	if r.Kind == chat.Public {
		return "#" + r.Name
	}
	return r.Name
}

// field is an input with what stands below it.
type field struct{ Name, Error, Hint string }

func newField(name string, errors map[string]string, hint string) field {
	return field{Name: name, Error: errors[name], Hint: hint}
}

func (p *Pages) asset(name string) (string, error) { return p.Static.URL(name) }

// svgComment is lucide's licence line, kept in the file that is served, not in every use.
var svgComment = regexp.MustCompile(`(?s)<!--.*?-->`)

func (p *Pages) icon(name string) (template.HTML, error) {
	svg, err := p.Static.ReadFile("vendor/icons/" + name + ".svg")
	if err != nil {
		return "", fmt.Errorf("icon %s: %w", name, err)
	}
	text := strings.Replace(svgComment.ReplaceAllString(string(svg), ""), "<svg", `<svg aria-hidden="true"`, 1)
	text = strings.ReplaceAll(text, `stroke-width="2"`, `stroke-width="1.5"`)
	return template.HTML(strings.TrimSpace(text)), nil //nolint:gosec // a file of ours
}

func initials(name string) string {
	var letters []rune
	start := true
	for _, r := range name {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if letter && start && len(letters) < 2 {
			letters = append(letters, unicode.ToUpper(r))
		}
		start = !letter
	}
	if len(letters) == 0 {
		return "?"
	}
	return string(letters)
}
