package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestTheListOfRoomsShowsDraftsAndMutedRooms(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "random")
	const drafts = `[...document.querySelectorAll("#rooms li:has(.draft:not([hidden]))")].map((li) => li.dataset.name).join()`
	const muted = `[...document.querySelectorAll("#rooms li:has(.muted:not([hidden]))")].map((li) => li.dataset.name).join()`
	b.until(`document.querySelectorAll("#rooms li").length === 2 && %s === "" && %s === ""`, drafts, muted)

	// While one types, also in another page, and after the page is loaded anew; sent, it is none.
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "not yet"))
	b.until(`%s === "general"`, drafts)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s === "general"`, drafts)
	b.until(`(window.dispatchEvent(new StorageEvent("storage", { key: "pgchat:draft:" + live.user + ":" + document.querySelector("#view").dataset.room })), true)`)
	exec(t, db, `update chat.members m set notify = 'nothing' from chat.rooms r where r.id = m.room_id and r.name = 'random'`)
	b.until(`%s === "random"`, muted)
	b.accessible("a draft and a muted room")
	b.screenshot("drafts")
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), kb.Enter))
	b.sees("not yet")
	b.until(`%s === ""`, drafts)

	// What mentions the reader has a ground of its own; who mentions somebody else has not.
	exec(t, db, `select chat.post('general', 'ada', 'look, @ada')`)
	b.sees("look, @ada")
	b.until(`(() => { const [other, mine] = document.querySelectorAll("#messages .message");
		const ground = (e) => getComputedStyle(e).backgroundColor; return ground(mine) !== ground(other) && mine.querySelector(".at.mine"); })()`)
}

func TestWhatIsOldIsNotReadOut(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'message ' || n) from generate_series(1, 300) n`)
	b.do(chromedp.Reload())
	b.sees("message 300")
	b.until(`document.querySelector("#state-text").textContent === "Live" && document.querySelector("#state-online").textContent === "· 1 online" && !document.querySelector("#state-online").closest("[role=status]")`)
	b.until(`(() => { window.told = []; const log = document.querySelector("#messages"), had = log.children.length;
		new MutationObserver(() => { window.told.push(log.getAttribute("aria-live")); }).observe(log, { childList: true });
		document.querySelector("#log").scrollTop = -1e6; return had; })()`)
	b.until(`window.told.length > 0 && window.told.every((live) => live === "off") && document.querySelector("#messages").getAttribute("aria-live") === "polite"`)
	b.until(`(window.told.length = 0, true)`)
	exec(t, db, `select chat.post('general', 'ada', 'news')`)
	b.until(`window.told.includes("polite")`)
}

func TestARoomGoesByItsOwnWidth(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'hello')`)
	b.sees("hello")
	// Beside the rooms and a thread it has less of the same screen, and is laid out as on a phone.
	const topic, log = `getComputedStyle(document.querySelector(".topic")).display`, `getComputedStyle(document.querySelector(".log-inner")).paddingLeft`
	const fits = `document.querySelector("#room .bar").scrollWidth <= document.querySelector("#room").clientWidth`
	b.do(chromedp.EmulateViewport(1040, 800))
	b.until(`innerWidth === 1040 && %s === "block" && %s === "24px" && %s`, topic, log, fits)
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	b.until(`document.querySelector("#state.live") && !document.querySelector("#thread-panel").hidden && %s === "none" && %s === "14px" && %s`, topic, log, fits)
	b.do(chromedp.EmulateViewport(820, 800))
	b.until(`innerWidth === 820 && %s === "block" && %s === "24px"`, topic, log) // the thread is over it
	b.do(chromedp.EmulateViewport(390, 800))
	b.until(`innerWidth === 390 && %s === "none" && %s === "14px" && %s`, topic, log, fits)
}
