package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// phone makes the browser one: 390 px wide, with a finger for a pointer.
func (b *browser) phone() {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.until(`matchMedia("(hover: none) and (pointer: coarse)").matches && innerWidth === 390`)
}

// finger sends a touch; none where it is let go.
func (b *browser) finger(kind input.DispatchTouchEventType, at ...*input.TouchPoint) {
	b.t.Helper()
	if at == nil {
		at = []*input.TouchPoint{}
	}
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: at})
		return chromedp.Void{}, err
	})
}

// middle is where the element is.
func (b *browser) middle(selector string) *input.TouchPoint {
	b.t.Helper()
	xy, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]float64](`(() => { const r = document.querySelector(`+"`"+selector+"`"+`).getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()`))
	if err != nil {
		b.t.Fatal(err)
	}
	return &input.TouchPoint{X: xy[0], Y: xy[1]}
}

func TestABrowserWithoutNotificationsOfPagesKeepsItsList(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	b.phone()
	b.do(chromedp.Navigate(site.address + "/rooms/general"))
	b.until(`document.querySelector("#state.live") && (window.Notification = class { static permission = "granted"; constructor() { window.threw = true; throw new TypeError("Illegal constructor"); } })`)
	b.front(false)
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'design' on conflict do nothing`)
	exec(t, db, `select chat.post('design', 'eve', '@ada look')`)
	b.until(`window.threw && document.querySelector('#unread-rooms a[href="/rooms/design"]') && document.title.startsWith("(1) ")`)
}

func TestALongPressShowsWhatCanBeDone(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("Hold me")
	b.sees("Hold me")
	exec(t, db, `select chat.react('general', 1, 'ada', '👍')`)
	b.until(`document.querySelector("#messages .reaction[aria-pressed=true]")`)
	b.phone()
	// As on iOS, which sends none.
	b.until(`addEventListener("contextmenu", (e) => { e.preventDefault(); e.stopImmediatePropagation(); }, true) ?? true`)
	message := b.middle("#messages .body")

	// A finger that moves on scrolls; one that is lifted taps.
	b.until(`(() => { window.pressed = 0; new MutationObserver((records) => { for (const r of records) if (r.target.matches(".pressed")) window.pressed++; })
		.observe(document.querySelector("#messages"), { subtree: true, attributeFilter: ["class"] }); return true; })()`)
	b.finger(input.DispatchTouchEventTypeTouchStart, message)
	b.until(`window.pressed === 1 && getComputedStyle(document.querySelector("#messages .body")).userSelect === "none"`)
	b.finger(input.DispatchTouchEventTypeTouchMove, &input.TouchPoint{X: message.X, Y: message.Y - 40})
	b.until(`!document.querySelector(".pressed")`)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`document.querySelector("#tools").hidden && getComputedStyle(document.querySelector("#messages .body")).userSelect !== "none"`)

	b.finger(input.DispatchTouchEventTypeTouchStart, message)
	b.until(`!document.querySelector("#tools").hidden`)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`!document.querySelector("#tools").hidden && !document.querySelector(".pressed") && getSelection().isCollapsed`)
	log := b.middle("#log")
	b.finger(input.DispatchTouchEventTypeTouchStart, log)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`document.querySelector("#tools").hidden`)

	// Who has reacted; nothing is turned.
	chip := b.middle("#messages .reaction")
	b.finger(input.DispatchTouchEventTypeTouchStart, chip)
	b.until(`document.querySelector(".who")?.textContent.includes("you")`)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`document.querySelector(".who") && document.querySelector("#tools").hidden && document.querySelector("#messages .reaction").ariaPressed === "true"`)
}

func TestOnAPhoneEnterBreaksTheLine(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.phone()
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && document.querySelector("#body").enterKeyHint === "enter"`)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "- milk\rbread"))
	b.until(`document.querySelector("#body").value === "- milk\n- bread"`)
	b.screenshot("phone-lines")
	b.phone()
	b.do(chromedp.Click(chromedp.CSS("#composer .primary")))
	b.until(`document.querySelectorAll("#messages .body li").length === 2 && document.querySelector("#body").value === ""`)

	// In the editor and in a thread as well.
	b.do(chromedp.Focus(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
	b.until(`document.activeElement.matches(".editor textarea") && document.activeElement.enterKeyHint === "enter"`)
	b.do(chromedp.KeyEvent("\reggs"))
	b.until(`document.activeElement.value === "- milk\n- bread\n- eggs"`)
	b.do(chromedp.Click(chromedp.CSS(".editor .primary")))
	b.until(`document.querySelectorAll("#messages .body li").length === 3`)
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	b.until(`document.querySelector("#state.live") && document.querySelector("#thread-body")?.enterKeyHint === "enter"`)
	b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "one\rtwo"))
	b.until(`document.querySelector("#thread-body").value === "one\ntwo"`)

	// A keyboard that is put to it has a key that sends.
	b.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2)))
	b.until(`document.querySelector("#thread-panel .thread-replies .body")?.innerText === "one\ntwo"`)
}

func TestTheToolsOfAMessageFitAFinger(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("Hold me")
	b.sees("Hold me")
	const shown = `[...document.querySelectorAll("#tools button")].filter((b) => b.offsetWidth)`
	b.at(1)
	b.until(shown + `.length === 9`)
	b.phone()
	b.until(shown + `.map((b) => b.ariaLabel).join() === "React,Reply,Open the thread,Copy the text,More"`)
	const fit = shown + `.every((b) => { const r = b.getBoundingClientRect(); return r.width >= 44 && r.height >= 44 && r.left >= 0 && r.right <= 390 && r.top >= 0 &&
		b.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)); })`
	b.until(fit)
	b.accessible("tools of a phone")

	// What "More" shows takes the focus, and it is the next that Tab leads to.
	b.do(chromedp.Focus(chromedp.CSS("#tools .more")), chromedp.KeyEvent(kb.Enter))
	b.until(shown + `.length === 9 && document.activeElement.matches("#tools .copy-link")`)
	b.until(fit)
	b.screenshot("phone-tools")
	b.phone()
	b.do(chromedp.KeyEvent(kb.Tab))
	b.until(`document.activeElement.matches("#tools .edit")`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.matches(".editor textarea") && document.querySelector("#tools").hidden`)

	// By a finger.
	b.clicks(".editor .cancel") // a mouse would stay over the message
	hold := b.middle("#messages .body")
	b.finger(input.DispatchTouchEventTypeTouchStart, hold)
	b.until(shown + `.length === 5`)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	more := b.middle("#tools .more")
	b.finger(input.DispatchTouchEventTypeTouchStart, more)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(shown + `.length === 9`)

	// Who taps a reaction wants nothing else.
	log := b.middle("#log")
	b.finger(input.DispatchTouchEventTypeTouchStart, log)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
	exec(t, db, `select chat.react('general', 1, name, '👍') from chat.users`)
	b.until(`document.querySelector("#messages .reaction[aria-pressed=true]")?.textContent === "👍2" && document.querySelector("#tools").hidden`)
	chip := b.middle("#messages .reaction")
	b.finger(input.DispatchTouchEventTypeTouchStart, chip)
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	b.until(`document.querySelector("#messages .reaction[aria-pressed=false]")?.textContent === "👍1" && document.querySelector("#tools").hidden`)

	// Of five each has its place.
	b.at(1)
	b.clicks("#tools .delete")
	b.until(`document.querySelector("#messages .removed")`)
	b.at(1)
	b.until(shown + `.length < 6 && document.querySelector("#tools .more").hidden`)
	b.until(fit)
}

func TestARoomIsStarredInItsSettings(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.phone()
	settings := func() {
		b.do(chromedp.Navigate(site.address + "/rooms/general/settings"))
		b.until(`document.readyState === "complete" && location.pathname.endsWith("/settings")`)
	}
	settings()
	b.until(`!document.querySelector("[name=starred]").checked && document.querySelector(".choice.starred").getBoundingClientRect().height >= 44`)
	b.accessible("settings on a phone")
	b.screenshot("phone-settings")
	b.phone()
	b.do(chromedp.Click(chromedp.CSS("[name=starred]")), chromedp.Submit(chromedp.CSS("[name=starred]")))
	b.until(`location.pathname.endsWith("/settings") && document.querySelector('#starred-rooms a[href="/rooms/general"]') && document.querySelector("[name=starred]").checked`)
	b.do(chromedp.Click(chromedp.CSS("[name=starred]")), chromedp.Submit(chromedp.CSS("[name=starred]")))
	b.until(`location.pathname.endsWith("/settings") && !document.querySelector('#starred-rooms a') && !document.querySelector("[name=starred]").checked`)
}

func TestWhoIsSignedOutComesBackToTheMessage(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("Here")
	b.sees("Here")
	b.phone()
	b.do(chromedp.Navigate(site.address + "/rooms/general?at=1"))
	b.until(`document.querySelector("#state.live") && document.querySelector("#messages .message")`)
	exec(t, db, `delete from chat.sessions`)
	b.until(`document.querySelector("#composer-error a")?.getAttribute("href") === "/sign-in?next=%%2Frooms%%2Fgeneral%%3Fat%%3D1"`)
	b.do(chromedp.Click(chromedp.CSS("#composer-error a")))
	b.until(`document.querySelector("#password")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#name"), "ada"), chromedp.SendKeys(chromedp.CSS("#password"), "correct horse battery"), chromedp.Submit(chromedp.CSS("#password")))
	b.until(`document.querySelector("#state.live") && location.search === "?at=1"`)
}

func TestTheFocusStaysInAMessageThatChanges(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("First")
	b.sees("First")
	exec(t, db, `select chat.post('general', 'ada', 'Second', reply_to => 1)`)
	b.until(`document.querySelector('#messages [data-seq="2"] .quote') && document.querySelector('#messages [data-seq="1"] .thread-link')`)
	b.phone()
	changes := func(seq int) {
		b.t.Helper()
		b.until(`(window.then = document.querySelector('#messages [data-seq="%d"]'))`, seq)
		exec(t, db, `update chat.messages set body = body || '.' where seq = $1`, seq)
		b.until(`!window.then.isConnected && document.querySelector('#messages [data-seq="%d"]')`, seq)
	}
	for selector, seq := range map[string]int{".when": 1, ".thread-link": 1, ".quote": 2} {
		b.until(`(() => { const e = document.querySelector('#messages [data-seq="%d"] %s'); e.focus(); return document.activeElement === e; })()`, seq, selector)
		changes(seq)
		b.until(`document.activeElement.matches('#messages [data-seq="%d"] %s')`, seq, selector)
	}

	// Among its tools, those behind "More" too.
	b.at(1)
	b.do(chromedp.Focus(chromedp.CSS("#tools .more")), chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.matches("#tools .copy-link")`)
	changes(1)
	b.until(`document.activeElement.matches('#messages [data-seq="1"] #tools .copy-link') && document.activeElement.offsetWidth === 44`)

	// What is gone leaves the focus to its message.
	b.until(`(() => { document.querySelector("#tools .edit").focus(); return document.activeElement.matches("#tools .edit"); })()`)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 1`)
	b.until(`document.querySelector('#messages [data-seq="1"] .removed') && document.activeElement.matches('#messages [data-seq="1"]')`)
}
