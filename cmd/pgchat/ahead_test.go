package main_test

import (
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestARoomIsFetchedWhenThePointerComesToIt(t *testing.T) {
	url := pgtest.URL(t)
	site, db := serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design", "ops")
	exec(t, db, `select chat.post('design', 'ada', 'fetched ahead')`)
	b.until(`document.querySelectorAll("#rooms li").length === 3`)
	b.badge("design", "1")
	b.badge("ops", "")
	b.until(`window.same = true`)
	const fetched = `performance.getEntriesByType("resource").filter((e) => new URL(e.name).pathname === "/rooms/design").length`
	over := func(selector string) {
		t.Helper()
		at := evaluated[[2]float64](b, `(({ left, top, width, height }) => [left + width / 2, top + height / 2])(document.querySelector(`+"`"+selector+"`"+`).getBoundingClientRect())`)
		b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
	}
	over("#log")
	b.until(fetched + ` === 0`)
	over(`#rooms a[href="/rooms/design"]`)
	b.until(fetched + ` === 1`)
	b.until(`location.pathname === "/rooms/general" && document.querySelector("#view").dataset.slug === "general"`)
	b.badge("design", "1") // which is not to read it

	// It is shown without being asked for again, but live all the same.
	b.to("design")
	b.sees("fetched ahead")
	b.badge("design", "")
	exec(t, db, `select chat.post('design', 'ada', 'and live')`)
	b.sees("and live")
	b.until(fetched + ` === 1`)

	// By the keyboard, too.
	b.until(`(document.querySelector('#rooms a[href="/rooms/ops"]').focus(), performance.getEntriesByType("resource").some((e) => new URL(e.name).pathname === "/rooms/ops"))`)
	b.until(`location.pathname === "/rooms/design"`)
}
