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
