package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMessagesArePinnedInTheirRoom(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	fill(t, db, 200)
	eve.say("The address of the printers: https://print.example")
	ada.until(`document.querySelector("#messages [data-seq='201']")`)
	eve.until(`document.querySelector("#messages [data-seq='201']") && document.querySelector(".pins-button").hidden`)
	const pins = `(document.querySelector(".pins-button").hidden ? "" : document.querySelector(".pins-button b").textContent) === "%s"`

	// By a message's tools; both see it.
	eve.at(201)
	eve.until(`document.querySelector("#tools .pin").ariaLabel === "Pin"`)
	eve.do(chromedp.Click(chromedp.CSS("#tools .pin")))
	for _, b := range []*browser{ada, eve} {
		b.until(`document.querySelector("#messages [data-seq='201'] .pinned")?.textContent.trim() === "Pinned by eve"`)
		b.until(pins, "1")
	}

	// The list, of what the page does not hold as well; from there to the message.
	exec(t, db, `select chat.pin('general', 5, 'ada')`)
	ada.until(pins, "2")
	ada.do(chromedp.Click(chromedp.CSS(".pins-button")))
	ada.until(`document.querySelectorAll("#pins:popover-open .pin-list li").length === 2 && document.querySelector("#pins li").dataset.seq === "5"`)
	ada.screenshot("pins")
	ada.accessible("pins")
	exec(t, db, `update chat.messages set body = 'It was **mended**.' where seq = 5`)
	ada.until(`document.querySelector("#pins li .body strong")?.textContent === "mended"`)
	ada.do(chromedp.Click(chromedp.CSS(`#pins li a.button`)))
	ada.until(foundInSight, 5)
	ada.until(`!document.querySelector("#pins").matches(":popover-open")`)
	ada.screenshot("pinned")

	// Unpinned in the list, while eve has it open; one that is deleted is not in it.
	eve.do(chromedp.Click(chromedp.CSS(".pins-button")))
	eve.until(`document.querySelectorAll("#pins:popover-open .pin-list li").length === 2`)
	ada.do(chromedp.Click(chromedp.CSS(".pins-button")))
	ada.until(`document.querySelectorAll("#pins:popover-open .pin-list li").length === 2`)
	ada.clicks(`#pins li:first-child form button`)
	for _, b := range []*browser{ada, eve} {
		b.until(`document.querySelectorAll("#pins .pin-list li").length === 1`)
		b.until(pins, "1")
	}
	ada.until(`!document.querySelector("#messages [data-seq='5'] .pinned")`)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 201`)
	eve.until(pins, "")
	eve.until(`document.querySelector("#pins:popover-open .none")`)
	eve.screenshot("no-pins")
	exec(t, db, `update chat.messages set deleted_at = null where seq = 201`)
	eve.until(pins, "1")
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`!document.querySelector("#pins").matches(":popover-open")`)

	// Who was away catches up.
	quietly(t, db, `update chat.rooms set archived_at = now() where slug = 'general'`)
	eve.at(200)
	eve.do(chromedp.Click(chromedp.CSS("#tools .pin")))
	eve.until(`document.querySelector("#toast").textContent.includes("archived")`)
	quietly(t, db, `update chat.rooms set archived_at = null where slug = 'general'`)
	addRooms(t, db, "other")
	ada.until(`window.same = true`)
	ada.to("other")
	ada.shows("other")
	exec(t, db, `select chat.pin('general', 200, 'eve'), chat.pin('general', 7, 'eve')`)
	ada.to("general")
	ada.shows("general")
	ada.until(pins, "3")
}

func TestPinsWithoutAScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'look')`)
	exec(t, db, `select chat.pin('general', 1, 'ada')`)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	}, chromedp.Navigate(site.address+"/rooms/general"))
	b.do(chromedp.Click(chromedp.CSS(`.pins-button`)), chromedp.WaitVisible(chromedp.CSS(".pin-list")))
	b.screenshot("pins-page")
	b.do(chromedp.Click(chromedp.CSS(`.pin-list form button`)))
	until(t, db, `select count(*) = 0 from chat.pins`)
	b.do(chromedp.WaitVisible(chromedp.CSS(".none")))
}
