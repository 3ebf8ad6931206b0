package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// phone makes the browser one: 390 px wide, with a finger for a pointer.
func (b *browser) phone() {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.until(`matchMedia("(hover: none) and (pointer: coarse)").matches && innerWidth === 390`)
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
