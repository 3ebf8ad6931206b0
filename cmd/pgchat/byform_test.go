package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

func TestWhatIsDoneWithAMessageWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.do(chromedp.Navigate(site.address+"/sign-up"), chromedp.SendKeys(chromedp.CSS("#name"), "ada"),
		chromedp.SendKeys(chromedp.CSS("#password"), "correct horse battery"), chromedp.Submit(chromedp.CSS("#password")))
	b.until(`document.querySelector(".beginning") && document.readyState === "complete"`)
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `select chat.post('general', 'eve', 'message ' || g) from generate_series(1, 3) g`)
	open := func() {
		t.Helper()
		b.do(chromedp.Navigate(site.address + "/rooms/general?at=2"))
		b.until(`document.readyState === "complete" && document.querySelector(".by-form")`)
	}
	press := func(css string) {
		t.Helper()
		b.do(chromedp.Click(chromedp.CSS(css)))
	}

	// Read, and unread from a message on.
	open()
	b.until(`document.querySelector(".unread-by-form span").textContent === "3 unread messages" && document.querySelector(".first-new").dataset.seq === "1"`)
	b.screenshot("by-form")
	press(".unread-by-form button")
	b.until(`document.readyState === "complete" && document.querySelector("#messages .message") && !document.querySelector(".unread-by-form")`)
	open()
	press(".by-form [name=back]")
	b.until(`document.querySelector(".unread-by-form span")?.textContent === "2 unread messages" && document.readyState === "complete"`)
	b.until(`getComputedStyle(document.querySelector(".first-new"), "::before").content === '"New"'`)
	press(".unread-by-form a")
	b.until(`location.search === "?at=2" && document.querySelector(".found.first-new")?.dataset.seq === "2" && document.readyState === "complete"`)

	// A reaction, a pin.
	open()
	b.do(chromedp.SendKeys(chromedp.CSS("#reaction"), "🎉"))
	press("#reaction + button")
	b.until(`document.querySelector('[data-seq="2"] .reaction b')?.textContent === "1" && document.readyState === "complete"`)
	open()
	press(".by-form [name=on][value=true]")
	b.until(`document.querySelector('[data-seq="2"] .pinned') && document.querySelector(".by-form [name=on][value=false]") && document.readyState === "complete"`)
	press(".by-form [name=on][value=false]")
	b.until(`location.pathname === "/rooms/general/pins" && document.querySelector(".none")`)

	// A reply, and the thread that it makes.
	open()
	press(".by-form a[href*='reply=']")
	b.until(`document.querySelector("#replying:not([hidden]) .quoted")?.textContent === "message 2" && document.readyState === "complete"`)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "an answer"))
	press("#composer .primary")
	b.until(`%s.at(-1) === "an answer" && document.querySelector("#messages .message:last-of-type .quote")`, shown)
	open()
	press(".by-form a[href*='thread=']")
	b.until(`document.querySelector("#thread-panel:not([hidden]) .thread-replies .body")?.textContent === "an answer"`)
}
