package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

const linesShown = `JSON.stringify([...document.querySelectorAll("#messages > :is(.line, .message)")].map((e) => e.matches(".line") ? e.textContent : "> " + e.querySelector(".body").textContent))`

func TestWhatHappensToARoomShowsBetweenItsMessages(t *testing.T) {
	url := pgtest.URL(t)
	one, two := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0")
	db := pool(t, url)
	ada, bob := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	bob.signUp(two.address, "bob")
	exec(t, db, `insert into chat.users (name) select unnest(array['carol', 'dave', 'eve', 'frank'])`)
	exec(t, db, `insert into chat.rooms (slug, name, kind, created_by) select 'plans', 'Plans', 'private', id from chat.users where name = 'ada'`)
	ada.do(chromedp.Navigate(one.address + "/rooms/plans"))
	ada.until(`document.querySelector("#state.live")`)
	ada.until(linesShown + ` === "[]"`)
	add := func(names string) {
		exec(t, db, `begin; set local chat.actor = 'ada'; insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u
			where r.slug = 'plans' and u.name in (`+names+`) order by u.name; commit`)
	}
	add(`'bob'`)
	ada.until(linesShown + ` === '["ada added bob"]'`)
	bob.do(chromedp.Navigate(two.address + "/rooms/plans"))
	bob.until(`document.querySelector("#state.live")`)
	ada.say("first")
	bob.sees("first")
	ada.say("second")
	bob.sees("second")

	// What is alike and in the same place is one line, live as after the page was loaded anew; others are lines of their own.
	add(`'carol'`)
	bob.until(linesShown + ` === '["ada added bob","> first","> second","ada added carol"]'`)
	add(`'dave', 'eve', 'frank'`)
	exec(t, db, `update chat.rooms set topic = 'What we are going to do' where slug = 'plans'`)
	const both = `'["ada added bob","> first","> second","ada added carol, dave and 2 others","The topic was changed to: What we are going to do"]'`
	bob.until(linesShown + ` === ` + both)
	bob.until(`document.querySelector("#log").scrollTop > -5 && !document.title.startsWith("•")`)
	bob.say("third")
	ada.sees("third")
	ada.until(`!document.querySelector("#messages .message:last-child").classList.contains("continues")`)
	for _, b := range []*browser{ada, bob} {
		b.do(chromedp.Reload())
		b.until(`document.querySelector("#state.live")`)
		b.until(`%s === %s,"> third"]'`, linesShown, both[:len(both)-2])
	}

	// Who has lost the connection catches up.
	two.signal(9)
	bob.until(`document.querySelector("#state.waiting, #state.offline")`)
	exec(t, db, `begin; set local chat.actor = 'bob'; update chat.rooms set name = 'Big plans' where slug = 'plans'; commit`)
	ada.until(`document.querySelector("#messages").lastElementChild.textContent === "bob renamed the room to Big plans"`)
	serve(t, build(t), url, two.host)
	bob.until(`document.querySelector("#messages").lastElementChild.textContent === "bob renamed the room to Big plans"`)
	ada.say("fourth")
	bob.sees("fourth")
	bob.until(`document.querySelector("#messages").lastElementChild.textContent.includes("fourth")`)
	bob.accessible("lines")
	bob.screenshot("lines")

	// A page that looks back has the lines of what it shows, in their places.
	exec(t, db, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'message ' || g from chat.rooms r, chat.users u, generate_series(5, 200) g where r.slug = 'plans' and u.name = 'ada'`)
	exec(t, db, `update chat.rooms set topic = '' where slug = 'plans'`)
	ada.do(chromedp.Reload())
	ada.until(`document.querySelector("#state.live") && document.querySelector("#messages").lastElementChild.textContent === "The topic was removed"`)
	ada.until(`document.querySelectorAll("#messages > .line").length === 1`)
	ada.until(`(() => { const log = document.querySelector("#log"); log.scrollTop = -log.scrollHeight; return document.querySelector("#messages > .message").dataset.seq === "1"; })()`)
	ada.until(`document.querySelectorAll("#messages > .line").length === 5`)
	ada.until(linesShown + `.startsWith('["ada added bob","> first","> second","ada added carol, dave and 2 others","The topic was changed to: What we are going to do","> third","bob renamed')`)
	ada.do(chromedp.Navigate(one.address + "/rooms/plans?at=4"))
	ada.until(`document.querySelector("#state.live") && [...document.querySelectorAll("#messages > .line")].at(-1).textContent.startsWith("bob renamed")`)
}
