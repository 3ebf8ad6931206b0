package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMessagesAreEditedAndDeletedInThePage(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	eve.say("helo")
	eve.say("wrold")
	eve.sees("wrold")
	ada.sees("wrold")

	// The arrow up edits the last one; Escape leaves it as it was, an empty one is told of, Enter saves.
	const editor = `document.querySelector("#messages .editing .editor textarea")`
	eve.do(chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`%s?.value === "wrold" && document.activeElement === %[1]s`, editor)
	eve.screenshot("editing")
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`!%s && document.activeElement.id === "body" && %s.join() === "helo,wrold"`, editor, shown)
	eve.do(chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`(%s.value = " ", true)`, editor)
	eve.do(chromedp.KeyEvent(kb.Enter))
	eve.until(`document.querySelector(".editor .field-error:not([hidden])")?.textContent.includes("delete it")`)
	eve.until(`(%s.value = "", true)`, editor)
	eve.do(chromedp.SendKeys(chromedp.CSS(".editor textarea"), "world\r"))
	eve.until(`!%s && %s.join() === "helo,world" && document.querySelectorAll("#messages .edited").length === 1`, editor, shown)
	ada.until(`%s.join() === "helo,world" && document.querySelectorAll("#messages .edited").length === 1`, shown)

	// What is being edited stays when the message changes meanwhile.
	eve.do(chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`(%s.value = "world, half", true)`, editor)
	exec(t, db, `update chat.messages set body = 'by SQL' where seq = 2`)
	eve.until(`%s?.value === "world, half" && %s.join() === "helo,by SQL"`, editor, shown)
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`!%s`, editor)

	// Deleting, and taking it back.
	tools := func(b *browser, seq int) {
		b.t.Helper()
		b.until(`(() => { const m = document.querySelector('#messages [data-seq="%d"]'); m.tabIndex = -1; m.focus(); return !document.querySelector("#tools").hidden; })()`, seq)
	}
	tools(eve, 1)
	eve.do(chromedp.Click(chromedp.CSS("#tools .delete")))
	const removed = `document.querySelector("#messages [data-seq='1'] .removed")`
	ada.until(removed)
	eve.until(removed + ` && document.querySelector("#toast button")?.textContent === "Undo"`)
	eve.screenshot("deleted")
	eve.do(chromedp.Click(chromedp.CSS("#toast button")))
	ada.until(`!%s && %s.join() === "helo,by SQL"`, removed, shown)

	// Of another's there is nothing to edit; an administrator may remove it, its author not bring it back.
	tools(ada, 1)
	ada.until(`document.querySelector("#tools .edit").hidden && !document.querySelector("#tools .delete").hidden`)
	ada.do(chromedp.Click(chromedp.CSS("#tools .delete")))
	eve.until(removed)
	ada.say("mine")
	eve.sees("mine")
	tools(eve, 3)
	eve.until(`document.querySelector("#tools .delete").hidden && document.querySelector("#tools .edit").hidden && !document.querySelector("#tools .copy").hidden`)

	// Before the change has come, what is edited again is what was saved.
	eve.until(`(() => { window.hold = (e) => { if (JSON.parse(e.detail.message.data).type === "change") { e.preventDefault(); e.stopImmediatePropagation(); } };
		addEventListener("htmx:ws:before:message:incoming", hold, true); return true; })()`)
	eve.say("frist")
	eve.sees("frist")
	eve.do(chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`%s?.value === "frist" && (%[1]s.value = "", true)`, editor)
	eve.do(chromedp.SendKeys(chromedp.CSS(".editor textarea"), "first\r"))
	eve.until(`!%s && document.activeElement.id === "body"`, editor)
	eve.do(chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`%s?.value === "first"`, editor)
	eve.do(chromedp.SendKeys(chromedp.CSS(".editor textarea"), ", again\r"))
	ada.sees("first, again")
	eve.until(`!%s && (removeEventListener("htmx:ws:before:message:incoming", hold, true), true)`, editor)
	eve.say("one more") // what it says comes after the changes
	eve.sees("one more")
	eve.do(chromedp.Reload())
	eve.until(`document.querySelector("#state.live")`)
	eve.sees("first, again")

	// While the server is away it is told, and the text stays.
	eve.do(chromedp.Click(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
	eve.until(`(%s.value = "kept", true)`, editor)
	exec(t, db, `delete from chat.sessions where user_id = (select id from chat.users where name = 'eve')`)
	eve.do(chromedp.KeyEvent(kb.Enter))
	eve.until(`document.querySelector(".editor .field-error:not([hidden])")?.textContent.includes("not signed in") && %s.value === "kept"`, editor)
}
