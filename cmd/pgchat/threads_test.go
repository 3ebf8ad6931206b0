package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestInAThreadOneWritesAndActsAsInTheRoom(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('edgar')`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
	b.gives("choose", pngFile("hills.png", hills(t, 400, 300)))
	b.until(`%s.length === 1 && %[1]s.every((c) => c.querySelector("progress").hidden)`, chips)
	b.say("who was there, @ada?")
	b.until(`document.querySelector("#messages .picture img")?.naturalWidth && !document.querySelector("#pending .message")`)
	b.at(1)
	b.do(chromedp.KeyEvent("t"))
	b.until(`document.activeElement.id === "thread-body" && document.querySelector(".thread-first .at.mine")`)
	keys := func(text string) { b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), text)) }

	// Completions, and marks around what is selected.
	keys("@ed")
	b.until(`document.querySelector("#thread-panel #completions li")?.dataset.text === "@edgar"`)
	b.screenshot("thread-completions")
	keys(kb.Escape)
	b.until(`!document.querySelector("#completions") && !document.querySelector("#thread-panel").hidden`)
	b.until(`(document.querySelector("#thread-body").select(), true)`)
	b.do(chromedp.KeyEvent("b", chromedp.KeyModifiers(2)))
	b.until(`document.querySelector("#thread-body").value === "**@ed**"`)
	keys(kb.Enter)
	b.until(`document.querySelector(".thread-replies .body strong")?.textContent === "@ed" && !document.querySelector(".pending")`)

	b.until(`document.querySelector("#messages .thread-link .repliers")?.title === "ada" && document.querySelectorAll("#messages .thread-link .face").length === 1`)

	// Commands are done in the room and answered here; what is wrong stays to be mended.
	keys("/topic Launch" + kb.Enter)
	b.until(`document.querySelector("#thread-panel .composer-notice:not([hidden]) p")?.textContent === "The topic is changed." && document.querySelector(".bar .topic").textContent === "Launch"`)
	b.until(`document.querySelector("#thread-body").value === "" && document.querySelector("#composer-notice").hidden`)
	keys("/invite nobody" + kb.Enter)
	b.until(`document.querySelector("#thread-error").textContent.includes("no user called nobody") && document.querySelector("#thread-body").value === "/invite nobody"`)
	b.until(`(document.querySelector("#thread-body").select(), true)`)
	keys(kb.Backspace)
	b.until(`document.querySelector("#thread-body").value === "" && !document.querySelector("#thread-error").textContent`)

	// ↑ edits; the editor stays while the message changes for another reason.
	keys(kb.ArrowUp)
	b.until(`document.activeElement.closest("#thread-panel .thread-replies .editor")`)
	b.do(chromedp.KeyEvent(" and I"))
	exec(t, db, `insert into chat.reactions (room_id, seq, user_id, emoji) select m.room_id, m.seq, u.id, '👍' from chat.messages m, chat.users u where m.seq = 2 and u.name = 'edgar'`)
	b.until(`document.querySelector(".thread-replies .reaction[value] b")?.textContent === "1" && document.activeElement.value === "**@ed** and I"`)
	b.do(chromedp.KeyEvent("\r"))
	b.until(`document.querySelector(".thread-replies .body").textContent === "@ed and I" && !document.querySelector(".editor") && document.activeElement.id === "thread-body"`)

	// The tools: those that make sense here. React, also by key; copy the link; delete, and back.
	const tools = `[...document.querySelectorAll("#thread-panel #tools:not([hidden]) button:not([hidden])")].map((b) => b.classList[1]).join()`
	focus := func() {
		b.until(`((m) => { m.tabIndex = -1; m.focus(); return true; })(document.querySelector(".thread-replies .message"))`)
		b.until(`%s === "react,copy,copy-link,edit,delete"`, tools)
	}
	focus()
	b.screenshot("thread-tools")
	b.accessible("the tools in a thread")
	b.do(chromedp.Click(chromedp.CSS("#thread-panel #tools .react")))
	b.until(`document.querySelector(".picker[open] [role=option]")`)
	b.do(chromedp.KeyEvent("tada"))
	b.until(`document.querySelector(".picker[open] [role=option][aria-label=tada]")`)
	b.do(chromedp.KeyEvent("\r"))
	b.until(`[...document.querySelectorAll(".thread-replies .reaction[value]")].some((c) => c.value.endsWith("🎉") && c.ariaPressed === "true") && document.activeElement.matches("#thread-panel .message")`)
	b.do(chromedp.KeyEvent("+"))
	b.until(`document.querySelector(".picker[open]")`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector(".picker[open]") && !document.querySelector("#thread-panel").hidden`)
	focus()
	b.do(chromedp.Click(chromedp.CSS("#thread-panel #tools .copy-link")))
	b.until(`document.querySelector("#toast").textContent`)
	focus()
	b.do(chromedp.Click(chromedp.CSS("#thread-panel #tools .delete")))
	b.until(`document.querySelector(".thread-replies .removed")`)
	b.do(chromedp.Click(chromedp.CSS("#toast button")))
	b.until(`document.querySelector(".thread-replies .body")?.textContent === "@ed and I"`)
	b.do(chromedp.KeyEvent(kb.ArrowUp))

	// A picture opens over the page, and closes to where it was.
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .picture")))
	b.until(`document.querySelector("#picture[open] img")?.naturalWidth === 400`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector("#picture[open]") && document.activeElement.matches("#thread-panel .picture")`)

	// With the panel closed, the tools are the room's again.
	focus()
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(`document.querySelector("#thread-panel").hidden`)
	b.at(1)
	b.until(`document.querySelector("#messages #tools:not([hidden]) .reply:not([hidden])")`)
}
