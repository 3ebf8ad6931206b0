package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// presses presses the button with this text; in a line of a list: the one of whom is named in it.
func (b *browser) presses(selector, name, button string) {
	b.t.Helper()
	b.until(`document.readyState === "complete" && (() => { const found = [...document.querySelectorAll(%q)].filter((e) => e.textContent.includes(%q))
		.flatMap((e) => [...e.querySelectorAll("button")]).find((e) => e.textContent.trim() === %q); found?.click(); return found; })()`, selector, name, button)
}

// settings opens the settings of the room that the page shows.
func (b *browser) settings() {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(".settings-button")))
	b.until(`location.pathname.endsWith("/settings") && document.readyState === "complete" && document.querySelector("#members")`)
}

// returns goes from the settings to the room.
func (b *browser) returns() {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(".bar a.button")))
	b.until(`!location.pathname.endsWith("/settings") && document.querySelector("#state.live") && (window.same = true)`)
}

func TestRoomsAreManagedByTheirForms(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	exec(t, db, `insert into chat.users (name, role) values ('root', 'admin')`) // neither of the two is one
	eve, bob := openBrowser(t), openBrowser(t)
	eve.signUp(one.address, "eve")
	bob.signUp(two.address, "bob")
	eve.do(chromedp.Navigate(one.address+"/rooms/new"), chromedp.SendKeys(chromedp.CSS("#name"), "garden"), chromedp.Submit(chromedp.CSS("#name")))
	eve.until(`document.querySelector("#state.live") && document.title === "#garden · pgchat" && (window.same = true)`)

	// Found among all rooms, looked at, joined.
	bob.do(chromedp.Click(chromedp.CSS(".sidebar .quiet-link[href='/rooms']")))
	bob.until(`[...document.querySelectorAll(".room-cards li")].some((li) => li.textContent.includes("garden") && li.textContent.includes("1 member") && li.textContent.includes("you are not a member"))`)
	bob.do(chromedp.Click(chromedp.CSS(".room-cards a[href='/rooms/garden']")))
	bob.until(`document.querySelector("#state.live") && document.querySelector(".closed")?.textContent.includes("You are not a member of #garden") && !document.querySelector("#composer")`)
	bob.until(`![...document.querySelectorAll("#rooms li")].some((li) => li.dataset.name === "garden")`)
	bob.presses(".closed", "", "Join the room")
	bob.until(`document.querySelector("#state.live") && document.querySelector("#composer") && document.querySelector('#rooms a[href="/rooms/garden"][aria-current]') && (window.same = true)`)
	eve.until(linesShown + ` === '["bob joined"]' && document.querySelector("#online").textContent === "2"`)

	// An owner may do what a member may not; the last one stays one.
	bob.settings()
	bob.until(`!document.querySelector("#topic") && !document.querySelector("form[action$='/archive'], form[action$='/owner'], form[action$='/remove']")`)
	eve.settings()
	eve.presses(".members li", "eve", "Make a member")
	eve.until(`document.body.textContent.includes("#garden would have no owner. Make somebody else one first.")`)
	eve.do(chromedp.Navigate(one.address + "/rooms/garden/settings"))
	eve.presses(".members li", "bob", "Make an owner")
	eve.until(`[...document.querySelectorAll(".members li")].filter((li) => li.textContent.includes("· owner")).length === 2`)
	eve.screenshot("two-owners")
	eve.returns()
	bob.do(chromedp.Reload())
	bob.until(`document.querySelector("#topic") && document.querySelector("#name").value === "garden"`)

	// What one changes the other sees at once.
	bob.do(chromedp.SetValue(chromedp.CSS("#name"), "General"), chromedp.Submit(chromedp.CSS("#name")))
	bob.until(`document.querySelector("#name-error")?.textContent.includes("There is a room called General") && document.querySelector("#name").value === "General"`)
	bob.do(chromedp.SetValue(chromedp.CSS("#name"), "big garden"), chromedp.SetValue(chromedp.CSS("#topic"), "What grows where"), chromedp.Submit(chromedp.CSS("#name")))
	bob.until(`document.querySelector("#state.live") && document.title === "#big garden · pgchat" && (window.same = true)`)
	eve.until(`document.title === "#big garden · pgchat" && document.querySelector(".bar h1").textContent.trim() === "big garden" && document.querySelector(".bar .topic").textContent === "What grows where" &&
		document.querySelector('#rooms a[href="/rooms/garden"] span').textContent === "big garden"`)
	for _, b := range []*browser{eve, bob} {
		b.until(linesShown + ` === '["bob joined","bob renamed the room to big garden","bob changed the topic to: What grows where"]'`)
	}

	// Archived it can be read; restored it is as before, with what was being written.
	eve.do(chromedp.SendKeys(chromedp.CSS("#body"), "half a thought"))
	bob.settings()
	bob.presses("form[action$='/archive']", "", "Archive #big garden")
	bob.until(`document.querySelector("form[action$='/archive']")?.textContent.includes("The room is archived") && !document.querySelector(".invite")`)
	eve.until(`document.querySelector(".closed")?.textContent.includes("archived") && !document.querySelector("#composer")`)
	bob.presses("form[action$='/archive']", "", "Restore #big garden")
	eve.until(`document.querySelector("#body")?.value === "half a thought" && document.querySelector("#state.live") && window.same`)
	eve.until(linesShown + `.endsWith('"bob archived the room","bob restored the room"]')`)

	// An owner may be made a member again.
	eve.settings()
	eve.presses(".members li", "bob", "Make a member")
	eve.until(`[...document.querySelectorAll(".members li")].filter((li) => li.textContent.includes("· owner")).length === 1`)
	eve.returns()
	bob.do(chromedp.Reload())
	bob.until(`document.readyState === "complete" && !document.querySelector("#name")`)

	// A muted room counts only what is for its reader.
	bob.do(chromedp.Click(chromedp.CSS("[name=notify][value=nothing]")), chromedp.Submit(chromedp.CSS("[name=notify]")))
	bob.until(`document.readyState === "complete" && document.querySelector("[name=notify][value=nothing]").checked && document.querySelector('#rooms [data-name="big garden"][data-notify=nothing]')`)
	bob.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/general"]`)))
	bob.until(`document.querySelector("#state.live") && document.title === "#general · pgchat" && (window.same = true)`)
	eve.until(`(document.querySelector("#body").value = "", true)`)
	eve.say("for whoever is here")
	bob.until(`document.querySelector('#rooms [data-name="big garden"]').dataset.last === "1"`)
	bob.badge("big garden", "")
	bob.until(`document.title === "#general · pgchat"`)
	eve.say("for @bob")
	bob.badge("big garden", "1")

	// Who leaves has it no longer; the others see who went.
	bob.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/garden"]`)))
	bob.until(`document.title === "#big garden · pgchat" && document.querySelector("#state.live") && window.same`)
	bob.sees("for @bob")
	bob.settings()
	bob.presses("form[action$='/leave']", "", "Leave #big garden")
	bob.until(`location.pathname === "/rooms" && !document.querySelector('#rooms a[href="/rooms/garden"]') &&
		[...document.querySelectorAll(".room-cards li")].some((li) => li.textContent.includes("big garden") && li.textContent.includes("you are not a member"))`)
	eve.until(linesShown + `.endsWith('"> for @bob","bob left"]') && document.querySelector("#online").textContent === "1" && window.same`)
}

func TestADirectConversationOfThree(t *testing.T) {
	url := pgtest.URL(t)
	one, two := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0")
	ada, eve, bob, carol := openBrowser(t), openBrowser(t), openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	for name, b := range map[string]*browser{"eve": eve, "bob": bob, "carol": carol} {
		b.signUp(two.address, name)
		b.until(`window.same = true`)
	}
	begin := func() {
		ada.do(chromedp.Click(chromedp.CSS(".sidebar a[href='/direct/new']")))
		ada.until(`document.readyState === "complete" && document.querySelectorAll(".members [name=user]").length === 4`)
		for _, name := range []string{"bob", "eve"} {
			ada.until(`(() => { const li = [...document.querySelectorAll(".members li")].find((li) => li.textContent.includes(%q)), box = li.querySelector("input"); box.click(); return box.checked; })()`, name)
		}
		ada.screenshot("new-direct")
		ada.do(chromedp.Click(chromedp.CSS(".members ~ .actions .primary")))
		ada.until(`document.querySelector("#state.live") && document.title === "bob, eve · pgchat"`)
	}
	begin()
	ada.say("the three of us")
	ada.sees("the three of us")

	// The two have it by itself, under the names of the others, and it counts as for them; a fourth has nothing.
	for others, b := range map[string]*browser{"ada, bob": eve, "ada, eve": bob} {
		b.until(`document.querySelectorAll("#rooms li").length === 2`)
		b.badge(others, "1")
		b.until(`document.querySelector("#unread-rooms .badge.mention") && document.title === "(1) #general · pgchat"`)
		b.until(`(document.querySelector("#unread-rooms a").click(), true)`)
		b.until(`document.title === %q && document.querySelector("#state.live") && window.same`, others+" · pgchat")
		b.sees("the three of us")
	}
	eve.say("I see")
	ada.sees("I see")
	bob.sees("I see")
	ada.until(`document.querySelector("#online").textContent === "3"`)
	ada.accessible("a conversation of three")
	ada.screenshot("direct-three")
	address := evaluated[string](ada, `location.pathname`)

	// Nobody leaves it or is added; begun again it is the same one.
	ada.settings()
	ada.until(`document.querySelectorAll(".members li").length === 3 && !document.querySelector(".invite, form[action$='/leave'], form[action$='/archive'], form[action$='/owner'], #name")`)
	begin()
	ada.sees("I see")
	ada.until(`location.pathname === %q`, address)
	carol.until(`document.querySelectorAll("#rooms li").length === 1 && window.same`)
	carol.do(chromedp.Navigate(two.address + address))
	carol.until(`document.querySelector(".status")?.textContent === "404"`)
}
