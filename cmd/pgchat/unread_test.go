package main_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// badge waits until a room's line in the sidebar says so; "": nothing, and the room is not among the unread ones.
func (b *browser) badge(room, want string) {
	b.t.Helper()
	b.until(`(() => { const li = [...document.querySelectorAll("#rooms li")].find((li) => li.dataset.name === %q), badge = li?.querySelector(".badge");
		if (!badge) return false;
		const text = badge.hidden ? "" : badge.textContent;
		return text === %q && (li.parentNode.id === "unread-rooms") === (text !== "" && !li.querySelector("[aria-current]")); })()`, room, want)
}

func TestWhatIsUnreadIsCountedOnEveryPageAndInstance(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	addRooms(t, db, "design", "ops")
	eve.signUp(two.address, "eve")
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
	ada.until(`document.querySelectorAll("#rooms li").length === 3`) // they appear by themselves
	eve.until(`document.querySelectorAll("#rooms li").length === 3 && (window.same = true)`)

	ada.until(`window.same = true`)
	ada.to("design")
	ada.say("one")
	ada.say("two, @eve")
	ada.sees("two, @eve")
	ada.badge("design", "")
	eve.badge("design", "1")
	eve.until(`document.querySelector("#unread-rooms .mention") && document.title === "(1) #general · pgchat" && document.querySelector("link[rel=icon]").href.includes("mention")`)
	eve.screenshot("unread")
	exec(t, db, `select chat.post('ops', 'ada', 'hello')`)
	eve.badge("ops", "1")
	ada.badge("ops", "1") // one's own, from elsewhere
	ada.until(`document.title === "• #design · pgchat"`)
	exec(t, db, `update chat.members set last_read_seq = 1 where room_id = (select id from chat.rooms where slug = 'ops')`)
	ada.badge("ops", "")
	eve.badge("ops", "")

	// To open it is to read it; where it was unread from, a line stands until it is left.
	eve.to("design")
	eve.badge("design", "")
	eve.until(`document.querySelector(".new + .message .body")?.textContent === "one" && document.title === "#design · pgchat"`)
	eve.until(`document.querySelectorAll("#rooms li").length === 3`)
	eve.screenshot("new-line")
	until(t, db, `select last_read_seq = 2 from chat.members m join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.user_id where r.slug = 'design' and u.name = 'eve'`)

	// Not looking is not reading.
	eve.front(false)
	ada.say("three")
	eve.badge("design", "1")
	eve.until(`document.querySelector(".new + .message .body")?.textContent === "one"`)
	eve.front(true)
	eve.badge("design", "")

	// Unread from here, on both pages of eve's; then Escape.
	eve.until(`(() => { const m = [...document.querySelectorAll("#messages .message")].at(-2); m.tabIndex = -1; m.focus(); return !document.querySelector("#tools").hidden; })()`)
	eve.screenshot("tools")
	eve.do(chromedp.Click(chromedp.CSS("#tools .unread-from")))
	eve.badge("design", "2")
	eve.until(`document.querySelector(".new + .message .body")?.textContent === "two, @eve"`)
	until(t, db, `select last_read_seq = 1 from chat.members m join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.user_id where r.slug = 'design' and u.name = 'eve'`)
	eve.badge("design", "1") // the mention counts again
	eve.do(chromedp.Click(chromedp.CSS("#body")), chromedp.KeyEvent(kb.Escape))
	eve.badge("design", "")
	eve.until(`!document.querySelector(".new")`)

	// Or what stands at the line, for who has no keyboard.
	eve.until(`(() => { const m = [...document.querySelectorAll("#messages .message")].at(-1); m.tabIndex = -1; m.focus(); return !document.querySelector("#tools").hidden; })()`)
	eve.do(chromedp.Click(chromedp.CSS("#tools .unread-from")))
	eve.badge("design", "1")
	eve.do(chromedp.Click(chromedp.CSS(".new button")))
	eve.badge("design", "")
	eve.until(`!document.querySelector(".new")`)
	until(t, db, `select last_read_seq = 3 from chat.members m join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.user_id where r.slug = 'design' and u.name = 'eve'`)

	// The arrows go from message to message.
	eve.until(`(() => { document.querySelector("#log").focus(); return document.activeElement.id === "log"; })()`)
	eve.do(chromedp.KeyEvent(kb.ArrowUp), chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`document.activeElement.querySelector(".body").textContent === "two, @eve"`)
}

func TestManyUnreadMessagesAreFound(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'message ' || g
		from chat.rooms r, chat.users u, generate_series(1, 180) g where r.slug = 'general' and u.name = 'eve' order by g`)
	exec(t, db, `update chat.members set last_read_seq = 20 where user_id = (select id from chat.users where name = 'ada')`)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#unread-bar:not([hidden]) span")?.textContent === "160 new messages"`)
	b.screenshot("unread-bar")
	b.do(chromedp.Click(chromedp.CSS("#unread-bar")))
	b.until(`document.querySelector(".new + .message .body")?.textContent === "message 21" && document.querySelector("#unread-bar").hidden`)
	b.until(`(() => { const at = document.querySelector(".new").getBoundingClientRect().top - document.querySelector("#log").getBoundingClientRect().top; return at >= 0 && at < 200; })()`)
	b.until(`document.querySelectorAll("#messages .message").length <= 100`)
	b.until(`(() => { document.querySelector("#log").scrollTop = 0; return %s; })()`, fmt.Sprintf(unbroken, 180))
}

func TestNotificationsOfTheDesktop(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	addRooms(t, db, "design")
	b.until(`document.querySelectorAll("#rooms li").length === 2`)
	// A notification waits a moment, whose end the test tells.
	b.until(`(() => { window.told = []; window.held = new Map();
		const real = setTimeout, clear = clearTimeout;
		let last = 1e9;
		window.setTimeout = (act, ms, ...more) => ms === 2000 ? (held.set(++last, act), last) : real(act, ms, ...more);
		window.clearTimeout = (id) => held.delete(id) || clear(id);
		window.pass = () => { const acts = [...held.values()]; held.clear(); for (const act of acts) act(); return acts.length; };
		window.Notification = class { static permission = "granted"; constructor(title, { body, tag }) { told.push(title + ": " + body + (tag ? "" : "?")); } addEventListener(_, act) { window.clicked = act; } close() {} };
		return true; })()`)
	exec(t, db, `select chat.post('design', 'eve', '@ada, while you look')`)
	b.badge("design", "1")
	b.front(false)
	exec(t, db, `select chat.post('design', 'eve', 'for nobody')`)
	exec(t, db, `select chat.post('design', 'eve', 'for @ada')`)
	b.badge("design", "2")
	b.until(`pass() === 1 && told.join("; ") === "#design: You are mentioned. 3 unread"`)
	b.until(`(window.same = true, clicked(), document.querySelector("#view").dataset.slug === "design")`)
	b.to("general")

	// Of every message, where one wants it; of nothing, where one does not.
	exec(t, db, `update chat.members set notify = 'all' where user_id = (select id from chat.users where name = 'ada') and room_id = (select id from chat.rooms where slug = 'design')`)
	b.until(`document.querySelector("#rooms [data-name=design]").dataset.notify === "all"`)
	exec(t, db, `select chat.post('design', 'eve', 'for all')`)
	b.until(`pass() === 1 && told.length === 2`)
	exec(t, db, `update chat.members set notify = 'nothing' where user_id = (select id from chat.users where name = 'ada') and room_id = (select id from chat.rooms where slug = 'design')`)
	b.until(`document.querySelector("#rooms [data-name=design]").dataset.notify === "nothing"`)
	exec(t, db, `select chat.post('design', 'eve', 'for @ada and all')`)
	b.until(`Number(document.querySelector("#rooms [data-name=design]").dataset.mentions) > 0`)
	b.until(`pass() === 1 && told.length === 2`)

	// Nor of what they read in another page of theirs meanwhile, or mark as unread there.
	exec(t, db, `insert into chat.rooms (slug, name, kind, direct_key) select 'with-eve', 'ada, eve', 'direct', string_agg(id::text, ',' order by id) from chat.users`)
	exec(t, db, `insert into chat.members (room_id, user_id) select chat.find_room('with-eve'), id from chat.users on conflict do nothing`)
	other := openBrowser(t)
	other.enter(site.address+"/sign-in", "ada", "correct horse battery")
	other.do(chromedp.Navigate(site.address + "/rooms/with-eve"))
	other.until(`document.querySelector("#state.live")`)
	b.until(`document.querySelectorAll("#direct-rooms li").length === 1`)
	other.front(false)
	exec(t, db, `select chat.post('with-eve', 'eve', 'are you there?')`)
	b.until(`document.querySelector("#unread-rooms [data-kind=direct]") && held.size === 1`)
	other.front(true)
	b.until(`document.querySelector("#direct-rooms [data-kind=direct]") && pass() === 1 && told.length === 2`)
	exec(t, db, `update chat.members set last_read_seq = 0 where room_id = chat.find_room('with-eve') and user_id = chat.find_user('ada')`)
	b.until(`document.querySelector("#unread-rooms [data-kind=direct]") && held.size === 0`)
	other.front(false)
	exec(t, db, `select chat.post('with-eve', 'eve', 'hello?')`)
	b.until(`held.size === 1 && pass() === 1 && told.at(-1) === "eve: 2 new"`)

	// What a browser was not asked yet, the settings ask.
	b.do(chromedp.Navigate(site.address + "/rooms/design/settings"))
	b.until(`document.readyState === "complete" && !document.querySelector(".ask-notifications").hidden === (Notification.permission === "default") &&
		!document.querySelector(".no-notifications").hidden === (Notification.permission === "denied")`)
}

func TestNotificationsAreOfferedOnce(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	addRooms(t, db, "design")
	b.call(func(ctx context.Context, target *chromedp.Target) error { // a browser that was not asked yet
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `window.asked = 0; window.Notification = class { static permission = "default"; static async requestPermission() { asked++; return "default"; } };`,
		})
		return err
	})
	load := func() {
		t.Helper()
		b.do(chromedp.Reload())
		b.until(`document.querySelectorAll("#rooms li").length === 2 && document.querySelector("#state.live") && Notification.permission === "default" && (window.same = true)`)
	}
	load()

	// What is for nobody does not; the browser is not asked before a click.
	exec(t, db, `select chat.post('design', 'eve', 'for nobody')`)
	b.badge("design", "1")
	b.until(`document.querySelector("#offer").hidden`)
	exec(t, db, `select chat.post('design', 'eve', 'for @ada')`)
	b.until(`!document.querySelector("#offer").hidden && asked === 0`)
	b.accessible("the offer of notifications")
	b.screenshot("offer")
	b.until(`document.querySelector("#log").getBoundingClientRect().top > document.querySelector("#offer").getBoundingClientRect().bottom`)

	// It goes from room to room, and comes again until it is answered.
	b.to("design")
	b.badge("design", "")
	b.until(`!document.querySelector("#offer").hidden`)
	until(t, db, `select last_read_seq = 2 from chat.members m join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.user_id where r.slug = 'design' and u.name = 'ada'`)
	load()
	b.until(`document.querySelector("#offer").hidden`)
	b.to("general")
	exec(t, db, `select chat.post('design', 'eve', 'again for @ada')`)
	b.until(`!document.querySelector("#offer").hidden`)
	b.clicks("#offer button:not(.icon-button)")
	b.until(`document.querySelector("#offer").hidden && asked === 1`)
	exec(t, db, `select chat.post('design', 'eve', 'and @ada')`)
	b.badge("design", "2")
	b.until(`document.querySelector("#offer").hidden`)

	// Who does not want it is not asked, and is not offered it again.
	b.until(`(Object.keys(localStorage).filter((k) => k.startsWith("pgchat:offered")).forEach((k) => localStorage.removeItem(k)), true)`)
	load()
	b.until(`!document.querySelector("#offer").hidden`)
	b.clicks("#offer .icon-button")
	b.until(`document.querySelector("#offer").hidden && asked === 0`)
	load()
	b.badge("design", "2")
	exec(t, db, `select chat.post('design', 'eve', 'once more, @ada')`)
	b.badge("design", "3")
	b.until(`document.querySelector("#offer").hidden`)
}
