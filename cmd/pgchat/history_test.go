package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// unbroken: the page's messages are without a gap, each once, and reach to the newest.
const unbroken = `(() => { const seqs = [...document.querySelectorAll("#messages .message")].map((m) => Number(m.dataset.seq));
	return seqs.at(-1) === %d && seqs.every((s, i) => i === 0 || s === seqs[i - 1] + 1); })()`

// foundInSight: the message is marked and on the screen.
const foundInSight = `(() => { const found = document.querySelectorAll("#messages .found"); if (found.length !== 1 || found[0].dataset.seq !== "%d") return false;
	const m = found[0].getBoundingClientRect(), log = document.querySelector("#log").getBoundingClientRect(); return m.top >= log.top && m.bottom <= log.bottom; })()`

func (b *browser) jumpSays(text string) {
	b.t.Helper()
	b.until(`!document.querySelector("#jump").hidden && document.querySelector("#jump span").textContent === %q`, text)
}

func TestAPageThatLooksBackCountsWhatComesAndGoesOnWithoutAGap(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	fill(t, db, 400)
	ada.do(chromedp.Navigate(one.address + "/rooms/general?at=100"))
	ada.until(`document.querySelector("#state.live") && (window.same = true)`)
	ada.until(foundInSight, 100)
	ada.jumpSays("Jump to the newest")
	ada.screenshot("at-a-message")

	// What comes is counted, and not put under what it does not follow.
	eve.say("one")
	eve.say("two")
	ada.jumpSays("2 new messages · jump to the newest")
	ada.until(`!%s.includes("one") && %[1]s.at(-1) !== "message 400"`, shown)
	ada.screenshot("looking-back")
	ada.accessible("looking back")

	// By scrolling to the end it becomes live again.
	ada.until(`(() => { document.querySelector("#log").scrollTop = 0; return %s; })()`, fmt.Sprintf(unbroken, 402))
	ada.until(`document.querySelector("#jump").hidden && document.querySelector("#newer").hidden`)
	eve.say("three")
	ada.sees("three")
	ada.until(unbroken, 403)

	// By the button as well, while messages come all the time.
	ada.do(chromedp.Navigate(one.address + "/rooms/general?at=50"))
	ada.until(`document.querySelector("#state.live") && %s && (window.same = true)`, fmt.Sprintf(foundInSight, 50))
	for i := range 10 {
		eve.say(fmt.Sprint("more ", i))
	}
	ada.until(`document.querySelector("#jump span").textContent.includes("new messages")`)
	ada.do(chromedp.Click(chromedp.CSS("#jump")))
	for i := range 10 {
		eve.say(fmt.Sprint("still more ", i))
	}
	ada.until(unbroken, 423)
	ada.until(`document.querySelector("#jump").hidden && location.search === ""`)

	// Who says something is at the newest messages.
	ada.do(chromedp.Navigate(one.address + "/rooms/general?at=50"))
	ada.until(`document.querySelector("#state.live") && (window.same = true)`)
	ada.say("here")
	ada.sees("here")
	ada.until(unbroken, 424)
	ada.until(`!document.querySelector("#pending .message") && window.same`)
}

func TestAMessageHasAnAddress(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	fill(t, db, 300)
	b.do(chromedp.Navigate(site.address + "/rooms/design"))
	b.until(`document.querySelector("#state.live") && (window.same = true)`)

	// From another room, by a link, without loading the page; then within the room.
	const follow = `(() => { const a = document.createElement("a"); a.href = "/rooms/general?at=%d"; document.body.append(a); a.click(); a.remove(); return true; })()`
	b.until(follow, 150)
	b.shows("general")
	b.until(foundInSight, 150)
	b.until(`location.search === "?at=150"`)
	b.until(follow, 20)
	b.until(foundInSight, 20)
	b.until(`location.search === "?at=20" && window.same`)

	// The time is the link to a message; with the keyboard.
	b.until(`(() => { const message = document.querySelector('#messages [data-seq="22"]'); message.tabIndex = -1; message.focus(); return message.querySelector(".when").offsetWidth; })()`)
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.until(foundInSight, 22)
	b.until(`location.search === "?at=22" && window.same && (navigator.clipboard.writeText = async (text) => { window.copied = text; }, true)`)
	b.do(chromedp.Click(chromedp.CSS("#tools .copy-link")))
	b.until(`window.copied === %q`, site.address+"/rooms/general?at=22")

	// One that is not there, and what cannot be loaded.
	b.until(follow, 999)
	b.until(foundInSight, 300)
	b.until(`document.querySelector("#toast").textContent.includes("There is no message 999")`)
	b.until(`(() => { window.real = fetch; window.fetch = async () => { throw new TypeError("away"); }; return true; })()`)
	b.until(follow, 20)
	b.until(`document.querySelector("#toast").textContent.includes("could not be loaded") && document.querySelector("#toast button")?.textContent === "Try again"`)
	b.until(`(window.fetch = window.real, true)`)
	b.do(chromedp.Click(chromedp.CSS("#toast button")))
	b.until(foundInSight, 20)
	b.do(chromedp.NavigateBack())
	b.shows("design")
}

func TestADayIsGoneTo(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'message ' || g, timestamptz '2026-03-31 12:00+00' - (300 - g) * interval '1 day'
		from chat.rooms r, chat.users u, generate_series(1, 300) g where r.slug = 'general' order by g`)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s.at(-1) === "message 300" && (window.same = true)`, shown)
	b.do(chromedp.Click(chromedp.CSS("#messages .day:last-of-type button")))
	b.until(`document.querySelector("#to-date:popover-open") && document.querySelector("#date").value === "2026-03-31"`)
	b.screenshot("to-a-day")
	b.accessible("to a day")
	b.until(`(document.querySelector("#date").value = "2026-01-01", document.querySelector("#to-date").requestSubmit(), true)`)
	b.until(foundInSight, 211)
	b.until(`!document.querySelector("#to-date:popover-open") && window.same && location.search === "?at=211"`)

	// After the last day there is nothing.
	b.until(`(() => { const day = document.querySelector("#date"); day.max = ""; day.value = "2026-04-01"; document.querySelector("#to-date").showPopover(); document.querySelector("#to-date").requestSubmit(); return true; })()`)
	b.until(`document.querySelector("#toast").textContent.includes("Nothing was said")`)
	b.until(unbroken, 300)
	b.until(lastInSight)
}

func TestALongAbsenceIsNoFlood(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	fill(t, db, 60)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && (window.same = true)`)
	b.to("design")
	exec(t, db, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'missed ' || g
		from chat.rooms r, chat.users u, generate_series(1, 1000) g where r.slug = 'general' and u.name = 'eve' order by g`)
	exec(t, db, `update chat.messages set body = 'changed' where seq = 60 and room_id = (select id from chat.rooms where slug = 'general')`)
	b.to("general")
	b.jumpSays("1,000 new messages · jump to the newest")
	b.sees("changed")
	b.until(`document.querySelectorAll("#messages .message").length < 200 && !%s.includes("missed 1000")`, shown)
	b.screenshot("absence")
	b.until(`document.querySelector(".new + .message .body")?.textContent === "missed 1"`)

	// Jumping, then scrolling back to where it began.
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(unbroken, 1060)
	b.badge("general", "")
	b.until(`(() => { const log = document.querySelector("#log"); log.scrollTop = -log.scrollHeight; return %s.includes("missed 1"); })()`, shown)
	b.until(unbroken, 1060)

	// Few are sent as always.
	b.to("design")
	exec(t, db, `select chat.post('general', 'eve', 'a few')`)
	b.to("general")
	b.sees("a few")
	b.until(unbroken, 1061)
}

func TestThePageStaysBoundedAndInPlace(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 600)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && (document.querySelector("#view").dataset.most = 200)`)
	b.until(`(() => { // what moves a message that is in sight, other than scrolling, is kept as window.moved
		const log = document.querySelector("#log"), messages = document.querySelector("#messages");
		window.moved = 0;
		let held, top;
		const look = () => { const from = log.getBoundingClientRect().top;
			held = [...messages.querySelectorAll(".message")].find((m) => m.getBoundingClientRect().top >= from + 50); top = held?.getBoundingClientRect().top; };
		window.step = (by) => { compare(); log.scrollTop += by; look(); };
		const compare = () => { if (held?.isConnected) window.moved = Math.max(window.moved, Math.abs(held.getBoundingClientRect().top - top)); look(); };
		new MutationObserver(compare).observe(messages, { childList: true });
		const each = () => { compare(); requestAnimationFrame(each); };
		requestAnimationFrame(each);
		look();
		return true; })()`)
	count := `document.querySelectorAll("#messages .message").length`
	b.until(`(() => { step(-400); return document.querySelector('#messages [data-seq="1"]'); })()`)
	b.until(`%s <= 200 && document.querySelector(".log .beginning") && !document.querySelector("#jump").hidden && !document.querySelector('#messages [data-seq="600"]')`, count)
	b.until(`(() => { step(400); return document.querySelector('#messages [data-seq="600"]'); })()`)
	b.until(`%s <= 200 && document.querySelector("#jump").hidden && document.querySelector("#older a.older")`, count)
	b.until(unbroken, 600)
	moved, err := chromedp.Run(b.ctx, chromedp.Evaluate[float64](`window.moved`))
	if err != nil || moved > 2 {
		t.Errorf("a message in sight moved by %.1f px (%v)", moved, err)
	}
	t.Logf("a message in sight moved by at most %.2f px", moved)

	// Where somebody reads at the beginning of a long log, what comes does not take it away.
	b.until(`(() => { step(-400); return document.querySelector('#messages [data-seq="1"]'); })()`)
	exec(t, db, `select chat.post('general', 'ada', 'news')`)
	b.jumpSays("1 new message · jump to the newest")
	b.until(`document.querySelector('#messages [data-seq="1"]')`)
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(unbroken, 601)

	// While it waits the page says so, and that it could not be done.
	b.until(`(() => { window.real ??= fetch; window.fetch = () => new Promise((_, fail) => { window.fail = () => fail(new TypeError("away")); });
		const log = document.querySelector("#log"); log.scrollTop = -log.scrollHeight; return document.querySelector("#older.loading"); })()`)
	b.screenshot("loading")
	b.accessible("loading")
	b.until(`(window.fail(), window.fetch = window.real, document.querySelector("#older a")?.textContent.includes("Try again"))`)
	b.do(chromedp.Click(chromedp.CSS("#older a.older")))
	b.until(`!document.querySelector("#older").textContent.includes("Try again")`)
}

// What comes at once is put in some at a time, so that no frame is long; where the page is out of sight, and timers hardly run, at once.
func TestMuchThatComesAtOnceIsPutInOverSeveralFrames(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.until(`document.querySelector("#people li")`) // what else is told has what came put in first
	// The log's timers run when the test says so.
	b.until(`(() => {
		window.held = []; window.told = 0; window.puts = [];
		const real = setTimeout;
		window.setTimeout = (act, ms, ...more) => ms === 50 ? held.push(act) : real(act, ms, ...more);
		addEventListener("htmx:ws:before:message:incoming", (e) => {
			const frame = JSON.parse(e.detail.message.data);
			if (frame.type === "messages") told += frame.last - frame.first + 1;
		});
		new MutationObserver((records) => puts.push(...records.map((r) => r.addedNodes.length)))
			.observe(document.querySelector("#messages"), { childList: true });
		return true; })()`)
	for i := range 30 {
		exec(t, db, `select chat.post('general', 'ada', $1)`, fmt.Sprint("many ", i+1))
	}
	b.until(`window.told === 30`)
	b.until(`window.held.length === 1 && document.querySelectorAll("#messages .message").length < 30`)
	b.until(`(() => { while (held.length) held.shift()(); return document.querySelectorAll("#messages .message").length === 30; })()`)
	b.until(unbroken, 30)
	for _, put := range evaluated[[]int](b, `window.puts`) {
		if put > 15 {
			t.Errorf("%d messages were put in at once", put)
		}
	}

	b.until(`Object.defineProperty(document, "hidden", { get: () => true }) && true`)
	for i := range 3 {
		b.until(`(window.then ??= performance.now()) + 100 <= performance.now()`) // since the last ones were put in
		exec(t, db, `select chat.post('general', 'ada', $1)`, fmt.Sprint("out of sight ", i+1))
		b.until(`%s.at(-1) === "out of sight %d" && !(window.then = undefined)`, shown, i+1)
	}
}

// What is dropped while one follows what is said is neither loaded again at once nor lost while more of the past is on its way.
func TestWhatIsDroppedStaysAwayAndLeavesNoGap(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 40)
	exec(t, db, `select chat.post('general', 'ada', repeat(E'a long one\n', 20))`)
	exec(t, db, `select chat.post('general', 'ada', 'after ' || i) from generate_series(1, 22) i`)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && document.querySelectorAll("#messages .message").length === 50`)
	b.until(`(() => { window.asked = 0; window.real = fetch; window.fetch = (path, ...more) => { if (String(path).includes("before=")) asked++; return real(path, ...more); }; return true; })()`)
	b.say("news")
	b.until(`document.querySelector('#messages [data-seq="64"]') && document.querySelectorAll("#messages .message").length < 40`)
	if evaluated[int](b, `new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(seen)))).then(() => window.asked)`) > 0 {
		t.Error("what was dropped is loaded again")
	}

	b.until(`(() => { window.fetch = (...given) => new Promise((ready) => { window.go = () => ready(real(...given)); });
		const log = document.querySelector("#log"); log.scrollTop = -log.scrollHeight; return window.go && document.querySelector("#older.loading"); })()`)
	b.until(`(() => { document.querySelector("#log").scrollTop = 0; return document.querySelector("#log").scrollTop === 0; })()`)
	exec(t, db, `select chat.post('general', 'ada', 'more ' || i) from generate_series(1, 30) i`)
	b.until(`document.querySelector('#messages [data-seq="94"]') && (window.fetch = real) && (go(), true)`)
	b.until(`!document.querySelector("#older.loading")`)
	b.until(`(() => { const seqs = [...document.querySelectorAll("#messages .message")].map((m) => Number(m.dataset.seq)); return seqs.every((s, i) => i === 0 || s === seqs[i - 1] + 1) && seqs.at(-1) === 94; })()`)
}

// A day that was today is not any more when the next one has begun.
func TestTheDayBeforeIsYesterday(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("before midnight")
	b.sees("before midnight")
	const days = `[...document.querySelectorAll("#messages .day")].map((d) => d.textContent).join()`
	b.until(days + ` === "Today"`)
	b.until(`(() => { for (const e of document.querySelectorAll("#messages .day, #messages .message")) e.dataset.time = new Date(new Date(e.dataset.time) - 86_400_000).toISOString(); return true; })()`)
	exec(t, db, `select chat.post('general', 'ada', 'after midnight')`)
	b.until(days + ` === "Yesterday,Today"`)
}

func TestLookingBackLosesNothing(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	addRooms(t, db, "design")
	fill(t, db, 300)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s.at(-1) === "message 300" && (window.same = true)`, shown)

	// What is being edited is there again when its message is.
	b.do(chromedp.Click(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
	b.until(`document.querySelector(".editor textarea")?.value === "message 300" && (document.querySelector(".editor textarea").value = "half", true)`)
	const follow = `(() => { const a = document.createElement("a"); a.href = "/rooms/general?at=%d"; document.body.append(a); a.click(); a.remove(); return true; })()`
	b.until(follow, 50)
	b.until(foundInSight, 50)
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(unbroken, 300)
	b.until(`document.querySelector('[data-seq="300"].editing .editor textarea')?.value === "half"`)

	// A message that changes while it is on its way is shown as it is now; what comes meanwhile is not shown twice.
	b.until(`(() => { window.real ??= fetch;
		window.fetch = async (...what) => { const answer = await window.real(...what); window.held = true; await new Promise((go) => { window.release = go; }); return answer; }; return true; })()`)
	b.until(follow, 50)
	b.until(`window.held && document.querySelector("#view.waiting")`)
	b.screenshot("waiting")
	exec(t, db, `update chat.messages set body = 'changed' where seq = 51`)
	exec(t, db, `select chat.post('general', 'ada', 'meanwhile')`)
	b.sees("meanwhile")
	b.until(`(window.fetch = window.real, window.release(), true)`)
	b.until(foundInSight, 50)
	b.until(`document.querySelector('[data-seq="51"] .body').textContent === "changed" && !document.querySelector("#view.waiting")`)
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(unbroken, 301)

	// A room that takes its time.
	b.until(`(() => { window.held = false; window.fetch = async (...what) => { window.held = true; await new Promise((go) => { window.release = go; }); return window.real(...what); }; return true; })()`)
	b.do(chromedp.Click(chromedp.CSS(`.sidebar a[href="/rooms/design"]`)))
	b.until(`window.held && document.querySelector("#view.waiting")`)
	b.until(`(window.fetch = window.real, window.release(), true)`)
	b.shows("design")
}

func TestLookingBackWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 200)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.do(chromedp.Navigate(site.address + "/rooms/general?at=100"))
	b.until(foundInSight, 100)
	b.until(`getComputedStyle(document.querySelector("#messages .body")).fontWeight === "400"`) // as on any page
	b.screenshot("without-javascript")
	b.do(chromedp.Click(chromedp.CSS("#newer .next")))
	b.until(`%s[0] === "message 125" && %[1]s.at(-1) === "message 174"`, shown)
	b.do(chromedp.Click(chromedp.CSS(".day button")))
	b.until(`document.querySelector("#to-date:popover-open")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#date"), "01012199"), chromedp.Submit(chromedp.CSS("#date")))
	b.until(`document.querySelector(".log-notice")?.textContent.includes("Nothing was said") && %s.at(-1) === "message 200" && document.querySelector("#newer").hidden`, shown)
	b.screenshot("no-such-day")
}

// inPieces is the address of the instance by a proxy whose pages stop so many bytes after a text, until goOn is sent to.
func inPieces(t *testing.T, address, text string, more int) (through string, goOn chan<- struct{}) {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	rest := make(chan struct{}, 1)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, 0), // a page that is left early
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(r *http.Response) error {
			whole, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			first, then := whole, []byte(nil)
			if i := bytes.Index(whole, []byte(text)); i >= 0 && strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
				first, then = whole[:i+len(text)+more], whole[i+len(text)+more:]
			}
			in, out := io.Pipe()
			go func() {
				_, err := out.Write(first)
				if then != nil && err == nil {
					select {
					case <-rest:
						_, err = out.Write(then)
					case <-r.Request.Context().Done():
						err = r.Request.Context().Err()
					}
				}
				_ = out.CloseWithError(err)
			}()
			r.Body = in
			return err
		},
	}
	site := httptest.NewServer(proxy)
	t.Cleanup(func() {
		site.CloseClientConnections()
		site.Close()
	})
	return site.URL, rest
}

func TestAMessageIsInSightWithoutJavaScriptHoweverItsPageComes(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 200)
	b.withoutScripts()
	for _, more := range []int{0, 300, 1000, 5000} { // before the message, within it, after it, and after some that follow
		through, goOn := inPieces(t, site.address, `data-seq="100"`, more)
		b.until(`(location.href = %q, true)`, through+"/rooms/general?at=100")
		b.until(`location.port === %q && (document.activeElement.matches(".found") || !document.querySelector(".found") && document.querySelector('[data-seq="99"]'))`, through[strings.LastIndexByte(through, ':')+1:])
		goOn <- struct{}{}
		b.until(`document.readyState === "complete"`)
		b.until(foundInSight, 100)
	}
}

func TestAPageIsLoadedAgainWhereItWasRead(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 300)
	b.do(chromedp.Navigate(site.address + "/rooms/general?at=100"))
	b.until(foundInSight, 100)
	const at = `Math.round(document.querySelector("#messages [data-seq='100']")?.getBoundingClientRect().top)`
	b.until(`(() => { document.querySelector("#log").scrollTop += 7; return %s; })()`, at)
	was := evaluated[int](b, at)
	b.do(chromedp.Navigate(site.address + "/rooms"))
	b.until(`document.querySelector(".room-cards")`)
	b.do(chromedp.Navigate(site.address + "/rooms/general"))
	b.until(`document.querySelector("#state.live") && Math.abs(%s - %d) <= 2`, at, was)
	b.jumpSays("Jump to the newest")

	// Who was at the end is there again.
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(unbroken, 300)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && document.querySelector("#log").scrollTop === 0`)
	b.until(unbroken, 300)
}
