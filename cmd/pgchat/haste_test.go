package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// holdAnswers keeps what the server answers from the page until letThrough() is called there; held counts what came.
const holdAnswers = `(() => {
	const real = window.fetch;
	let open;
	const gate = new Promise((ready) => { open = ready; });
	window.held = 0;
	window.letThrough = () => { window.fetch = real; open(); return true; };
	window.fetch = async (...args) => { const answer = await real(...args); window.held++; await gate; return answer; };
	return true;
})()`

func TestWhatIsAskedForTwiceComesOnceAndIsNotOlderThanWhatWasTold(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'who is in?')`)
	exec(t, db, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'I am ' || g from chat.rooms r, chat.users u, generate_series(2, 151) g where r.slug = 'general'`)
	exec(t, db, `insert into chat.replies (room_id, seq, reply_to) select r.id, g, 1 from chat.rooms r, generate_series(2, 151) g where r.slug = 'general'`)
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	const seqs = `[...document.querySelectorAll(".thread-replies .message")].map((m) => m.dataset.seq)`
	b.until(`document.querySelector("#state.live") && %s.length === 100 && document.querySelector(".thread-pending")`, seqs)
	b.until(holdAnswers)
	b.until(`(document.querySelector(".earlier").click(), document.querySelector(".earlier").click(), true)`)
	b.until(`window.held === 1`)
	exec(t, db, `update chat.messages set body = 'I was' where seq = 5`)
	exec(t, db, `update chat.messages set body = 'I was' where seq = 150`)
	b.until(`document.querySelector('.thread-replies .message[data-seq="150"] .body').textContent === "I was"`)
	b.until(`letThrough()`)
	b.until(`%s.length === 150 && new Set(%[1]s).size === 150 && !document.querySelector(".earlier")`, seqs)
	b.until(`document.querySelector('.thread-replies .message[data-seq="5"] .body').textContent === "I was"`)
}

// Who types a name and Enter before the list has come goes there when it has.
func TestTheSwitcherTakesWhatIsTypedBeforeItIsReady(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	exec(t, db, `select chat.create_room('design', everyone => true)`)
	b.signUp(site.address, "ada")
	b.until(holdAnswers)
	b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	b.until(`document.querySelector("#switcher[open]") && window.held === 1`)
	b.do(chromedp.KeyEvent("desi"), chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#switcher input").value === "desi" && letThrough()`)
	b.until(`location.pathname === "/rooms/design" && document.querySelector("#state.live")`)
}

// Files that are attached to no message yet are in their room for as long as its page is open.
func TestARoomThatIsLeftKeepsWhatIsAttached(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	exec(t, db, `select chat.create_room('design', everyone => true)`)
	b.signUp(site.address, "ada")
	b.until(`document.querySelector("#view").dataset.slug === "general"`)
	b.gives("choose", zeros("data.bin", 1000))
	b.until(`%s.length === 1 && %[1]s.every((c) => c.querySelector("progress").hidden)`, chips)
	to := func(slug string) {
		t.Helper()
		b.do(chromedp.Click(chromedp.CSS(`#rooms a[href="/rooms/` + slug + `"]`)))
		b.until(`document.querySelector("#view").dataset.slug === %q && document.querySelector("#state.live")`, slug)
	}
	to("design")
	b.until(`((now) => { Date.now = () => now() + 10 * 60_000; return true; })(Date.now.bind(Date))`)
	to("general")
	b.until(`%s.length === 1`, chips)
	b.say("here it is")
	b.until(`document.querySelector("#messages .file")?.dataset.name === "data.bin" && !%s.length`, chips)
}

// A page whose room is gone stays connected, for the list of rooms.
func TestAPageWhoseRoomIsGoneStaysConnected(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `select chat.create_room('plans', kind => 'private', owner => 'eve', members => '{ada}')`)
	b.do(chromedp.Navigate(site.address + "/rooms/plans"))
	b.until(`document.querySelector("#state.live")`)
	exec(t, db, `select chat.remove_member('plans', 'ada')`)
	b.until(`document.querySelector("#state-text").textContent === "You are no longer in this room"`)
	// The page gives up connections that have caught up with nothing 10 s after "lost".
	b.until(`(() => {
		document.body.dataset.lost = -9_900;
		window.connections = 0;
		addEventListener("htmx:ws:after:connection", () => { window.connections++; setTimeout(() => { window.later = true; }, 1000); });
		return true;
	})()`)
	exec(t, db, `select chat.disconnect('ada')`)
	b.until(`window.later && window.connections === 1`)
	exec(t, db, `select chat.create_room('design', everyone => true)`)
	b.until(`document.querySelector('#rooms a[href="/rooms/design"]') && window.connections === 1`)
}

func TestTheListOfAllRoomsHasRoomsOnly(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `select chat.create_room('plans', kind => 'private', owner => 'ada')`)
	b.do(chromedp.Navigate(site.address + "/direct/new"))
	b.do(chromedp.Click(chromedp.CSS(`.members li:last-child input`)), chromedp.Submit(chromedp.CSS(`.members input`)))
	b.until(`document.querySelector("h1").textContent.trim().endsWith("eve") && document.querySelector("#state.live")`)
	b.do(chromedp.Navigate(site.address + "/rooms"))
	b.until(`[...document.querySelectorAll(".room-cards b")].map((e) => e.textContent.trim()).join() === "general,plans" && document.querySelectorAll("#direct-rooms li").length === 1`)
	b.until(`document.querySelectorAll(".room-cards .lucide-lock").length === 1 && document.querySelectorAll(".room-cards .lucide-hash").length === 1`)
}
