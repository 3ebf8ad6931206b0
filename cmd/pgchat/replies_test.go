package main_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// quotes waits until the message says this, and quotes that.
func (b *browser) quotes(text, author, quoted string) {
	b.t.Helper()
	b.until(`[...document.querySelectorAll("#messages .message")].some((m) => m.querySelector(".body").textContent === %q &&
		m.querySelector(".quote b")?.textContent === %q && m.querySelector(".quoted").textContent === %q)`, text, author, quoted)
}

const replyingTo = `(document.querySelector("#replying").hidden ? "" : document.querySelector("#replying > span").textContent)`

func TestAReplyQuotesWhatItAnswers(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	ada.say("shall we **ship** it on Friday?")
	ada.say("or wait")
	eve.sees("or wait")

	// By keyboard: the arrow, R; Escape takes it back.
	eve.at(1)
	eve.do(chromedp.KeyEvent("r"))
	eve.until(`%s === "Replying to ada shall we ship it on Friday?" && document.activeElement.id === "body" && document.querySelector("#body").value === ""`, replyingTo)
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`%s === ""`, replyingTo)
	eve.at(1)
	eve.do(chromedp.KeyEvent("r"))

	// What it answers stays with the draft, also while another room is open, and when the page is loaded anew.
	addRooms(t, db, "random")
	eve.do(chromedp.SendKeys(chromedp.CSS("#body"), "yes, "))
	eve.do(chromedp.Reload())
	eve.until(`document.querySelector("#state.live") && %s === "Replying to ada shall we ship it on Friday?" && document.querySelector("#body").value === "yes, "`, replyingTo)
	eve.accessible("replying")
	eve.screenshot("replying")
	eve.say("on Friday")
	eve.quotes("yes, on Friday", "ada", "shall we ship it on Friday?")
	ada.quotes("yes, on Friday", "ada", "shall we ship it on Friday?")
	eve.until(`%s === "" && !document.querySelector("#pending .message")`, replyingTo)

	// With the mouse, and to a reply.
	ada.at(3)
	ada.do(chromedp.Click(chromedp.CSS("#tools .reply")))
	ada.until(`%s === "Replying to eve yes, on Friday"`, replyingTo)
	ada.say("then it is settled")
	ada.quotes("then it is settled", "eve", "yes, on Friday")
	eve.quotes("then it is settled", "eve", "yes, on Friday")
	eve.screenshot("replies")

	// The quotes are as the quoted messages are, and a click on one goes there.
	exec(t, db, `update chat.messages set body = 'shall we ship it on Monday?' where seq = 1`)
	ada.quotes("yes, on Friday", "ada", "shall we ship it on Monday?")
	eve.quotes("yes, on Friday", "ada", "shall we ship it on Monday?")
	eve.do(chromedp.Click(chromedp.CSS(`#messages [data-seq="3"] .quote`)))
	eve.until(`document.activeElement.dataset.seq === "1" && location.search === "?at=1"`)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 1`)
	ada.quotes("yes, on Friday", "ada", "a removed message")
	eve.quotes("yes, on Friday", "ada", "a removed message")
	eve.screenshot("replies-removed")
	exec(t, db, `update chat.messages set deleted_at = null where seq = 1`)
	eve.quotes("yes, on Friday", "ada", "shall we ship it on Monday?")

	// While the server is away: the reply waits with what it answers, and is not doubled; the quote catches up.
	eve.at(2)
	eve.do(chromedp.KeyEvent("r"))
	if err := two.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.cmd.Process.Signal(syscall.SIGCONT) })
	eve.say("said into the void")
	eve.until(`document.querySelector("#pending .message .quoted")?.textContent === "or wait"`)
	exec(t, db, `update chat.messages set body = 'or wait?' where seq = 2`)
	if err := two.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eve.quotes("said into the void", "ada", "or wait?")
	ada.quotes("said into the void", "ada", "or wait?")
	eve.until(`document.querySelectorAll("#messages .message").length === 5 && !document.querySelector("#pending .message")`)

	// What cannot be answered is told, and nothing is lost.
	ada.at(2)
	ada.do(chromedp.KeyEvent("r"))
	ada.until(`(document.querySelector("#replying input").value = "99", localStorage.setItem("pgchat:reply:" + live.user + ":" + document.querySelector("#view").dataset.room, JSON.stringify({ seq: 99, id: "m-x", author: "ada" })), true)`)
	ada.do(chromedp.Reload())
	ada.until(`document.querySelector("#state.live") && !document.querySelector("#replying").hidden`)
	ada.say("to nobody")
	ada.until(`document.querySelector("#pending .fate")?.textContent.includes("no message in this room")`)
	ada.do(chromedp.Click(chromedp.CSS("#pending .fate button:last-child")))
	ada.until(`document.querySelector("#body").value === "to nobody" && !document.querySelector("#replying").hidden`)
	ada.do(chromedp.Click(chromedp.CSS("#replying .cancel")))
	ada.until(`document.querySelector("#replying").hidden && document.activeElement.id === "body"`)
	ada.do(chromedp.KeyEvent(kb.Enter))
	eve.sees("to nobody")
}

func TestReplyingWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'what *is* it?')`)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.do(chromedp.Navigate(site.address + "/rooms/general"))
	b.do(chromedp.Click(chromedp.CSS(".reply-link")))
	b.until(`location.search === "?reply=1" && %s === "Replying to ada what is it?"`, replyingTo)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), " "), chromedp.Click(chromedp.CSS("#composer .primary")))
	b.until(`document.querySelector("#composer-error")?.textContent.includes("needs some text") && %s === "Replying to ada what is it?"`, replyingTo)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), "an answer"), chromedp.Click(chromedp.CSS("#composer .primary")))
	b.quotes("an answer", "ada", "what is it?")
	b.until(`%s === ""`, replyingTo)
	b.do(chromedp.Navigate(site.address+"/rooms/general?reply=1"), chromedp.Click(chromedp.CSS("#replying .cancel")))
	b.until(`location.search === "" && %s === ""`, replyingTo)
}

// beside is what the thread beside the room shows: the bodies of its messages, the first one first; "": none is open.
const beside = `[...document.querySelectorAll("#thread-panel:not([hidden]) .body")].map((p) => p.textContent).join()`

const threadCount = `document.querySelector(".thread-count")?.textContent`

func TestAThreadIsBesideTheRoom(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	ada.say("who brings *cake*?")
	ada.say("something else")
	eve.sees("something else")

	// By keyboard: T opens it, Escape closes it and goes back.
	eve.at(1)
	eve.do(chromedp.KeyEvent("t"))
	eve.until(`%s === "who brings cake?" && %s === "No replies yet" && document.activeElement.id === "thread-body" && location.search === "?thread=1"`, beside, threadCount)
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`%s === "" && document.activeElement.dataset.seq === "1" && location.search === ""`, beside)
	eve.do(chromedp.KeyEvent("t"))
	eve.until(`document.activeElement.id === "thread-body"`)
	eve.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "I do\r"))
	eve.until(`%s === "who brings cake?,I do" && %s === "1 reply" && !document.querySelector(".pending")`, beside, threadCount)
	eve.quotes("I do", "ada", "who brings cake?")
	ada.quotes("I do", "ada", "who brings cake?")
	ada.until(`document.querySelector("#messages [data-seq='1'] .thread-link b")?.textContent === "1 reply"`)

	// With the mouse; what comes shows in it, of this thread and no other, also to a reply of it and while the room looks back.
	ada.do(chromedp.Click(chromedp.CSS("#messages .thread-link")))
	ada.until(`%s === "who brings cake?,I do"`, beside)
	exec(t, db, `select chat.post('general', 'eve', 'not cake', reply_to => 2)`)
	exec(t, db, `select chat.post('general', 'eve', 'chocolate?', reply_to => 3)`)
	for _, b := range []*browser{ada, eve} {
		b.quotes("not cake", "ada", "something else")
		b.until(`%s === "who brings cake?,I do,chocolate?" && %s === "2 replies"`, beside, threadCount)
	}
	ada.accessible("a thread")
	ada.screenshot("thread")
	exec(t, db, `update chat.messages set body = 'lemon?' where seq = 5`)
	exec(t, db, `update chat.messages set body = 'who brings a cake?' where seq = 1`)
	eve.until(`%s === "who brings a cake?,I do,lemon?"`, beside)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 3`)
	ada.until(`%s === "who brings a cake?,This message was removed.,lemon?" && %s === "1 reply"`, beside, threadCount)
	exec(t, db, `update chat.messages set deleted_at = null where seq = 3`)
	ada.until(`%s === "who brings a cake?,I do,lemon?" && %s === "2 replies"`, beside, threadCount)

	// What is typed is kept with its thread, and the open thread by its address.
	ada.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "both"))
	ada.do(chromedp.Click(chromedp.CSS("#thread-panel .close")))
	ada.until(`%s === ""`, beside)
	ada.do(chromedp.Navigate(one.address + "/rooms/general?thread=5"))
	ada.until(`document.querySelector("#state.live") && %s === "who brings a cake?,I do,lemon?" && document.querySelector("#thread-body").value === "both"`, beside)

	// While the server is away: what waits stands in the thread as well, and is stored once; what is missed comes.
	if err := one.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.cmd.Process.Signal(syscall.SIGCONT) })
	ada.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "!\r"))
	ada.until(`document.querySelector(".thread-pending .pending .body")?.textContent === "both!" && document.querySelector("#pending .pending .body")?.textContent === "both!"`)
	exec(t, db, `select chat.post('general', 'eve', 'missed', reply_to => 1)`)
	if err := one.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*browser{ada, eve} {
		b.until(`document.querySelector(".thread-replies") && %s.split(",").sort().join() === "I do,both!,lemon?,missed,who brings a cake?" && %s === "4 replies" && !document.querySelector(".pending")`, beside, threadCount)
	}

	// What could not be sent says so there, with a way to try again.
	exec(t, db, `create function refuse() returns trigger language plpgsql as 'begin raise exception $x$refused by the test$x$; end'`)
	exec(t, db, `create trigger refuse before insert on chat.messages for each row when (new.body = 'late') execute function refuse()`)
	ada.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "late\r"))
	ada.until(`document.querySelector(".thread-pending .failed .fate") && document.querySelector("#pending .failed .fate")`)
	ada.screenshot("thread-failed")
	exec(t, db, `drop trigger refuse on chat.messages`)
	ada.do(chromedp.Click(chromedp.CSS(".thread-pending .fate button")))
	eve.until(`%s.endsWith(",late")`, beside)
	ada.until(`%s.endsWith(",late") && !document.querySelector(".pending, .failed")`, beside)
}

func TestAThreadOnThePhone(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'first ' || repeat('word ', 60))`)
	exec(t, db, `select chat.post('general', 'ada', 'reply ' || g, reply_to => 1) from generate_series(1, 230) g`)
	b.do(chromedp.EmulateViewport(390, 800))
	b.do(chromedp.Navigate(site.address + "/rooms/general?at=1"))
	b.until(`document.querySelector("#state.live") && document.querySelector("#messages .thread-link b")?.textContent === "230 replies"`)
	b.do(chromedp.Click(chromedp.CSS("#messages .thread-link")))
	b.until(`document.querySelectorAll("#thread-panel .message").length === 101 && document.querySelector("#room").inert && document.documentElement.scrollWidth <= 390 &&
		document.querySelector("#thread-panel").offsetWidth === 390 && document.querySelector("#thread-panel .thread-replies").lastElementChild.getBoundingClientRect().bottom < 800`)
	b.accessible("a thread on the phone")
	b.screenshot("thread-phone")
	b.do(chromedp.EmulateViewport(390, 800))
	b.until(`[...document.querySelectorAll("#thread-panel :is(button, .icon-button)")].every((e) => e.getClientRects().length === 0 || e.offsetHeight >= 44)`)

	// What is older comes when it is asked for, and stays apart from what comes meanwhile.
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .earlier")))
	b.until(`document.querySelectorAll("#thread-panel .message").length === 201`)
	exec(t, db, `select chat.post('general', 'ada', 'the newest', reply_to => 1)`)
	b.until(`document.querySelector("#thread-panel .thread-replies").lastElementChild.querySelector(".body").textContent === "the newest"`)
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .earlier")))
	b.until(`document.querySelectorAll("#thread-panel .message").length === 232 && !document.querySelector("#thread-panel .earlier")`)

	// Back closes it, as the cross does; a link in it leads to the room.
	b.do(chromedp.NavigateBack())
	b.until(`document.querySelector("#thread-panel").hidden && !document.querySelector("#room").inert`)
	b.do(chromedp.Click(chromedp.CSS("#messages .thread-link")))
	b.until(`document.querySelectorAll("#thread-panel .message").length === 101`)
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .close")))
	b.until(`document.querySelector("#thread-panel").hidden && location.search !== "?thread=1"`)
	b.do(chromedp.Click(chromedp.CSS("#messages .thread-link")))
	b.until(`document.querySelectorAll("#thread-panel .message").length === 101`)
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .thread-replies .message:last-child .when")))
	b.until(`document.querySelector("#thread-panel").hidden && document.querySelector("#messages .found .body")?.textContent === "the newest"`)
}

func TestAThreadWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'first')`)
	exec(t, db, `select chat.post('general', 'ada', 'second', reply_to => 1)`)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.do(chromedp.Navigate(site.address+"/rooms/general"), chromedp.Click(chromedp.CSS(".thread-link")))
	b.until(`location.search === "?thread=1" && %s === "first,second"`, beside)
	b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), " "), chromedp.Click(chromedp.CSS("#thread-panel .primary")))
	b.until(`document.querySelector("#thread-error")?.textContent.includes("needs some text") && %s === "first,second"`, beside)
	b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), "third"), chromedp.Click(chromedp.CSS("#thread-panel .primary")))
	b.until(`location.search === "?thread=1" && %s === "first,second,third"`, beside)
	b.screenshot("thread-form")
	b.do(chromedp.Click(chromedp.CSS("#thread-panel .close")))
	b.until(`location.search === "" && document.querySelectorAll("#messages .message").length === 3 && %s === ""`, beside)
}
