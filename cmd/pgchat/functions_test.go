package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhatSQLFunctionsDoShowsInOpenPages(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	db := pool(t, url)
	one, two := serve(t, bin, url, "127.0.0.1:0"), serve(t, bin, url, "127.0.0.1:0")
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	eve.say("hello")
	ada.sees("hello")

	exec(t, db, `select chat.edit('general', 1, 'hello from SQL')`)
	exec(t, db, `select chat.rename_user('eve', 'evelyn')`)
	for _, b := range []*browser{ada, eve} {
		b.sees("hello from SQL")
		b.until(`[...document.querySelectorAll("#messages .message header b")].every((b) => b.textContent === "evelyn")`)
		b.until(`document.querySelector("#people button[title='Write to evelyn']")`)
	}
	eve.until(`document.querySelector(".me-name").textContent.startsWith("evelyn")`)
	eve.say("and it is me")
	ada.until(`[...document.querySelectorAll("#messages .message header b")].length === 2`)
	exec(t, db, `select chat.create_room('From SQL', members => '{ada}')`)
	ada.until(`document.querySelector("#rooms a[href='/rooms/from-sql']")`)

	// A message that is moved goes from one room and comes to the other, and who it is by is who they are merged into.
	exec(t, db, `select chat.move_messages('general', '{2}', 'from-sql', by => 'ada')`)
	for _, b := range []*browser{ada, eve} {
		b.until(`document.querySelectorAll("#messages .removed").length === 1`)
	}
	ada.do(chromedp.Click(chromedp.CSS("#rooms a[href='/rooms/from-sql']")))
	ada.sees("and it is me")
	ada.until(`[...document.querySelectorAll("#messages .message header b")].map((b) => b.textContent).join() === "evelyn"`)
	exec(t, db, `select chat.post('from-sql', 'ada', 'live'), chat.merge_users('evelyn', 'ada')`)
	ada.sees("live")
	ada.until(`[...document.querySelectorAll("#messages .message header b")].every((b) => b.textContent === "ada")`)
	eve.until(`document.querySelector("#state.offline")`)
}

func TestAnnouncementsEventsAndBansInOpenPages(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	db := pool(t, url)
	one, two := serve(t, bin, url, "127.0.0.1:0"), serve(t, bin, url, "127.0.0.1:0")
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")

	// A notice comes to all pages, is closed in one of them for good, and goes from the other when it is withdrawn.
	exec(t, db, `select chat.announce('Maintenance at 18:00: <b>save</b> your drafts')`)
	for _, b := range []*browser{ada, eve} {
		b.until(`document.querySelector("#announcements p")?.textContent === "Maintenance at 18:00: <b>save</b> your drafts"`)
		b.until(`document.querySelector("#announcements").getBoundingClientRect().bottom <= document.querySelector("#room header").getBoundingClientRect().top`)
	}
	ada.accessible("announcement")
	ada.screenshot("announcement")
	ada.do(chromedp.EmulateViewport(390, 800))
	ada.until(`document.querySelector("#announcements p").getBoundingClientRect().right <= innerWidth && document.documentElement.scrollWidth <= innerWidth`)
	ada.screenshot("announcement-phone")
	ada.do(chromedp.Click(chromedp.CSS("#announcements button")))
	ada.until(`!document.querySelector(".announcement")`)
	exec(t, db, `select chat.announce('And one more')`)
	ada.until(`document.querySelector("#announcements").textContent.trim() === "And one more"`)
	ada.do(chromedp.Reload())
	ada.until(`document.querySelector("#state.live") && document.querySelector("#announcements").textContent.trim() === "And one more"`)
	eve.until(`document.querySelectorAll(".announcement").length === 2`)
	exec(t, db, `select chat.withdraw()`)
	for _, b := range []*browser{ada, eve} {
		b.until(`!document.querySelector(".announcement") && !document.querySelector("#announcements").offsetHeight`)
	}

	// An event reaches scripts of the page.
	eve.until(`document.addEventListener("pgchat:group", (e) => { window.event1 = e.detail; }) ?? true`)
	exec(t, db, `select chat.group_send('general', '{"build": "green"}')`)
	eve.until(`window.event1?.room === "general" && window.event1.payload.build === "green"`)

	// Who is disconnected comes back, who is banned is put out of the room, and back in it may write again.
	exec(t, db, `select chat.disconnect('eve')`)
	exec(t, db, `select chat.post('general', 'ada', 'are you there?')`)
	eve.sees("are you there?")
	exec(t, db, `select chat.ban('eve', 'general', reason => 'advertising')`)
	eve.until(`document.querySelector("#state.offline #state-text").textContent === "You are banned from this room"`)
	eve.do(chromedp.Navigate(two.address + "/rooms/general"))
	eve.until(`document.querySelector("main").textContent.includes("You are banned from #general. The reason: advertising")`)
	exec(t, db, `select chat.unban('eve', 'general')`)
	eve.do(chromedp.Navigate(two.address + "/rooms/general"))
	eve.until(`document.querySelector("#state.live")`)
	eve.say("thank you")
	ada.sees("thank you")
}
