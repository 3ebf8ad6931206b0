package page_test

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

const script = `<script>alert("x")</script>`

func pages(t *testing.T) *page.Pages {
	t.Helper()
	p, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, data any) string {
	t.Helper()
	var out bytes.Buffer
	if err := pages(t).Render(&out, data); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEveryPageRendersAndShowsScriptsAsText(t *testing.T) {
	user := &chat.User{ID: uuid.New(), Name: script, Role: chat.RoleAdmin}
	room := chat.Room{ID: uuid.New(), Slug: "s", Name: script, Topic: script, Member: true, Members: 1}
	base := page.Base{User: user, Rooms: []chat.Room{room}, Notice: script}
	errs := map[string]string{"": script, "name": script, "password": script, "topic": script, "body": script, "id": script}
	message := chat.Message{ID: uuid.New(), Seq: 5, AuthorID: user.ID, Author: script, Body: script, CreatedAt: time.Now()}
	message.Extra = fmt.Appendf(nil, `{"reactions":[{"emoji":%[1]q,"count":3,"by":[%[1]q]}],"pinned":{"by":%[1]q}}`, script)
	archived, stranger := room, room
	archived.Archived, stranger.Member = true, false
	for name, data := range map[string]any{
		"sign-in":        page.SignIn{Name: script, Next: script, Errors: errs, SignupOpen: true},
		"sign-up":        page.SignUp{Name: script, Next: script, Errors: errs, Open: true},
		"first sign-up":  page.SignUp{Open: true, First: true},
		"closed sign-up": page.SignUp{},
		"rooms":          page.RoomList{Base: base},
		"no rooms":       page.RoomList{Base: page.Base{User: user}},
		"new room":       page.NewRoom{Base: base, Name: script, Topic: script, Errors: errs},
		"room":           page.Room{Base: base, Room: room, Messages: []chat.Message{message, message}, Older: true, Draft: script, Errors: errs, People: []page.Person{{Name: script}}},
		"empty room":     page.Room{Base: base, Room: room, Latest: true},
		"archived room":  page.Room{Base: base, Room: archived},
		"other's room":   page.Room{Base: base, Room: stranger},
		"settings":       page.Settings{Base: base, Room: room, May: true, Members: []chat.Member{{Name: script, Owner: true}}, Name: script, Topic: script, Names: script, Errors: errs},
		"pins":           page.Pins{Base: base, Room: room, Messages: []chat.Message{message}},
		"no pins":        page.Pins{Base: base, Room: room},
		"new direct":     page.NewDirect{Base: base, Query: script, People: []chat.Member{{Name: script}}, Errors: errs},
		"search":         page.Search{Base: base, Query: script, Asked: true, Next: script, Other: script, Zone: script, Found: chat.Found{Hits: []chat.Hit{{Message: message, Room: room}}, Rooms: []chat.Room{room}, People: []chat.Member{{Name: script}}, Words: []string{"script"}, Near: true, Unsearched: 3}},
		"wrong search":   page.Search{Base: base, Query: script, Asked: true, Errors: map[string]string{"q": script}},
		"no search":      page.Search{Base: base},
		"nobody":         page.NewDirect{Base: base, Query: script},
		"failure":        page.Failure{Status: 404, Title: script, Message: script, RequestID: script},
	} {
		html := render(t, data)
		if strings.Contains(html, "<script>alert") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
			t.Errorf("%s: a script stands in it, or it is cut short:\n%s", name, html)
		}
		if regexp.MustCompile(`<[^>]* (style|on[a-z]+)=`).MatchString(html) || strings.Contains(html, "<style") {
			t.Errorf("%s: it has an inline style or handler, which the policy forbids", name)
		}
	}
}

func TestMessagesAreGroupedByAuthorAndDay(t *testing.T) {
	a, b := uuid.New(), uuid.New()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(author uuid.UUID, after time.Duration) chat.Message {
		return chat.Message{ID: uuid.New(), AuthorID: author, Author: "x", Body: "x", CreatedAt: noon.Add(after)}
	}
	html := render(t, page.Room{Base: page.Base{User: &chat.User{Name: "x"}}, Messages: []chat.Message{
		at(a, 0), at(a, time.Minute), at(b, 2*time.Minute), at(b, 9*time.Minute), at(b, 24*time.Hour),
	}})
	if days, continued := strings.Count(html, `class="day"`), strings.Count(html, `class="message continues"`); days != 2 || continued != 1 {
		t.Errorf("%d days and %d continued messages, want 2 and 1", days, continued)
	}
}

var token = regexp.MustCompile(`--(\w[\w-]*): *light-dark\(oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\), oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)\)`)

func TestEveryPairOfTextAndGroundHasEnoughContrast(t *testing.T) {
	css, err := pages(t).Static.ReadFile("css/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	light, dark := map[string]float64{}, map[string]float64{}
	for _, m := range token.FindAllStringSubmatch(string(css), -1) {
		light[m[1]] = luminance(number(m[2])/100, number(m[3]), number(m[4]))
		dark[m[1]] = luminance(number(m[5])/100, number(m[6]), number(m[7]))
	}
	pairs := [][2]string{{"on-accent", "accent"}, {"warn", "warn-tint"}, {"ink", "mention"}, {"code-text", "side"}, {"on-warn", "warn"}, {"ink2", "mention"}, {"accent", "mention"}}
	for _, ground := range []string{"ground", "side", "raised", "tint"} {
		for _, ink := range []string{"ink", "ink2", "accent", "warn"} {
			pairs = append(pairs, [2]string{ink, ground})
		}
	}
	for _, p := range pairs {
		for scheme, colours := range map[string]map[string]float64{"light": light, "dark": dark} {
			a, okA := colours[p[0]]
			b, okB := colours[p[1]]
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); !okA || !okB || ratio < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f:1", scheme, p[0], p[1], ratio)
			}
		}
	}
	for hue := 0.0; hue < 360; hue += 30 { // faces: white on oklch(50% .1 hue)
		if ratio := 1.05 / (luminance(.5, .1, hue) + .05); ratio < 4.5 {
			t.Errorf("a face of hue %.0f has a contrast of %.2f:1", hue, ratio)
		}
	}
}

// luminance is WCAG's relative luminance of a colour in OKLCH (Björn Ottosson, "A perceptual color space", 2020).
func luminance(l, c, hue float64) float64 {
	a, b := c*math.Cos(hue*math.Pi/180), c*math.Sin(hue*math.Pi/180)
	cube := func(x float64) float64 { return x * x * x }
	long, medium, short := cube(l+.3963377774*a+.2158037573*b), cube(l-.1055613458*a-.0638541728*b), cube(l-.0894841775*a-1.2914855480*b)
	clip := func(x float64) float64 { return min(max(x, 0), 1) }
	red := clip(4.0767416621*long - 3.3077115913*medium + .2309699292*short)
	green := clip(-1.2684380046*long + 2.6097574011*medium - .3413193965*short)
	blue := clip(-.0041960863*long - .7034186147*medium + 1.7076147010*short)
	return .2126*red + .7152*green + .0722*blue
}

// BenchmarkMessages renders a message for the log.
//
//	go test -run '^$' -bench Messages ./internal/page
func BenchmarkMessages(b *testing.B) {
	p, err := page.New()
	if err != nil {
		b.Fatal(err)
	}
	message := chat.Message{ID: uuid.New(), Seq: 1234, AuthorID: uuid.New(), Author: "ada", CreatedAt: time.Now()}
	for name, body := range map[string]string{
		"plain": "a message of some sixty-four bytes, as chats have many of them ...", "link": "see https://www.postgresql.org/docs/current/sql-notify.html for more",
		"markup": "this is **important**, says @ada: run `make test` in #backend :tada:", "code": "```sql\nselect chat.post('general', 'ada', 'hello');\n```",
	} {
		message.Body = body
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Messages([]chat.Message{message})
			}
		})
	}
}
