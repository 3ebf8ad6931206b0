package main_test

import (
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
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
	b.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/` + room + `"]`)))
	b.shows(room)
	b.until(`document.querySelector("#state.live")`)
}

func (b *browser) shows(room string) {
	b.t.Helper()
	b.until(`window.same && location.pathname === "/rooms/%[1]s" && document.querySelector("#view").dataset.slug === "%[1]s" && document.title.includes("#%[1]s ") &&
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
	b.until(`(() => { const log = document.querySelector("#log"); log.scrollTop = -700; return log.scrollTop < -600; })()`)
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
	b.until(`(() => { const a = document.querySelector('.sidebar a[href="/rooms/general"]').parentNode.cloneNode(true);
		a.firstChild.href = "/rooms/unseen"; document.querySelector(".sidebar .rooms").append(a); return true; })()`)
	b.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/unseen"]`)))
	b.until(`document.querySelector("#toast").textContent.includes("could not be opened") && location.pathname === "/rooms/design"`)
	b.screenshot("could-not-be-opened")
	serve(t, build(t), url, site.host)
	b.sees("to design")
	b.to("ops")
	b.sees("to ops")
	b.until(`!document.querySelector("#pending .message")`)

	// What is refused in a room that is not shown is told, and waits there.
	exec(t, db, `update chat.rooms set archived_at = now() where slug = 'ops'`)
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
