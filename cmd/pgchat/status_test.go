package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// personIs is true when the page shows somebody in a place so.
func (b *browser) personIs(place, name, state, emoji, text string) {
	b.t.Helper()
	b.until(`[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q) && e.querySelector(".dot." + %q) &&
		(e.querySelector(".mood")?.textContent ?? "") === %q && (e.querySelector(".says")?.textContent ?? %[5]q) === %[5]q)`, place, name, state, emoji, text)
}

func TestHowPeopleAreIsSeenWhereTheyAreShown(t *testing.T) {
	url := pgtest.URL(t)
	one, two := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0")
	db := pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	eve.signUp(two.address, "eve")
	ada.signUp(one.address, "ada")
	ada.say("hello")
	eve.sees("hello")
	eve.until(`document.querySelector("#people li form button[title='Write to ada']")`)
	eve.do(chromedp.Click(chromedp.CSS("#people button[title='Write to ada']")))
	eve.until(`location.pathname.startsWith("/rooms/direct-") && document.querySelector("#state.live")`)
	eve.personIs("#rooms li", "ada", "online", "", "")
	eve.until(`window.same = true`)
	eve.to("general")

	// The dialog: what is wrong is said in it, what is right is seen by everybody.
	ada.do(chromedp.Click(chromedp.CSS(".me-button")), chromedp.WaitVisible(chromedp.CSS("#me-menu")))
	ada.accessible("menu")
	ada.screenshot("status-menu")
	ada.do(chromedp.Click(chromedp.CSS(".set-status")), chromedp.WaitVisible(chromedp.CSS("#status-dialog")))
	ada.until(`document.activeElement.id === "status-text"`)
	ada.do(chromedp.SendKeys(chromedp.CSS("#status-emoji"), "no"), chromedp.SendKeys(chromedp.CSS("#status-text"), "Writing the docs"), chromedp.Click(chromedp.CSS(".status-form .primary")))
	ada.until(`document.querySelector("#status-dialog #emoji-error")?.textContent.includes("Only an emoji") && document.querySelector("#status-text").value === "Writing the docs"`)
	ada.accessible("dialog")
	ada.screenshot("status-dialog")
	ada.until(`(() => { document.querySelector("#status-emoji").value = "📝"; document.querySelector("#status-text").focus(); return true; })()`)
	ada.do(chromedp.KeyEvent(kb.Enter))
	ada.until(`!document.querySelector("#status-dialog").open`)
	ada.personIs(".me", "ada", "online", "📝", "Writing the docs")
	eve.personIs("#people li", "ada", "online", "📝", "Writing the docs")
	eve.personIs("#rooms li", "ada", "online", "📝", "")
	eve.until(`getComputedStyle(document.querySelector("#messages .message header b"), "::after").content.includes("📝")`)
	eve.until(`document.querySelector("#messages .message header b").dispatchEvent(new Event("pointerover", { bubbles: true })) &&
		document.querySelector("#messages .message header b").title.startsWith("online · 📝 Writing the docs until")`)
	var tonight bool
	if err := db.QueryRow(t.Context(), `select status_until - now() between interval '0' and interval '25 hours' from chat.users where name = 'ada'`).Scan(&tonight); err != nil || !tonight {
		t.Errorf("it does not end tonight (%v)", err)
	}

	// Not to be disturbed: others see it, no notification comes.
	ada.until(`(() => { window.shownNotes = []; window.Notification = class { static permission = "granted"; constructor(name) { shownNotes.push(name); } addEventListener() {} }; return true; })()`)
	ada.do(chromedp.Click(chromedp.CSS(".me-button")), chromedp.WaitVisible(chromedp.CSS("#me-menu")), chromedp.Click(chromedp.CSS(".quiet-for [value='1h']")))
	ada.until(`!document.querySelector("#me-menu:popover-open")`)
	ada.personIs(".me", "ada", "dnd", "📝", "Writing the docs")
	eve.personIs("#people li", "ada", "dnd", "📝", "Writing the docs")
	ada.front(false)
	eve.say("@ada psst")
	ada.sees("@ada psst")
	ada.until(`document.title.startsWith("(1)")`)
	ada.until(`shownNotes.length === 0`)
	exec(t, db, `update chat.users set dnd_until = null, status_text = 'set by SQL' where name = 'ada'`)
	eve.personIs("#people li", "ada", "online", "📝", "set by SQL")
	ada.personIs(".me", "ada", "online", "📝", "set by SQL")
	eve.say("@ada now")
	ada.until(`shownNotes.length === 1`)
	ada.front(true)

	// What has an end ends by itself, without anybody writing anything.
	exec(t, db, `update chat.users set status_until = now() + interval '2 seconds' where name = 'ada'`)
	eve.personIs("#people li", "ada", "online", "", "")
	ada.personIs(".me", "ada", "online", "", "")
	eve.until(`getComputedStyle(document.querySelector("#messages .message header b"), "::after").content === "none"`)

	exec(t, db, `update chat.users set status_emoji = '🌴', status_text = 'On holiday, back in June', status_until = null, dnd_until = 'infinity' where name = 'ada'`)
	eve.personIs("#people li", "ada", "dnd", "🌴", "On holiday, back in June")
	eve.accessible("people")
	eve.screenshot("status-people")
	ada.do(chromedp.Navigate(one.address + "/rooms/general/settings"))
	ada.personIs("#members li", "ada", "dnd", "🌴", "On holiday, back in June")
	ada.personIs("#members li", "eve", "online", "", "")
	ada.accessible("members")
	ada.screenshot("status-members")
	eve.until(`document.querySelectorAll("#people li").length === 1`)
	eve.personIs("#rooms li", "ada", "dnd", "🌴", "") // without a room open, but there
	ada.do(chromedp.Navigate(one.address + "/status"))
	ada.until(`document.querySelector("#status-text").value === "On holiday, back in June"`)
	ada.accessible("status")
	ada.screenshot("status-page")
	ada.do(chromedp.Navigate("about:blank"))
	eve.personIs("#rooms li", "ada", "offline", "🌴", "")
}

func TestWhoTouchesNothingIsAway(t *testing.T) {
	site, _ := one(t)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(site.address, "ada")
	eve.signUp(site.address, "eve")
	eve.personIs("#people li", "ada", "online", "", "")
	// Patience of 0.3 s instead of 5 minutes, from before the page's scripts run.
	ada.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `document.addEventListener("readystatechange", () => { document.body.dataset.idle = "300"; }, { once: true })`,
		})
		return chromedp.Void{}, err
	})
	ada.do(chromedp.Reload())
	eve.personIs("#away li", "ada", "away", "", "")
	eve.until(`document.querySelector(".away-title:not([hidden])").textContent === "Away — 1" && document.querySelector("#online").textContent === "1"`)
	ada.personIs(".me", "ada", "away", "", "")
	eve.accessible("away")
	eve.screenshot("status-away")
	ada.until(`(() => { document.body.dataset.idle = "300000"; return true; })()`)
	ada.do(chromedp.KeyEvent("x"))
	eve.personIs("#people li", "ada", "online", "", "")
	ada.personIs(".me", "ada", "online", "", "")

	// On a narrow screen the menu is in the drawer.
	ada.do(chromedp.EmulateViewport(390, 800))
	ada.until(`(location.hash = "sidebar") && document.activeElement.matches(".sidebar .close")`) // which slides in
	ada.until(`document.querySelector(".sidebar").getBoundingClientRect().left === 0`)
	ada.do(chromedp.Click(chromedp.CSS(".me-button")), chromedp.WaitVisible(chromedp.CSS("#me-menu")))
	ada.accessible("menu, narrow")
	ada.screenshot("status-menu-narrow")
}
