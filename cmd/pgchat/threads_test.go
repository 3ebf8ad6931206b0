package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/input"
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

func TestReactionsInAThreadAreThoseOfTheRoom(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) select 'user' || g from generate_series(1, 61) g`)
	exec(t, db, `select chat.post('general', 'ada', 'who was there?')`)
	exec(t, db, `select chat.post('general', 'ada', 'look', reply_to => 1)`)
	exec(t, db, `select chat.react('general', 2, 'user' || g, e) from generate_series(1, 60) g, unnest(array['👍', '👀']) e`)
	exec(t, db, `select chat.react('general', 2, 'ada', '👍')`)
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	both := func(want string) {
		t.Helper()
		for _, list := range []string{"#messages [data-seq='2']", ".thread-replies .message"} {
			b.until(`[...document.querySelectorAll(%q)].map((c) => c.textContent + (c.ariaPressed === "true" ? "*" : "")).join(" ") === %q`, list+" .reaction[value]", want)
		}
	}
	const thumb, eyes = ".thread-replies .reaction[value$='👍']", ".thread-replies .reaction[value$='👀']"

	// Which are the reader's own, though the page does not name everybody; turned in the thread they are turned in the room.
	both("👍61* 👀60")
	b.clicks(thumb)
	both("👍60 👀60")
	b.clicks(eyes)
	both("👍60 👀61*")
	until(t, db, `select coalesce(array_agg(emoji), '{}') = '{👀}' from chat.reactions r join chat.users u on u.id = r.user_id where u.name = 'ada'`)

	// Who has reacted, by the pointer and by the focus; that stays while the message changes, and Escape leaves the thread open.
	b.over(thumb)
	b.until(`document.querySelector(".who:popover-open")?.textContent.startsWith("👍user1, user2, ") && document.querySelector(".who").textContent.endsWith("user50 and 10 others")`)
	b.screenshot("thread-reactions")
	b.over("#thread-body")
	b.until(`!document.querySelector(".who")`)
	b.until(`((m) => { m.tabIndex = -1; m.focus(); return true; })(document.querySelector(".thread-replies .message"))`)
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
	b.until(`document.activeElement.matches(%q) && document.querySelector(".who:popover-open")?.textContent.startsWith("👀you, user1, ")`, eyes)
	b.accessible("who has reacted, in a thread")
	exec(t, db, `select chat.react('general', 2, 'user61', '👀')`)
	both("👍60 👀62*")
	b.until(`document.activeElement.matches(%q) && document.querySelector(".who:popover-open")`, eyes)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector(".who") && !document.querySelector("#thread-panel").hidden`)

	// By a long press, which turns nothing.
	b.phone()
	b.until(`addEventListener("contextmenu", (e) => { e.preventDefault(); e.stopImmediatePropagation(); }, true) ?? true`)
	b.finger(input.DispatchTouchEventTypeTouchStart, b.middle(eyes))
	b.until(`document.querySelector(".who:popover-open")?.textContent.startsWith("👀you, user1, ")`)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`document.querySelector(".who") && document.querySelector("#tools").hidden`)
	both("👍60 👀62*")
}

// Whose replies are not on the page has a face at their number all the same.
func TestAThreadShowsWhoRepliedLast(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) select unnest('{bob,carol,dave}'::text[])`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
	some := func(n int) {
		exec(t, db, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'message ' || g from chat.rooms r, chat.users u, generate_series(1, $1::int) g where r.slug = 'general' and u.name = 'bob'`, n)
	}
	some(60)
	exec(t, db, `select chat.post('general', 'ada', 'who is in?')`)
	some(200) // between them, so that the page has none of the replies
	for _, name := range []string{"bob", "carol", "dave", "bob"} {
		exec(t, db, `select chat.post('general', $1, 'I am', reply_to => 61)`, name)
	}
	b.do(chromedp.Navigate(site.address + "/rooms/general?before=62"))
	const who = `document.querySelector("#messages .thread-link .repliers")?.title`
	b.until(`document.querySelector("#state.live") && !document.querySelector("#messages .quote") && %s === "carol, dave, bob" && document.querySelectorAll(".thread-link .face").length === 3`, who)
	exec(t, db, `select chat.post('general', 'ada', 'and I', reply_to => 61)`)
	b.until(`%s === "dave, bob, ada"`, who)
	exec(t, db, `update chat.messages set deleted_at = now() where body = 'and I'`)
	b.until(`%s === "carol, dave, bob"`, who)
	exec(t, db, `update chat.messages set deleted_at = now() where body = 'I am'`)
	b.until(`!document.querySelector("#messages .thread-link")`)
}

func TestFilesAreAttachedInAThread(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("how was it?")
	b.sees("how was it?")
	b.say("and there?")
	b.sees("and there?")
	open := func(seq int) {
		t.Helper()
		b.at(seq)
		b.do(chromedp.KeyEvent("t"))
		b.until(`document.activeElement.id === "thread-body" && document.querySelector('.thread-log[data-thread="%d"]')`, seq)
	}
	const panel, inThread, thumb = "#thread-panel", `[...document.querySelectorAll("#thread-panel .attached li")]`, `document.querySelector("#thread-panel .attached img")?.naturalWidth`
	keys := func(text string) { b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), text)) }

	// Chosen and pasted: they are the thread's, not the room's, and go with the reply.
	open(1)
	b.givesIn(panel, "choose", pngFile("hills.png", hills(t, 400, 300)), zeros("data.bin", 1000))
	b.until(`%s.length === 2 && %s && !document.querySelector("main .attached li")`, inThread, thumb)
	keys("like **this**")
	b.accessible("a thread's composer with files")
	b.screenshot("thread-files")
	keys(kb.Enter)
	const first = `document.querySelector(".thread-replies .message")`
	b.until(`%[1]s?.querySelector(".picture img")?.naturalWidth && %[1]s.querySelector(".file").dataset.name === "data.bin" && %[1]s.querySelector("strong") && !%[2]s.length && !document.querySelector(".pending")`, first, inThread)
	b.until(`document.querySelector("#messages .message:last-child .picture") && document.querySelector("#messages .message:last-child .quote")`)
	b.givesIn(panel, "paste", pngFile("image.png", hills(t, 60, 40)))
	b.until(`%s[0]?.querySelector(".name").textContent.startsWith("Pasted 20") && %s`, inThread, thumb)
	keys(kb.Enter)
	b.until(`document.querySelectorAll(".thread-replies .picture").length === 2 && !document.querySelector(".pending")`)

	// Dropped on the thread; what is dropped on the room is the room's. A thread that is closed keeps its own, another has others.
	b.givesIn(panel, "drag", zeros("more.bin", 10))
	b.until(`document.querySelector("#thread-panel.dropping") && !document.querySelector("main.dropping")`)
	b.screenshot("thread-dropping")
	b.givesIn(panel, "drop", zeros("more.bin", 2000))
	b.givesIn("main", "drop", zeros("room.bin", 2000))
	b.until(`%s.map((c) => c.querySelector(".name").textContent).join() === "more.bin" && %s.length === 2`, inThread, chips)
	keys("half")
	open(2)
	b.until(`!%s.length && document.querySelector("#thread-body").value === ""`, inThread)
	open(1)
	b.until(`%s.map((c) => c.querySelector(".name").textContent).join() === "more.bin" && document.querySelector("#thread-body").value === "half"`, inThread)

	// Commands take no files; removed, they are gone.
	b.until(`(document.querySelector("#thread-body").value = "", true)`)
	keys("/topic x" + kb.Enter)
	b.until(`document.querySelector("#thread-error").textContent.includes("takes no files") && document.querySelector("#thread-body").value === "/topic x"`)
	b.until(`(document.querySelector("#thread-body").value = "", true)`)
	b.clicks("#thread-panel .attached .remove")
	b.until(`!%s.length`, inThread)
	b.clicks("main .attached .remove")
	noDrafts(t, db)

	// Sent while they are uploaded, they go when they are there, with the thread closed by then.
	b.givesIn(panel, "choose", zeros("late.bin", 30_000_000))
	keys("later" + kb.Enter + kb.Escape)
	b.until(`document.querySelector("#thread-panel").hidden`)
	b.sees("later")
	b.until(`document.querySelector("#messages .message:last-child .file").dataset.name === "late.bin"`)
	open(1)
	b.until(`document.querySelectorAll(".thread-replies .message").length === 3 && !%s.length && document.querySelector("#thread-body").value === ""`, inThread)
}

func TestFilesInAThreadWithScriptsOff(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'how was it?')`)
	path := filepath.Join(t.TempDir(), "plain.txt")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.withoutScripts()
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	b.screenshot("thread-without-scripts")
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#thread-panel .attach input"), []string{path}), chromedp.Click(chromedp.CSS("#thread-panel .composer .primary")))
	b.until(`location.search === "?thread=1" && document.querySelector(".thread-replies .file a")?.textContent.startsWith("plain.txt") && document.readyState === "complete"`)

	// Neither a text nor a file: it is told in the thread.
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .composer .primary")))
	b.until(`document.querySelector("#thread-error").textContent && document.readyState === "complete"`)
}
