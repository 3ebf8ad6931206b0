package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// look is a way in which a page is looked at.
type look struct {
	width  int64
	scheme string
}

var looks = []look{{1280, "light"}, {1280, "dark"}, {390, "light"}, {390, "dark"}}

// as has the browser look so.
func (b *browser) as(l look) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(l.width, 800), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			// Without motion nothing is caught half-way from one scheme to the other.
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	})
}

// accessible fails where axe-core finds something serious or critical on the page.
func (b *browser) accessible(what string) {
	b.t.Helper()
	axe, err := os.ReadFile("../../web/node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("make web fetches what the tests need from npm: %v", err)
	}
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("(() => {"+string(axe)+"; return true; })()")); err != nil {
		b.t.Fatal(err)
	}
	b.until(`(() => { window.axeFound = null; axe.run(document, { resultTypes: ["violations"] }).then((r) => { window.axeFound = r.violations; }); return true; })()`)
	b.until(`window.axeFound`)
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`JSON.stringify(window.axeFound)`))
	if err != nil {
		b.t.Fatal(err)
	}
	var found []struct {
		ID, Impact, Help string
		Nodes            []struct {
			HTML, FailureSummary string
		}
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s (%s): %s; %d places, such as %s: %s", what, v.ID, v.Impact, v.Help, len(v.Nodes), v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
		}
	}
}

// signIn signs in to an account of the demo.
func (b *browser) signIn(address, name string) {
	b.t.Helper()
	b.enter(address+"/sign-in", name, "pgchat demo")
}

// TestEveryPageOfTheDemo looks at each main page of a filled chat, wide and narrow, light and dark: anybody can use it, it is
// no wider than the screen, and with PGCHAT_PICTURES the folder of that name holds what it looks like (make screenshots).
func TestEveryPageOfTheDemo(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	fillDemo := func() (string, error) {
		c := osexec.Command(bin, "demo")
		c.Env = append(os.Environ(), "DATABASE_URL="+url)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := fillDemo(); err != nil || !strings.Contains(out, "sign in as ada") {
		t.Fatalf("pgchat demo: %v: %s", err, out)
	}
	if out, err := fillDemo(); err == nil || !strings.Contains(out, "accounts already") {
		t.Errorf("pgchat demo, again: %v: %s", err, out)
	}
	site := serve(t, bin, url, "127.0.0.1:0")
	for _, name := range []string{"bob", "carol", "dave", "frank"} {
		b := openBrowser(t)
		b.signIn(site.address, name)
	}
	stranger := openBrowser(t)
	ada := openBrowser(t)
	ada.signIn(site.address, "ada")
	lookAt(t, site, []lookedAt{
		{name: "sign-in", path: "/sign-in", by: stranger, ready: `document.querySelector("#password")`},
		{name: "sign-up", path: "/sign-up", by: stranger, ready: `document.querySelector("#password")`},
		{name: "room", path: "/rooms/backend", by: ada, ready: `document.querySelector("#state.live") && document.querySelectorAll("#people li").length > 0`},
		{name: "general", path: "/rooms/general", by: ada, ready: `document.querySelector("#state.live") && document.querySelectorAll("#people li").length === 5`},
		{name: "files", path: "/rooms/design?at=4", by: ada, ready: `document.querySelector("#state.live") && document.querySelector(".picture img")?.naturalWidth`},
		{name: "switcher", path: "/rooms/design", by: ada, ready: `document.querySelector("#state.live")`, open: `document.querySelector(".open-switcher").click() || document.querySelector("#switcher[open] [aria-selected=true]")`},
		{name: "shortcuts", path: "/rooms/design", by: ada, ready: `document.querySelector("#state.live")`, open: `document.querySelector("#shortcuts").showModal() || true`},
		{name: "thread", path: "/rooms/backend", by: ada, ready: `document.querySelector("#state.live")`, open: `(document.body.dataset.asked ??= [...document.querySelectorAll("#messages .thread-link")].at(-1).click() ?? "once") && document.querySelector("#thread-panel .thread-replies .message")`},
		{name: "rooms", path: "/rooms", by: ada, ready: `document.querySelector(".room-cards li")`},
		{name: "new-room", path: "/rooms/new", by: ada, ready: `document.querySelector("#name")`},
		{name: "settings", path: "/rooms/hiring/settings", by: ada, ready: `document.querySelector("h1")`},
		{name: "new-direct", path: "/direct/new", by: ada, ready: `document.querySelector("h1")`},
		{name: "search", path: "/search?q=deploy", by: ada, ready: `document.querySelector(".hits li")`},
		{name: "search-help", path: "/search", by: ada, ready: `document.querySelector(".how")`},
		{name: "pins", path: "/rooms/general/pins", by: ada, ready: `document.querySelectorAll(".pin-list li").length === 2`},
		{name: "status", path: "/status", by: ada, ready: `document.querySelector("#status-text")`},
		{name: "direct", path: "/rooms/backend", by: ada, ready: `document.querySelector("#state.live")`, open: `document.querySelector("#view .bar h1 .face") ? document.querySelector("#state.live") : void document.querySelector('#rooms [data-kind=direct][data-name^="bob"] a').click()`},
		{name: "other-room", path: "/rooms/waffles", by: ada, ready: `document.querySelector("#state.live") && document.querySelector("form.closed")`},
		{name: "archived-room", path: "/rooms/summer-sale", by: ada, ready: `document.querySelector("#state.live") && document.querySelector("p.closed")`},
		{name: "not-found", path: "/rooms/nowhere", by: ada, ready: `document.querySelector("h1")`},
	})
}

// lookedAt is a page, or a state of one, that is looked at.
type lookedAt struct {
	name, path string
	by         *browser
	ready      string // true when all that belongs to the page is there
	open       string // does what is looked at
}

// lookAt looks at each page in all ways.
func lookAt(t *testing.T, site *instance, pages []lookedAt) {
	t.Helper()
	for _, p := range pages {
		p.by.as(looks[0])
		p.by.do(chromedp.Navigate(site.address + p.path))
		p.by.until("%s", p.ready)
		if p.open != "" {
			p.by.until("%s", p.open)
		}
		for _, l := range looks {
			what := fmt.Sprintf("%s-%d-%s", p.name, l.width, l.scheme)
			p.by.as(l)
			p.by.until(`document.documentElement.scrollWidth <= innerWidth`)
			p.by.accessible(what)
			p.by.picture(what)
		}
	}
}

// submits sends a form with these fields, once, and is true when the page has come of which answered is true.
func submits(answered, action string, fields ...string) string {
	inputs := ""
	for i := 0; i < len(fields); i += 2 {
		inputs += fmt.Sprintf(`<textarea name="%s">%s</textarea>`, fields[i], fields[i+1])
	}
	return fmt.Sprintf(`%[1]s || (sessionStorage[%[2]q] ??= (() => {
		const form = document.createElement("form");
		form.method = "post"; form.action = %[2]q; form.innerHTML = %[3]q;
		document.body.append(form);
		HTMLFormElement.prototype.submit.call(form);
		return "once";
	})(), false)`, answered, action, inputs)
}

// TestEveryPageOfAnEmptyChat looks likewise at what somebody sees who is the first, where there is nothing, and when something went wrong.
func TestEveryPageOfAnEmptyChat(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	site, db := serve(t, bin, url, "127.0.0.1:0"), pool(t, url)
	closed := serve(t, bin, url, "127.0.0.1:0", "--signup", "closed")
	stranger := openBrowser(t)
	lookAt(t, site, []lookedAt{
		{name: "first-run", path: "/", by: stranger, ready: `document.querySelector("h1").textContent === "Welcome to pgchat"`},
		{name: "sign-up-errors", path: "/sign-up", by: stranger, ready: `document.querySelector("#password")`, open: `document.querySelectorAll(".field-error").length === 2 || (sessionStorage["/sign-up"] ??= (() => {
			document.querySelector("form").noValidate = true;
			document.querySelector("#name").value = "a b";
			document.querySelector("#password").value = "short";
			document.querySelector("form button").click();
			return "once";
		})(), false)`},
	})
	lookAt(t, closed, []lookedAt{{name: "first-run-closed", path: "/", by: stranger, ready: `document.querySelector("pre.command")`}})

	ada := openBrowser(t)
	ada.as(looks[0]) // Chromium does not tell a page that is there already how high it is now
	ada.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('bob')`)
	exec(t, db, `insert into chat.rooms (slug, name, archived_at) values ('old-plans', 'Old plans', now())`)
	lookAt(t, site, []lookedAt{
		{name: "empty-room", path: "/rooms/general", by: ada, ready: `document.querySelector("#state.live") && document.querySelector("#older .beginning") && document.querySelectorAll("#people li").length === 1`},
		{name: "nothing-found", path: "/search?q=waffles", by: ada, ready: `document.querySelector(".empty") && document.querySelector(".how")`},
		{name: "search-error", path: "/search?q=before:soon", by: ada, ready: `document.querySelector("#q-error")`},
		{name: "nothing-pinned", path: "/rooms/general/pins", by: ada, ready: `document.querySelector("p.none")`},
		{name: "nobody-found", path: "/direct/new?q=zoe", by: ada, ready: `document.querySelector("h1")`},
		{name: "new-room-error", path: "/rooms/new", by: ada, ready: `document.querySelector("#name")`, open: submits(`document.querySelector(".field-error")`, "/rooms", "name", "General", "topic", "The same once more")},
		{name: "forbidden", path: "/rooms", by: ada, ready: `document.querySelector("h1")`, open: submits(`document.querySelector("h1").textContent === "Not allowed"`, "/rooms/old-plans/join")},
		{name: "sign-in-error", path: "/sign-in", by: stranger, ready: `document.querySelector("#password")`, open: submits(`document.querySelector(".field-error")`, "/sign-in", "name", "ada", "password", "not that one")},
		{name: "signed-out", path: "/sign-in", by: stranger, ready: `document.querySelector("#password")`, open: submits(`document.querySelector("h1").textContent === "Not signed in"`, "/rooms/general/messages", "body", "What I wrote stays.")},
	})
	lookAt(t, closed, []lookedAt{{name: "sign-up-closed", path: "/sign-up", by: stranger, ready: `document.querySelector("p.lead")`}})

	exec(t, db, `delete from chat.rooms`)
	lookAt(t, site, []lookedAt{{name: "no-rooms", path: "/rooms", by: ada, ready: `document.querySelector(".empty")`}})
	// The page of an error is made without the database.
	exec(t, db, `alter table chat.rooms rename to elsewhere`)
	lookAt(t, site, []lookedAt{{name: "server-error", path: "/rooms", by: ada, ready: `document.querySelector("h1").textContent === "Something went wrong"`}})
}

// picture keeps what the page looks like, small.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("PGCHAT_PICTURES")
	if dir == "" {
		return
	}
	quality := int64(82)
	image, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		out, err := cdp.Call(ctx, t, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{Format: "webp", Quality: &quality})
		return out.Data, err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".webp"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
