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

// reactions gives a message's chips as "👍1* 🎉2": emoji, count, a star where it is the reader's own.
const reactions = `[...document.querySelectorAll("#messages [data-seq='%d'] .reaction[value]")].filter((c) => !c.hidden)
	.map((c) => c.textContent + (c.ariaPressed === "true" ? "*" : "")).join(" ")`

// at puts the focus on a message, as the arrows do.
func (b *browser) at(seq int) {
	b.t.Helper()
	b.until(`(() => { const m = document.querySelector('#messages [data-seq="%d"]'); m.tabIndex = -1; m.focus(); return document.activeElement === m; })()`, seq)
}

// clicks clicks what may be replaced at any moment, with its message.
func (b *browser) clicks(selector string) {
	b.t.Helper()
	b.until(`(() => { const e = document.querySelector(%q); e?.click(); return e; })()`, selector)
}

// plus presses + where the focus is, as a browser does: chromedp would type it into the picker as well.
func (b *browser) plus() {
	b.t.Helper()
	b.until(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "+", bubbles: true })) || true`)
}

func TestPeopleReactToMessages(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	has := func(b *browser, seq int, want string) {
		b.t.Helper()
		b.until(reactions+` === %q`, seq, want)
	}
	eve.say("It is done.")
	ada.sees("It is done.")
	eve.sees("It is done.")

	// By the picker: + opens it, a name is typed, Enter takes the first that is found.
	ada.at(1)
	ada.plus()
	ada.until(`document.querySelector(".picker[open]") && document.querySelectorAll(".picker [role=option]").length > 1800 && document.activeElement.role === "combobox"`)
	ada.screenshot("picker")
	ada.accessible("picker")
	ada.do(chromedp.KeyEvent("tada"))
	ada.until(`document.querySelector(".picker [aria-selected=true]").textContent === "🎉"`)
	ada.do(chromedp.KeyEvent(kb.Enter))
	ada.until(`!document.querySelector(".picker").open`)
	has(ada, 1, "🎉1*")
	has(eve, 1, "🎉1")
	ada.until(`document.activeElement.dataset.seq === "1"`)

	// The arrows choose; what was used lately comes first. Escape chooses nothing.
	ada.plus()
	ada.until(`document.querySelector(".picker[open] [role=option]").textContent === "🎉"`)
	ada.do(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowLeft))
	ada.until(`document.querySelector(".picker [aria-selected=true]").textContent === "👍"`)
	ada.do(chromedp.KeyEvent(kb.ArrowDown))
	ada.until(`document.querySelector(".picker [aria-selected=true]").id === "emoji-1-1"`)
	ada.do(chromedp.KeyEvent(kb.Escape))
	ada.until(`!document.querySelector(".picker").open`)
	has(ada, 1, "🎉1*")

	// By the chip, from the other instance; and back.
	eve.clicks("#messages .reaction")
	has(eve, 1, "🎉2*")
	has(ada, 1, "🎉2*")
	ada.clicks("#messages .reaction")
	has(ada, 1, "🎉1")
	has(eve, 1, "🎉1*")
	eve.clicks("#messages .reaction")
	has(eve, 1, "")
	has(ada, 1, "")

	// By SQL; who it was is told where the pointer or the focus is.
	exec(t, db, `select chat.react('general', 1, name, e) from chat.users, unnest(array['👍', '❤️']) e`)
	exec(t, db, `select chat.react('general', 1, 'eve', '🚀')`)
	has(ada, 1, "👍2* ❤️2* 🚀1")
	ada.until(`document.querySelector("#messages .reaction[value$='🚀']").ariaLabel === "🚀 1, eve"`)
	ada.at(1)
	ada.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
	ada.until(`document.activeElement.matches(".reaction") && document.querySelector(".who:popover-open").textContent === "👍you and eve"`)
	ada.screenshot("reactions")
	ada.accessible("reactions")
	ada.do(chromedp.KeyEvent(kb.Escape))
	ada.until(`!document.querySelector(".who")`)
	// The focus stays where it is while the message changes.
	exec(t, db, `select chat.react('general', 1, 'eve', '👍', false)`)
	has(ada, 1, "👍1* ❤️2* 🚀1")
	ada.until(`document.activeElement.matches(".reaction[value$='👍']")`)

	// What the server refuses is taken back, and told.
	exec(t, db, `update chat.rooms set archived_at = now() where slug = 'general'`)
	eve.until(`document.querySelector(".closed")`)
	has(eve, 1, "👍1 ❤️2* 🚀1*")
	eve.clicks("#messages .reaction")
	eve.until(`document.querySelector(".who:popover-open").textContent === "👍ada"`)
	has(eve, 1, "👍1 ❤️2* 🚀1*")
	exec(t, db, `update chat.rooms set archived_at = null where slug = 'general'`)
	eve.until(`!document.querySelector(".closed")`)
	quietly(t, db, `update chat.rooms set archived_at = now() where slug = 'general'`)
	eve.clicks("#messages .reaction")
	eve.until(`document.querySelector("#toast").textContent.includes("archived")`)
	has(eve, 1, "👍1 ❤️2* 🚀1*")
	quietly(t, db, `update chat.rooms set archived_at = null where slug = 'general'`)

	// A message that is deleted shows none, one that comes back its own.
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 1`)
	has(eve, 1, "")
	exec(t, db, `update chat.messages set deleted_at = null where seq = 1`)
	has(eve, 1, "👍1 ❤️2* 🚀1*")
}

func TestAReactionOfVeryManyIsOnesOwnAllTheSame(t *testing.T) {
	site, db := one(t)
	ada := openBrowser(t)
	ada.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) select 'user' || g from generate_series(1, 60) g`)
	exec(t, db, `select chat.post('general', 'ada', 'look')`)
	exec(t, db, `select chat.react('general', 1, 'user' || g, e) from generate_series(1, 60) g, unnest(array['👍', '👀']) e`)
	exec(t, db, `select chat.react('general', 1, 'ada', '👍')`)
	ada.until(reactions+` === "👍61* 👀60"`, 1)
	// It is told by a long press.
	ada.until(`document.querySelector("#messages .reaction").dispatchEvent(new PointerEvent("contextmenu", { pointerType: "touch", bubbles: true, cancelable: true })) ||
		document.querySelector(".who:popover-open").textContent.startsWith("👍you, user1, user2, ") && document.querySelector(".who").textContent.endsWith("user50 and 10 others")`)
	ada.clicks("#messages .reaction")
	ada.until(reactions+` === "👍60 👀60"`, 1)
	ada.clicks("#messages .reaction + .reaction")
	ada.until(reactions+` === "👍60 👀61*"`, 1)
	until(t, db, `select count(*) = 1 from chat.reactions r join chat.users u on u.id = r.user_id where u.name = 'ada' and emoji = '👀'`)
	ada.do(chromedp.Navigate(site.address + "/rooms/general"))
	ada.until(reactions+` === "👍60 👀61*"`, 1)
}

func TestReactionsMoveNothing(t *testing.T) {
	site, db := one(t)
	ada := openBrowser(t)
	ada.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	// Who reads further up keeps their place while chips are added above and below.
	fill(t, db, 100)
	ada.do(chromedp.Navigate(site.address + "/rooms/general?at=60"))
	ada.until(`document.querySelector("#state.live")`)
	ada.until(foundInSight, 60)
	ada.until(`(window.top60 = document.querySelector("[data-seq='60']").getBoundingClientRect().top) || true`)
	exec(t, db, `select chat.react('general', s, 'eve', '👍') from generate_series(36, 84) s where s not between 46 and 70`)
	ada.until(reactions+` === "👍1"`, 84)
	ada.until(`Math.abs(document.querySelector("[data-seq='60']").getBoundingClientRect().top - window.top60) < 2`)
}

func TestReactionsWithoutAScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('eve')`)
	exec(t, db, `select chat.post('general', 'eve', 'look')`)
	exec(t, db, `select chat.react('general', 1, 'eve', '👀')`)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	}, chromedp.Navigate(site.address+"/rooms/general"))
	b.do(chromedp.Click(chromedp.CSS(`#messages .reaction`)))
	until(t, db, `select count(*) = 2 from chat.reactions`)
	b.do(chromedp.Click(chromedp.CSS(`#messages .reaction`)))
	until(t, db, `select count(*) = 1 from chat.reactions`)
}
