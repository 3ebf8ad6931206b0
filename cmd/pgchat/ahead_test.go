package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/preload"
	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// over moves the pointer over an element.
func (b *browser) over(selector string) {
	b.t.Helper()
	at := evaluated[[2]float64](b, `(({ left, top, width, height }) => [left + width / 2, top + height / 2])(document.querySelector(`+"`"+selector+"`"+`).getBoundingClientRect())`)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
}

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
	b.over("#log")
	b.until(fetched + ` === 0`)
	b.over(`#rooms a[href="/rooms/design"]`)
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

func TestAPageIsFetchedWhenThePointerComesToItsLink(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	exec(t, db, `select chat.post('design', 'ada', 'fetched ahead')`)
	fetched := make(chan string, 100)
	b.call(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, preload.Enable, cdp.Empty{})
		return err
	})
	if err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*preload.EventPrefetchStatusUpdated); ok && e.Status == preload.IngStatusReady {
			fetched <- e.PrefetchURL
		}
	}); err != nil {
		t.Fatal(err)
	}

	// From a page that is no room's to a room, by the list of rooms and by any other link.
	for from, link := range map[string]string{"/rooms": `.room-cards a[href="/rooms/design"]`, "/rooms/general/settings": `#rooms a[href="/rooms/design"]`} {
		b.do(chromedp.Navigate(site.address + from))
		b.until(`document.readyState === "complete" && document.querySelector(%q)`, link)
		b.over(link)
		for site.address+"/rooms/design" != <-fetched {
		}
		b.do(chromedp.Click(chromedp.CSS(link)))
		b.until(`document.querySelector("#state.live") && performance.getEntriesByType("navigation")[0].deliveryType === "navigational-prefetch"`)
		b.sees("fetched ahead")
	}
}
