package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestTheListsOfRoomsAndMembersAreLive(t *testing.T) {
	site, db := one(t)
	ada := openBrowser(t)
	ada.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve'), ('bob')`)

	// All rooms: those that others make, whatever is told of them, and how many are in them.
	ada.do(chromedp.Navigate(site.address + "/rooms"))
	const card = `[...document.querySelectorAll(".room-cards li")].find((li) => li.querySelector("b").textContent.trim() === %q)`
	ada.until(`document.readyState === "complete" && (window.same = document.querySelector(".room-cards a")) && (same.focus(), document.activeElement === same)`)
	exec(t, db, `insert into chat.rooms (slug, name, created_by) select 'design', 'design', id from chat.users where name = 'eve'`)
	ada.until(card+`?.querySelector("small").textContent.startsWith("1 member ·") && document.activeElement === same`, "design")
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'design' and u.name = 'bob'`)
	ada.until(card+`.querySelector("small").textContent.startsWith("2 members ·")`, "design")
	ada.screenshot("rooms-live")
	exec(t, db, `update chat.rooms set name = 'a design', topic = 'Shapes' where slug = 'design'`)
	ada.until(card+`?.textContent.includes("Shapes") && document.querySelector(".room-cards li b").textContent.trim() === "a design" && document.activeElement === same`, "a design")
	exec(t, db, `update chat.rooms set archived_at = now() where slug = 'design'`)
	ada.until(`document.querySelectorAll(".room-cards li").length === 1 && document.activeElement === same && same.isConnected`)

	// The members of a room, while something is typed; an owner who is one no longer has the buttons no longer.
	exec(t, db, `insert into chat.rooms (slug, name, kind, created_by) select 'plans', 'plans', 'private', id from chat.users where name = 'ada'`)
	ada.do(chromedp.Navigate(site.address + "/rooms/plans/settings"))
	ada.until(`document.readyState === "complete" && (window.same = document.querySelector("#topic"))`)
	ada.do(chromedp.SendKeys(chromedp.CSS("#topic"), "half a"))
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'plans' and u.name in ('eve', 'bob')`)
	const member = `[...document.querySelectorAll(".members li")].find((li) => li.textContent.includes(%q))`
	ada.until(`document.querySelector("#members h2").textContent === "3 members" && `+member+`.querySelector("form[action$='/remove']")`, "eve")
	ada.until(`document.activeElement === same && same.value === "half a"`)
	exec(t, db, `update chat.members set role = 'owner' where room_id = (select id from chat.rooms where slug = 'plans') and user_id = (select id from chat.users where name = 'eve')`)
	ada.until(member+`.textContent.includes("owner")`, "eve")
	ada.screenshot("settings-live")
	exec(t, db, `update chat.rooms set name = 'the plans' where slug = 'plans'`)
	ada.until(`document.querySelector("h1")?.textContent.trim() === "the plans" && same.value === "half a"`)
	exec(t, db, `update chat.members set role = 'member' where room_id = (select id from chat.rooms where slug = 'plans') and user_id = (select id from chat.users where name = 'ada')`)
	exec(t, db, `update chat.users set role = 'member'`) // administrators may as owners may
	exec(t, db, `update chat.rooms set topic = 'told' where slug = 'plans'`)
	ada.until(`!document.querySelector(".members form[action$='/owner']") && !document.querySelector("[data-key=archive]") && document.activeElement === same && same.value === "half a"`)

	// It is not hers any more.
	exec(t, db, `delete from chat.members where room_id = (select id from chat.rooms where slug = 'plans') and user_id = (select id from chat.users where name = 'ada')`)
	ada.until(`document.querySelector("#toast a")?.textContent === "To all rooms" && document.querySelector("#topic").value === "half a"`)
}

func TestANewOwnerMayAtOnceWhatOwnersMay(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `update chat.users set role = 'member'`)
	exec(t, db, `insert into chat.rooms (slug, name, created_by) select 'plans', 'plans', id from chat.users where name = 'eve'`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'plans' and u.name = 'ada'`)
	exec(t, db, `select chat.post('plans', 'eve', 'of eve')`)
	b.do(chromedp.Navigate(site.address + "/rooms/plans"))
	b.until(`document.querySelector("#state.live") && (window.same = true)`)
	const may = `document.querySelector("#tools .delete").hidden === %v`
	b.at(1)
	b.until(may, true)
	role := func(role string) {
		t.Helper()
		exec(t, db, `update chat.members set role = $1 where room_id = (select id from chat.rooms where slug = 'plans') and user_id = (select id from chat.users where name = 'ada')`, role)
	}
	role("owner")
	b.until(`"may" in document.querySelector("#view").dataset && window.same`)
	b.until(`(document.activeElement.blur(), true)`)
	b.at(1)
	b.until(may, false)
	b.clicks("#tools .delete")
	b.until(`document.querySelector("#messages .removed")`)
	role("member")
	b.until(`!("may" in document.querySelector("#view").dataset) && window.same`)
}

func TestTheSwitcherFindsThoseWhoAreNotListed(t *testing.T) {
	site, db := one(t)
	exec(t, db, `insert into chat.users (name) select 'a' || lpad(g::text, 4, '0') from generate_series(1, 500) g`)
	exec(t, db, `insert into chat.users (name) values ('zoe'), ('zora'), ('azor')`)
	b := openBrowser(t)
	b.signUp(site.address, "bea")
	b.until(`(window.same = true)`)
	const options = `[...document.querySelectorAll("#switcher [role=option]:not([hidden])")].map((o) => o.dataset.name)`
	keys := func(text string) { b.do(chromedp.SendKeys(chromedp.CSS("#switcher input"), text)) }
	b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	b.until(`%s.length > 400 && !%[1]s.includes("zoe") && document.querySelector("#switcher [data-more]")`, options)

	// Who is known shows at once, without being asked for.
	b.until(`(() => { const input = document.querySelector("#switcher input"); input.value = "a0017"; input.dispatchEvent(new Event("input")); return %s.join() === "a0017"; })()`, options)
	b.until(`(document.querySelector("#switcher input").value = "", true)`)
	keys("zo")
	b.until(`%s.join() === "zoe,zora"`, options)
	b.screenshot("switcher-found")
	b.accessible("the switcher with those who were asked for")

	// One goes down among them while more come; what they hold within is found, too.
	keys("r" + kb.ArrowDown)
	b.until(`%s.join() === "zora,azor"`, options)
	keys(kb.Backspace + kb.Backspace + kb.Backspace + "zoe\r")
	b.until(`document.title === "zoe · pgchat" && document.querySelector("#state.live")`)

	// With them one has a conversation now: they are there once.
	b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	b.until(`document.querySelector("#switcher [data-more]")`)
	keys("zo")
	b.until(`%s.join() === "zoe,zora"`, options)
}
