package main_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// one is a server with its database, for tests that need no second one.
func one(t *testing.T) (*instance, *pgxpool.Pool) {
	t.Helper()
	url := pgtest.URL(t)
	return serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
}

func exec(t *testing.T, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// quietly changes something without telling the pages.
func quietly(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	exec(t, db, `set local session_replication_role = replica; `+sql)
}

// fill has the room general hold n messages, "message 1" to "message n", a minute apart.
func fill(t *testing.T, db *pgxpool.Pool, n int) {
	t.Helper()
	exec(t, db, `insert into chat.messages (room_id, author_id, body, created_at)
		select r.id, u.id, 'message ' || g, now() - ($1::int - g) * interval '1 minute'
		from chat.rooms r, chat.users u, generate_series(1, $1::int) g where r.slug = 'general' and u.name = 'ada' order by g`, n)
}

const shown = `[...document.querySelectorAll("#messages .body")].map((p) => p.textContent)`

// lastInSight: the end of the newest message, of those on their way out too, is on the screen and the composer not over it.
const lastInSight = `(() => { const last = [...document.querySelectorAll(".message")].at(-1).getBoundingClientRect(),
	log = document.querySelector("#log").getBoundingClientRect(); return last.bottom <= log.bottom + 1 && last.bottom > log.top; })()`

func TestTheChatWorksWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.do(chromedp.Navigate(site.address))
	b.until(`document.querySelector("h1")?.textContent === "Welcome to pgchat"`)
	b.screenshot("first-run")
	b.do(chromedp.SendKeys(chromedp.CSS("#name"), "ada"), chromedp.SendKeys(chromedp.CSS("#password"), "short"), chromedp.Submit(chromedp.CSS("#password")))
	b.until(`document.querySelector("#password ~ .field-error")?.textContent.includes("at least 10") && document.querySelector("#name").value === "ada"`)
	b.until(`document.querySelector("#password[aria-invalid=true][aria-describedby=password-error]") && !document.querySelector("#password-hint")`)
	b.screenshot("sign-up-error")
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), "correct horse battery"), chromedp.Submit(chromedp.CSS("#password")))
	b.until(`document.querySelector(".beginning")`)
	b.screenshot("empty-room")

	// A room whose name looks like a script, and one whose name is taken.
	const script = `<script>document.title = "broken"</script>`
	b.do(chromedp.Navigate(site.address+"/rooms/new"), chromedp.SendKeys(chromedp.CSS("#name"), script),
		chromedp.SendKeys(chromedp.CSS("#topic"), script), chromedp.Submit(chromedp.CSS("#name")))
	b.until(`document.title === %q`, "#"+script+" · pgchat")
	b.do(chromedp.Navigate(site.address+"/rooms/new"), chromedp.SendKeys(chromedp.CSS("#name"), "General"), chromedp.Submit(chromedp.CSS("#name")))
	b.until(`document.querySelector("#name ~ .field-error")?.textContent.includes("There is a room called General")`)
	b.screenshot("new-room")
	b.do(chromedp.Navigate(site.address + "/rooms"))
	b.until(`document.querySelectorAll(".room-cards li").length === 2`)
	b.screenshot("rooms")

	// Messages are posted and paged by forms and links.
	fill(t, db, 120)
	b.do(chromedp.Navigate(site.address+"/rooms/general"), chromedp.SendKeys(chromedp.CSS("#body"), "posted by a form"), chromedp.Click(chromedp.CSS(".composer .primary")))
	b.until(`%s.at(-1) === "posted by a form" && %s`, shown, lastInSight)
	b.do(chromedp.Click(chromedp.CSS("a.older")))
	b.until(`%s.at(-1) === "message 71" && document.querySelectorAll("#messages .message").length === 50 && document.readyState === "complete"`, shown)
	b.do(chromedp.Click(chromedp.CSS(".newer .newest")))
	b.until(`%s.at(-1) === "posted by a form" && document.readyState === "complete"`, shown)

	// What can be done with a message is below it, once its time is followed.
	open := func() {
		t.Helper()
		b.do(chromedp.Click(chromedp.CSS("#messages .message:last-of-type .when")))
		b.until(`document.readyState === "complete" && document.querySelector(".by-form")`) // and nothing moves any more
	}
	open()
	b.until(`document.querySelector(".by-form #edited")?.value === "posted by a form"`)
	b.screenshot("message-by-form")
	b.do(chromedp.SendKeys(chromedp.CSS("#edited"), kb.End+", edited"), chromedp.Click(chromedp.CSS("#edited + button")))
	b.until(`%s.at(-1) === "posted by a form, edited"`, shown)
	open()
	b.do(chromedp.Click(chromedp.CSS(".by-form form[action$='/delete'] button")))
	b.until(`document.querySelector("#messages .message:last-of-type .removed")`)
	open()
	b.do(chromedp.Click(chromedp.CSS(".by-form form[action$='/undelete'] button")))
	b.until(`%s.at(-1) === "posted by a form, edited"`, shown)
	b.do(chromedp.Navigate(site.address + "/rooms/none"))
	b.until(`document.querySelector(".status")?.textContent === "404"`)
	b.screenshot("not-found")

	// Signed out meanwhile: what was typed is on the page.
	b.do(chromedp.Navigate(site.address+"/rooms/general"), chromedp.SendKeys(chromedp.CSS("#body"), "do not lose me"))
	exec(t, db, `delete from chat.sessions`)
	b.do(chromedp.Click(chromedp.CSS(".composer .primary")))
	b.until(`document.querySelector("#draft")?.value === "do not lose me"`)
	b.do(chromedp.Click(chromedp.CSS(".actions .primary")))
	b.until(`document.querySelector("h1")?.textContent === "Sign in" && document.querySelector("[name=next]").value === "/rooms/general"`)
	b.screenshot("sign-in")
}

func TestWhatIsTypedIsNotLost(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")

	// Too long: told in place, kept, also when the page is loaded again.
	const tooLong = `document.querySelector("#body").value === "x".repeat(8001)`
	b.until(`(() => { const body = document.querySelector("#body"); body.value = "x".repeat(8001);
		return body.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	b.say("")
	b.until(`document.querySelector("#composer-error").textContent.includes("too long") && document.querySelector("#count").textContent === "8,001 of 8,000" && %s`, tooLong)
	b.screenshot("too-long")
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s`, tooLong)
	b.until(`!(document.querySelector("#body").value = "")`)

	// Refused by the server: it stays, with its reason, and can be sent again, or edited.
	quietly(t, db, `update chat.rooms set archived_at = now()`)
	b.say("first")
	b.until(`document.querySelector("#pending .failed .fate")?.textContent.includes("archived") && %s`, lastInSight)
	b.screenshot("failed")
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#pending .failed .fate")`)
	quietly(t, db, `update chat.rooms set archived_at = null`)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && document.querySelector("#pending .failed .fate button")`)
	b.do(chromedp.Click(chromedp.CSS("#pending .fate button")))
	b.sees("first")
	quietly(t, db, `update chat.rooms set archived_at = now()`)
	b.say("second")
	b.until(`document.querySelector("#pending .failed .fate button:last-child")`)
	b.do(chromedp.Click(chromedp.CSS("#pending .fate button:last-child")))
	b.until(`document.querySelector("#body").value === "second" && !document.querySelector("#pending .message")`)
	quietly(t, db, `update chat.rooms set archived_at = null`)
	b.say(" thoughts")
	b.sees("second thoughts")
	b.until(`document.querySelector("#body").value === "" && document.querySelectorAll("#messages .message").length === 2`)
}

func TestASignedOutPageSaysSoAndKeepsTheDraft(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "half a thought"))
	exec(t, db, `delete from chat.sessions`)
	b.until(`document.querySelector("#state-text").textContent === "You are signed out"`)
	b.do(chromedp.Click(chromedp.CSS("#composer-error a")))
	b.do(chromedp.SendKeys(chromedp.CSS("#name"), "ada"), chromedp.SendKeys(chromedp.CSS("#password"), "correct horse battery"),
		chromedp.Submit(chromedp.CSS("#password")))
	b.until(`document.querySelector("#state.live") && document.querySelector("#body").value === "half a thought"`)
}

func TestWhoIsSignedOutWhileTheServerIsAwayIsToldWhenItIsBack(t *testing.T) {
	url := pgtest.URL(t)
	site, db := serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	site.signal(syscall.SIGKILL)
	b.until(`document.querySelector("#state.waiting #state-text")?.textContent === "Reconnecting…"`)
	exec(t, db, `delete from chat.sessions`)
	serve(t, build(t), url, site.host)
	b.until(`document.querySelector("#state-text").textContent === "You are signed out" && document.querySelector("#composer-error a")`)
}

func TestADeletedRoomSaysSo(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.rooms (slug, name, created_by) select 'short', 'Short', id from chat.users`)
	b.do(chromedp.Navigate(site.address + "/rooms/short"))
	b.until(`document.querySelector("#state.live")`)
	exec(t, db, `delete from chat.rooms where slug = 'short'`)
	b.until(`document.querySelector("#state-text").textContent === "This room is gone"`)
	b.do(chromedp.Click(chromedp.CSS("#composer-error a")))
	b.until(`document.querySelectorAll(".room-cards li").length === 1`)
}

func TestOlderMessagesComeByScrollingUpAndTheSameOnesTwiceShowOnce(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 120)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s.at(-1) === "message 120"`, shown)
	b.until(`(() => { const log = document.querySelector("#log"); log.scrollTop = -log.scrollHeight; return %s[0] === "message 1"; })()`, shown)
	b.until(`document.querySelector("#older .beginning") && !document.querySelector("a.older")`)
	var want []string
	for i := range 120 {
		want = append(want, fmt.Sprintf("%q", fmt.Sprint("message ", i+1)))
	}
	b.until(`JSON.stringify(%s) === JSON.stringify([%s])`, shown, strings.Join(want, ","))

	// New ones do not pull away who reads old ones; the button does.
	const top = `(() => { const log = document.querySelector("#log"); return log.scrollTop + log.scrollHeight - log.clientHeight; })()`
	b.until(top + ` < 1000`)
	at, err := chromedp.Run(b.ctx, chromedp.Evaluate[float64](top))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, `select chat.post('general', 'ada', 'news')`)
	b.until(`!document.querySelector("#jump").hidden && Math.abs(%s - %f) < 2`, top, at)
	b.screenshot("jump")
	b.do(chromedp.Click(chromedp.CSS("#jump")))
	b.until(`document.querySelector("#jump").hidden`)

	// What the page has already is not put in again, what comes after it is.
	const comes = `((last, text) => {
		const article = document.querySelector("#messages .message").cloneNode(true);
		article.id = "m-00000000-0000-7000-8000-" + String(last).padStart(12, "0");
		article.dataset.seq = last;
		article.querySelector(".body").textContent = text;
		dispatchEvent(new CustomEvent("htmx:ws:before:message:incoming", { cancelable: true, detail: { message:
			{ data: JSON.stringify({ type: "messages", room: document.querySelector("#view").dataset.room, first: last, last, content: article.outerHTML }) } } }));
		return true;
	})`
	b.until(comes + `(121, "again") && ` + comes + `(122, "and on")`)
	b.until(`JSON.stringify(%s.slice(-3)) === JSON.stringify(["message 120", "news", "and on"])`, shown)
}

func TestThePhone(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', $1)`, strings.Repeat("long", 200))
	b.do(chromedp.EmulateViewport(390, 800))
	b.until(`document.querySelectorAll("#messages .message").length === 1 && document.documentElement.scrollWidth <= 390 &&
		document.querySelector("#log").scrollWidth <= 390`)
	const visible = `(() => { const r = document.querySelector("%s").getBoundingClientRect();
		return r.left >= 0 && r.right <= innerWidth && getComputedStyle(document.querySelector("%s")).visibility === "visible"; })()`
	for panel, button := range map[string]string{"#sidebar": ".menu", "#people-panel": ".people-button"} {
		b.until("!"+visible, panel, panel)
		b.do(chromedp.Click(chromedp.CSS("#room " + button)))
		b.until(visible, panel, panel)
		b.screenshot("phone-" + strings.Trim(panel, "#"))
		b.do(chromedp.EmulateViewport(390, 800))
		b.until(`document.activeElement === document.querySelector("%s .close") && document.querySelector("#room").inert`, panel)
		b.do(chromedp.Click(chromedp.CSS(panel + " .close")))
		b.until("!"+visible, panel, panel)
		b.until(`document.activeElement === document.querySelector("%s") && !document.querySelector("#room").inert`, button)
		// By Escape, and by a tap beside it.
		b.do(chromedp.Click(chromedp.CSS("#room " + button)))
		b.until(visible, panel, panel)
		b.until(`document.activeElement === document.querySelector("%s .close")`, panel)
		b.do(chromedp.KeyEvent(kb.Escape))
		b.until("!"+visible, panel, panel)
		b.until(`!document.querySelector("#room").inert`) // until then it takes no clicks
		b.do(chromedp.Click(chromedp.CSS("#room " + button)))
		b.until(visible, panel, panel)
		x := 380.0
		if panel == "#people-panel" {
			x = 10
		}
		b.until(`document.querySelector("#room").inert`)
		b.do(chromedp.MouseClickXY(x, 400))
		b.until("!"+visible, panel, panel)
		b.until(`!document.querySelector("#room").inert`)
	}
	for _, page := range []string{"/rooms/general", "/rooms", "/rooms/new"} {
		b.do(chromedp.Navigate(site.address + page))
		b.until(`document.readyState === "complete" && [...document.querySelectorAll("button, .button, .icon-button, .quiet-link, .rooms a")]
			.every((e) => e.getClientRects().length === 0 || e.offsetHeight >= 44)`)
	}
}

func TestALongMessageIsShownInPart(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.until(`matchMedia("(pointer: fine)").matches ? document.activeElement.id === "body" : true`)
	b.until(`[...document.querySelectorAll("#people .you")].some((e) => getComputedStyle(e).display === "block")`)
	exec(t, db, `select chat.post('general', 'ada', $1)`, strings.Repeat("many words ", 700))
	const height = `document.querySelector("#messages .body")?.offsetHeight`
	b.until(height + ` > 400 && ` + height + ` < 600`)
	b.screenshot("long")
	b.do(chromedp.Click(chromedp.CSS("#messages label.all")))
	b.until(height + ` > 1000`)
	b.do(chromedp.Click(chromedp.CSS("#messages label.all")))
	b.until(height + ` < 600`)
}

func TestAClosedEmptyServerSaysHowToBegin(t *testing.T) {
	url := pgtest.URL(t)
	site := serve(t, build(t), url, "127.0.0.1:0", "--signup", "closed")
	b := openBrowser(t)
	b.do(chromedp.Navigate(site.address))
	b.until(`document.querySelector(".command")?.textContent === "pgchat user create NAME --admin" && !document.querySelector("#name")`)
	b.screenshot("closed")
}

func TestAFormTooLargeSaysWhereTheTextIs(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.until(`(() => { document.querySelector("#body").value = "x".repeat(150_000); HTMLFormElement.prototype.submit.call(document.querySelector("#composer")); return true; })()`)
	b.until(`document.querySelector(".status")?.textContent === "413" && document.querySelector(".lead").textContent.includes("Go back")`)
	b.screenshot("too-large")
}

func TestTheNewestMessageStaysInSightWhenTheLogShrinks(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 60)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && %s`, lastInSight)
	for _, width := range []int64{1280, 390} {
		b.do(chromedp.EmulateViewport(width, 700))
		b.until(`innerWidth === %d && %s`, width, lastInSight)
		b.until(`(() => { const body = document.querySelector("#body"); body.value = "a line\n".repeat(60);
			return body.dispatchEvent(new Event("input", { bubbles: true })); })()`)
		b.until(`document.querySelector(".composer").offsetHeight > 150 && document.querySelector(".composer").offsetHeight < innerHeight * .45 && %s`, lastInSight)
		b.until(`(() => { const body = document.querySelector("#body"); body.value = "";
			return body.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	}

	// The reason of a failed message too, and what is said to who is signed out.
	quietly(t, db, `update chat.rooms set archived_at = now()`)
	b.say("too late")
	b.until(`document.querySelector("#pending .failed .fate button") && %s`, lastInSight)
	exec(t, db, `delete from chat.sessions`)
	b.until(`document.querySelector("#composer-error a") && %s`, lastInSight)
	b.screenshot("signed-out")
}

func TestAServerThatHangsIsToldAndLeft(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.until(`(() => { const { dataset } = document.body; dataset.slow = 300; return dataset.lost = 1500; })()`)
	if err := site.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.cmd.Process.Signal(syscall.SIGCONT) })
	b.say("is anybody there?")
	b.until(`document.querySelector("#state.waiting #state-text")?.textContent.startsWith("Slow connection")`)
	b.until(`document.querySelector("#state.offline #state-text")?.textContent === "Offline, 1 to send"`)
	b.screenshot("offline")
	if err := site.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.sees("is anybody there?")
	b.until(`document.querySelector("#state.live") && !document.querySelector("#pending .message")`)
	var n int
	if err := db.QueryRow(t.Context(), `select count(*) from chat.messages`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d messages are stored (%v), want 1", n, err)
	}
}

// The server takes so many a second of each user: what a page sends beyond that waits its turn.
func TestWhatIsSentTooFastComesInItsOrder(t *testing.T) {
	url := pgtest.URL(t)
	site := serve(t, build(t), url, "127.0.0.1:0", "--post-rate", "3", "--post-burst", "4")
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	want := make([]string, 12)
	for i := range want {
		want[i] = fmt.Sprint("in haste ", i)
	}
	b.until(`(() => {
		for (const text of %q.split(",")) {
			document.querySelector("#body").value = text;
			document.querySelector("#composer").requestSubmit();
		}
		return document.querySelectorAll("#pending .message").length === 12;
	})()`, strings.Join(want, ","))
	b.until(`/^Sending, \d+ to go$/.test(document.querySelector("#state.waiting #state-text")?.textContent)`)
	b.screenshot("in-haste")
	b.until(`[...document.querySelectorAll("#messages .body")].map((m) => m.textContent).join() === %q && !document.querySelector("#pending .message") && document.querySelector("#state.live")`, strings.Join(want, ","))
}
