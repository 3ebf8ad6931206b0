package main_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// addRooms makes rooms of these names, whose addresses are the same; everybody who is there is a member.
func addRooms(t *testing.T, db *pgxpool.Pool, names ...string) {
	t.Helper()
	exec(t, db, `insert into chat.rooms (slug, name) select n, n from unnest($1::text[]) n`, names)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
}

// to clicks on a room in the sidebar and waits until it is shown and live, by the same page as before.
func (b *browser) to(room string) {
	b.t.Helper()
	b.click(`.sidebar a[href="/rooms/` + room + `"]`)
	b.shows(room)
	b.until(`document.querySelector("#state.live")`)
}

// click clicks what may be drawn anew between being looked up and being clicked: then the new one.
func (b *browser) click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	for {
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "Could not find node with given id") {
			b.t.Fatalf("click %s: %v", selector, err)
		}
	}
}

func (b *browser) shows(room string) {
	b.t.Helper()
	b.until(`window.same && location.pathname === "/rooms/%[1]s" && document.querySelector("#view").dataset.slug === "%[1]s" && document.title.includes("%[1]s · ") &&
		[...document.querySelectorAll(".sidebar [aria-current]")].map((a) => a.pathname).join() === "/rooms/%[1]s"`, room)
}

func TestRoomsAreSwitchedWithoutLoadingThePage(t *testing.T) {
	url := pgtest.URL(t)
	site, db := serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design", "ops")
	fill(t, db, 120)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && (window.same = true)`)

	// Each room keeps its draft and its place; Back and Forward go from room to room.
	b.until(`(() => { const log = document.querySelector("#log"); log.scrollTop = -800; return log.scrollTop < -700; })()`)
	b.until(`%s.length === 100`, shown)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "half a thought"))
	const place = `document.querySelector('#messages .message[data-seq="80"]').getBoundingClientRect().top`
	b.until(`(window.top80 = %s) > 0`, place)
	b.to("design")
	b.until(`document.querySelector("#body").value === "" && (matchMedia("(pointer: fine)").matches ? document.activeElement.id === "body" : true) && document.querySelector(".beginning")`)
	b.say("in design")
	b.sees("in design")
	exec(t, db, `select chat.post('general', 'ada', 'meanwhile')`)
	b.do(chromedp.NavigateBack())
	b.shows("general")
	b.sees("meanwhile")
	b.until(`document.querySelector("#body").value === "half a thought" && Math.abs(%s - window.top80) < 2 && !document.querySelector("#jump").hidden`, place)
	b.do(chromedp.NavigateForward())
	b.shows("design")
	b.until(`%s.join() === "in design"`, shown)

	// Only the open room is told of, and who left it is no longer there.
	b.to("ops")
	b.until(`document.querySelector("#people [data-user]")`)
	until(t, db, `select count(*) = 1 from chat.presence`)

	// Without a server the rooms that were open show all the same, and what is said in each goes out when it is back.
	site.signal(syscall.SIGKILL)
	b.until(`document.querySelector("#state.waiting")`)
	b.say("to ops")
	b.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/design"]`)))
	b.shows("design")
	b.say("to design")
	b.until(`document.querySelector("#state-text").textContent === "Offline, 2 to send"`)
	addRooms(t, db, "unseen")
	b.until(`(() => { const a = document.createElement("a"); a.href = "/rooms/unseen"; document.body.append(a); a.click(); return true; })()`)
	b.until(`document.querySelector("#toast").textContent.includes("could not be opened: the server cannot be reached.") && location.pathname === "/rooms/design"`)
	b.screenshot("could-not-be-opened")
	serve(t, build(t), url, site.host)
	b.sees("to design")
	b.to("ops")
	b.sees("to ops")
	b.until(`!document.querySelector("#pending .message")`)

	// What is refused in a room that is not shown is told, and waits there.
	quietly(t, db, `update chat.rooms set archived_at = now() where slug = 'ops'`)
	b.until(`(() => { const body = document.querySelector("#body"); body.value = "too late"; document.querySelector("#composer").requestSubmit();
		document.querySelector('.sidebar a[href="/rooms/design"]').click(); return true; })()`)
	b.shows("design")
	b.until(`document.querySelector("#toast a")?.textContent === "To #ops"`)
	b.do(chromedp.Click(chromedp.CSS("#toast a")))
	b.shows("ops")
	b.until(`document.querySelector("#pending .failed .fate")?.textContent.includes("archived")`)
}

func TestADrawerClosesWhenARoomIsChosen(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	b.do(chromedp.EmulateViewport(390, 800), chromedp.Reload())
	b.until(`document.querySelector("#state.live") && (window.same = true)`)
	b.do(chromedp.Click(chromedp.CSS("#room .menu")))
	b.until(`document.querySelector("#room").inert && document.querySelector("#sidebar").getBoundingClientRect().left === 0`)
	b.to("design")
	b.until(`!document.querySelector("#room").inert && getComputedStyle(document.querySelector("#sidebar")).visibility === "hidden" && location.hash === ""`)
	b.do(chromedp.NavigateBack())
	b.shows("general")
	b.until(`getComputedStyle(document.querySelector("#sidebar")).visibility === "hidden"`)
}

// until waits until the query says true.
func until(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	for is := false; !is; {
		if err := db.QueryRow(t.Context(), sql).Scan(&is); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestRoomsAsTheirPeopleHaveThem(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	eve.until(`window.same = true`)

	// A private room, by the form; who is added has it at once, without loading anything.
	ada.do(chromedp.Navigate(one.address+"/rooms/new"), chromedp.SendKeys(chromedp.CSS("#name"), "plans"), chromedp.Click(chromedp.CSS("[name=private]")))
	ada.screenshot("new-private-room")
	ada.do(chromedp.Submit(chromedp.CSS("#name")))
	ada.until(`document.querySelector("#state.live") && document.title === "plans · pgchat" && document.querySelector(".beginning").textContent.includes("plans begins")`)
	ada.do(chromedp.Click(chromedp.CSS(".settings-button")))
	ada.until(`document.querySelector("#names")`)
	ada.do(chromedp.SendKeys(chromedp.CSS("#names"), "nobody"), chromedp.Submit(chromedp.CSS("#names")))
	ada.until(`document.querySelector("#names-error")?.textContent.includes("no user called nobody") && document.querySelector("#names").value === "nobody"`)
	ada.until(`!(document.querySelector("#names").value = "")`)
	ada.do(chromedp.SendKeys(chromedp.CSS("#names"), "eve"), chromedp.Submit(chromedp.CSS("#names")))
	ada.until(`document.querySelectorAll(".members li").length === 2`)
	ada.screenshot("room-settings")
	eve.until(`document.querySelector('#other-rooms a[href="/rooms/plans"]')`)
	eve.to("plans")

	// What it is called, its topic, and that it is archived changes in the open page; by SQL as well.
	exec(t, db, `update chat.rooms set topic = 'For next year', name = 'the plans' where slug = 'plans'`)
	eve.until(`document.querySelector(".bar .topic").textContent === "For next year" && document.querySelector(".bar h1").textContent.trim() === "the plans" && document.title === "the plans · pgchat"`)
	eve.do(chromedp.SendKeys(chromedp.CSS("#body"), "half a thought"))
	exec(t, db, `update chat.rooms set archived_at = now() where slug = 'plans'`)
	eve.until(`document.querySelector(".closed")?.textContent.includes("archived") && !document.querySelector("#composer")`)
	exec(t, db, `update chat.rooms set archived_at = null where slug = 'plans'`)
	eve.until(`document.querySelector("#body")?.value === "half a thought" && document.querySelector("#state.live")`)
	exec(t, db, `delete from chat.members where user_id = (select id from chat.users where name = 'eve') and room_id = (select id from chat.rooms where slug = 'plans')`)
	eve.until(`document.querySelector("#state-text").textContent === "You are no longer in this room" && !document.querySelector('#rooms a[href="/rooms/plans"]') && window.same`)

	// A direct conversation, from the list of people; the other has it among theirs, and it counts as for them.
	ada.do(chromedp.Navigate(one.address + "/rooms/general"))
	ada.until(`document.querySelector("#state.live")`)
	eve.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/general"]`)))
	ada.until(`[...document.querySelectorAll("#people button")].some((b) => b.textContent.includes("eve"))`)
	ada.until(`([...document.querySelectorAll("#people button")].find((b) => b.textContent.includes("eve")).click(), true)`)
	ada.until(`document.title === "eve · pgchat" && document.querySelector("#state.live")`)
	ada.say("between us")
	ada.sees("between us")
	ada.screenshot("direct")
	eve.badge("ada", "1")
	eve.until(`document.title === "(1) #general · pgchat" && document.querySelector("#unread-rooms .badge.mention")`)

	// The switcher: by a part of the name, with the keyboard alone.
	eve.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	eve.until(`document.querySelector("#switcher[open] [aria-selected=true]")`)
	eve.screenshot("switcher")
	eve.do(chromedp.SendKeys(chromedp.CSS("#switcher input"), "zzz"))
	eve.until(`!document.querySelector("#switcher .none").hidden`)
	eve.do(chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace), chromedp.SendKeys(chromedp.CSS("#switcher input"), "AD\r"))
	eve.until(`document.title === "ada · pgchat" && !document.querySelector("#switcher").open && window.same`)
	eve.sees("between us")

	// The shortcuts, unless one types.
	eve.do(chromedp.SendKeys(chromedp.CSS("#body"), "?"))
	eve.until(`document.querySelector("#body").value === "?" && !document.querySelector("#shortcuts").open && (document.querySelector("#body").value = "", document.querySelector("#log").focus(), true)`)
	eve.do(chromedp.KeyEvent("?"))
	eve.until(`document.querySelector("#shortcuts").open`)
	eve.screenshot("shortcuts")
	eve.accessible("the shortcuts")
	// Among them each that a button of the formatting bar names: Ctrl+Shift+7 as 7, after what it has in common with others.
	for _, keys := range []string{"Ctrl K", "Ctrl Shift F", "Ctrl Enter", "Shift Enter", "Esc", "+", "R", "T", "←", "→", "Tab", "?"} {
		eve.until(`[...document.querySelectorAll("#shortcuts kbd")].some((k) => k.textContent === %q)`, keys)
	}
	eve.until(`[...document.querySelectorAll("#format-bar [title*=Ctrl]")].every((b) => {
		const keys = b.title.match(/\((.*)\)/)[1].split("+");
		return [...document.querySelectorAll("#shortcuts kbd")].some((k) => k.textContent === keys.join(" ") || k.textContent === keys.at(-1));
	})`)
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`!document.querySelector("#shortcuts").open`)

	// Starred, without another page, and muted.
	ada.until(`(window.same = true)`)
	ada.do(chromedp.Click(chromedp.CSS(".star button")))
	ada.until(`document.querySelector("#starred-rooms li[data-name=eve]") && document.querySelector(".star [aria-pressed=true][value=false]") && window.same`)
	exec(t, db, `update chat.members set notify = 'nothing' where user_id = (select id from chat.users where name = 'ada')`)
	ada.until(`document.querySelector("#rooms [data-name=general][data-notify=nothing]")`)
	exec(t, db, `select chat.post('general', 'eve', 'for all')`)
	exec(t, db, `select chat.post('general', 'eve', 'for @ada')`)
	ada.badge("general", "1")
}
