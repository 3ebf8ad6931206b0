package main_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestWhatIsTypedIsCompletedFormattedAndCommanded(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.users (name) values ('edgar'), ('eve')`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`)
	keys := func(text string) { b.do(chromedp.SendKeys(chromedp.CSS("#body"), text)) }
	value := func(want string) { b.until(`document.querySelector("#body").value === %q`, want) }
	offered := func(want string) {
		b.until(`[...document.querySelectorAll("#completions li")].map((li) => li.dataset.text).join() === %q`, want)
	}

	// A person, chosen by the arrow and Tab; a room, by Enter; an emoji, by a click; Escape leaves it as it is.
	keys("hey @e")
	offered("@edgar,@eve,@everyone")
	b.until(`document.querySelector("#body").getAttribute("aria-activedescendant") === "completion-0"`)
	b.accessible("completions")
	b.screenshot("completions")
	keys(kb.ArrowDown + kb.Tab)
	value("hey @eve ")
	keys("see #gen")
	offered("#general")
	keys(kb.Enter)
	value("hey @eve see #general ")
	keys(":tad")
	b.until(`document.querySelector("#completions li")?.textContent.startsWith("🎉")`)
	b.do(chromedp.Click(chromedp.CSS("#completions li")))
	value("hey @eve see #general :tada: ")
	keys("@ed")
	offered("@edgar")
	keys(kb.Escape)
	b.until(`!document.querySelector("#completions")`)
	keys(kb.Enter)
	b.sees("hey @eve see #general 🎉 @ed")
	b.until(`document.querySelector("#messages .at").dataset.name === "eve"`)

	// From the picker too, where the caret is.
	keys("fine")
	b.do(chromedp.Click(chromedp.CSS("#emoji")))
	b.until(`document.querySelector(".picker[open] [role=option]")`)
	b.do(chromedp.KeyEvent("tada"))
	b.until(`document.querySelector(".picker[open] [role=option][aria-label=tada]")`)
	b.do(chromedp.KeyEvent("\r"))
	value("fine🎉")
	b.until(`(document.querySelector("#body").select(), document.activeElement.id === "body")`)

	// Marks around what is selected, and away again; the browser's undo knows of them.
	keys("bold")
	b.until(`(document.querySelector("#body").select(), true)`)
	ctrl := func(key string) { b.do(chromedp.KeyEvent(key, chromedp.KeyModifiers(2))) }
	ctrl("b")
	value("**bold**")
	ctrl("b")
	value("bold")
	ctrl("i")
	value("*bold*")
	ctrl("b")
	value("***bold***")
	ctrl("z")
	value("*bold*")
	b.do(chromedp.Click(chromedp.CSS("#format")))
	b.until(`!document.querySelector("#format-bar").hidden && document.activeElement.id === "body"`)
	b.screenshot("format-bar")
	b.accessible("the formatting bar")
	b.until(`(document.querySelector("#body").select(), true)`)
	b.do(chromedp.Click(chromedp.CSS("[data-act=list]")))
	value("- *bold*")
	keys(kb.End)
	b.do(chromedp.KeyEvent("\r", chromedp.KeyModifiers(8)))
	value("- *bold*\n- ")
	keys("two")
	keys(kb.Enter)
	b.until(`document.querySelectorAll("#messages li").length === 2 && document.querySelector("#messages li em")`)
	b.do(chromedp.Reload())
	b.until(`document.querySelector("#state.live") && !document.querySelector("#format-bar").hidden`) // kept

	// Commands: what is told is told to who asked only; what is wrong stays to be mended.
	keys("/to")
	offered("/topic")
	keys(kb.Tab + "Launch" + kb.Enter)
	b.until(`document.querySelector("#composer-notice:not([hidden]) p")?.textContent === "The topic is changed." && document.querySelector(".bar .topic").textContent === "Launch"`)
	value("")
	b.say("/help")
	b.until(`document.querySelector("#composer-notice p").textContent.includes("/invite @ada @bob")`)
	b.screenshot("help")
	b.accessible("what a command tells")
	b.do(chromedp.Click(chromedp.CSS("#composer-notice button")))
	b.until(`document.querySelector("#composer-notice").hidden`)
	b.say("/invite nobody")
	b.until(`document.querySelector("#composer-error").textContent.includes("no user called nobody") && document.querySelector("#body").value === "/invite nobody"`)
	b.until(`(document.querySelector("#body").select(), true)`)
	b.say("/me waves")
	b.until(`document.querySelector("#messages .action")?.textContent === "ada waves"`)
	b.say("//help is a command")
	b.sees("/help is a command")
	b.until(`document.querySelector("#messages").children.length > 0 && !document.querySelector("#pending").children.length`)

	// The same in an editor.
	keys(kb.ArrowUp)
	b.until(`document.activeElement.closest(".editor")`)
	b.do(chromedp.KeyEvent(" @ed"))
	offered("@edgar")
	b.do(chromedp.KeyEvent("\r"))
	b.until(`document.activeElement.value === "/help is a command @edgar "`)
	b.do(chromedp.KeyEvent("\r"))
	b.sees("/help is a command @edgar")
}

// Each does what it says with what is selected, in the composer and in the editor of a message.
func TestEachButtonOfTheFormattingBarWritesItsMarks(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	want := map[string]string{
		"bold": "**x**", "italic": "*x*", "strike": "~~x~~", "code": "`x`", "block": "```\nx\n```", "link": "[x](https://)", "quote": "> x", "list": "- x", "numbers": "1. x",
	}
	all := func(form string) {
		t.Helper()
		b.until(`document.querySelectorAll("%s .format-bar [data-act]").length === %d`, form, len(want))
		for act, text := range want {
			b.until(`((area) => { area.value = "x"; area.focus(); area.select(); return document.activeElement === area; })(document.querySelector("%s textarea"))`, form)
			b.do(chromedp.Click(chromedp.CSS(form + " .format-bar [data-act=" + act + "]")))
			b.until(`document.querySelector("%s textarea").value === %q`, form, text)
			b.until(`document.activeElement === document.querySelector("%s textarea")`, form)
		}
	}
	b.do(chromedp.Click(chromedp.CSS("#format")))
	all(".composer")
	b.until(`(document.querySelector("#body").value = "", true)`)
	b.say("hello")
	b.sees("hello")
	b.do(chromedp.Focus(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
	b.until(`document.activeElement.closest(".editor")`)
	all(".editor")
	b.screenshot("editor")
	b.accessible("an editor with its bar")
	b.until(`((area) => { area.value = "hi "; area.focus(); area.setSelectionRange(3, 3); return true; })(document.querySelector(".editor textarea"))`)
	b.do(chromedp.Click(chromedp.CSS(".editor [aria-haspopup=dialog]")))
	b.until(`document.querySelector(".picker[open] [role=option]")`)
	b.do(chromedp.KeyEvent("tada"))
	b.until(`document.querySelector(".picker[open] [role=option][aria-label=tada]")`)
	b.do(chromedp.KeyEvent("\r"))
	b.until(`document.querySelector(".editor textarea").value.includes("🎉")`)
	b.do(chromedp.Click(chromedp.CSS(".editor [aria-controls]")))
	b.until(`document.querySelector(".editor .format-bar").hidden && document.activeElement.closest(".editor textarea")`)
	b.do(chromedp.KeyEvent(" hello again"))
	b.do(chromedp.Click(chromedp.CSS(".editor .primary")))
	b.until(`!document.querySelector(".editor")`)
	b.sees("hi 🎉 hello again")

	// Two at once have their own.
	for i, text := range []string{"one", "two"} {
		b.say(text)
		b.sees(text)
		b.do(chromedp.Focus(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
		b.until(`document.querySelectorAll(".editor").length === %d && document.activeElement.closest(".editor")?.closest(".message").textContent.includes(%q)`, i+1, text)
	}
	b.until(`[...document.querySelectorAll(".editor")].every((e) => e.querySelectorAll(".format-bar [data-act]").length === %d && e.querySelectorAll(".row > .icon-button").length === 2)`, len(want))
	b.until(`(ids => new Set(ids).size === ids.length)([...document.querySelectorAll("[id]")].map((e) => e.id))`)
	b.do(chromedp.KeyEvent(" more\r"))
	b.sees("two more")
}

// Who asked for less motion sees none: nothing is faded, slid or turned.
func TestWhoWantsLessMotionSeesNone(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("hello")
	b.sees("hello")
	const moving = `[...document.querySelectorAll("*")].flatMap((e) => ["", "::before", "::after"].map((part) => getComputedStyle(e, part)))
		.filter((s) => s.transitionDuration.split(", ").some((d) => parseFloat(d) > 0) || s.animationName !== "none").length`
	for _, c := range []struct{ wants, moves string }{{"no-preference", "> 0"}, {"reduce", "=== 0"}} {
		b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: c.wants}}})
			return chromedp.Void{}, err
		})
		b.until(`%s %s`, moving, c.moves)
	}
}

func TestAThreadHasTheButtonsOfTheRoomsComposer(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `select chat.post('general', 'ada', 'what is needed?')`)
	const ready = `document.querySelector("#state.live") && document.querySelector("#thread-format:not([hidden])") && document.querySelector("#thread-emoji:not([hidden])")`
	b.do(chromedp.Navigate(site.address + "/rooms/general?thread=1"))
	b.until(ready + ` && document.querySelector("#thread-format-bar").hidden`)
	keys := func(text string) { b.do(chromedp.SendKeys(chromedp.CSS("#thread-body"), text)) }
	value := func(want string) {
		t.Helper()
		b.until(`document.querySelector("#thread-body").value === %q && document.activeElement.id === "thread-body" && document.querySelector("#body").value === ""`, want)
	}

	// The bar: each composer has its own, which writes there.
	keys("milk")
	b.do(chromedp.Click(chromedp.CSS("#thread-format")))
	b.until(`!document.querySelector("#thread-format-bar").hidden && document.querySelector("#thread-format").ariaExpanded === "true" && document.querySelector("#format-bar").hidden`)
	value("milk")
	b.until(`(document.querySelector("#thread-body").select(), true)`)
	b.do(chromedp.Click(chromedp.CSS("#thread-format-bar [data-act=bold]")))
	value("**milk**")
	b.do(chromedp.Click(chromedp.CSS("#thread-format-bar [data-act=list]")))
	value("- **milk**")
	b.screenshot("thread-format-bar")
	b.accessible("the formatting bar in a thread")

	// The picker: Escape closes it and not the thread.
	b.do(chromedp.Click(chromedp.CSS("#thread-emoji")))
	b.until(`document.querySelector(".picker[open] [role=option]")`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector(".picker[open]") && !document.querySelector("#thread-panel").hidden`)
	value("- **milk**")
	b.do(chromedp.Click(chromedp.CSS("#thread-emoji")))
	b.until(`document.querySelector(".picker[open] [role=option]")`)
	b.do(chromedp.KeyEvent("tada"))
	b.until(`document.querySelector(".picker[open] [role=option][aria-label=tada]")`)
	b.do(chromedp.KeyEvent("\r"))
	value("- **milk**🎉")
	keys(kb.Enter)
	b.until(`document.querySelector(".thread-replies li strong")?.textContent === "milk" && document.querySelector("#thread-body").value === ""`)

	// That it is shown is kept, for the room's too; by the keyboard it goes.
	b.do(chromedp.Reload())
	b.until(ready + ` && !document.querySelector("#thread-format-bar").hidden && !document.querySelector("#format-bar").hidden`)
	b.do(chromedp.Focus(chromedp.CSS("#thread-format")), chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#thread-format-bar").hidden && document.activeElement.id === "thread-body"`)

	// On a phone they fit, and fingers.
	b.phone()
	b.do(chromedp.Reload())
	b.until(ready)
	b.do(chromedp.Click(chromedp.CSS("#thread-format")))
	b.until(`(() => {
		const all = [...document.querySelectorAll("#thread-panel .composer button:not([hidden])")].map((e) => e.getBoundingClientRect()).filter((r) => r.width);
		return all.length === 12 && all.every((r) => r.height >= 44 && r.width >= 38 && r.left >= 0 && r.right <= 390) && document.documentElement.scrollWidth <= 390;
	})()`)
	keys("bread")
	b.until(`(document.querySelector("#thread-body").select(), true)`)
	b.finger(input.DispatchTouchEventTypeTouchStart, b.middle("#thread-format-bar [data-act=strike]"))
	b.finger(input.DispatchTouchEventTypeTouchEnd)
	value("~~bread~~")
	b.do(chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.until(`innerWidth === 320 && document.documentElement.scrollWidth <= 320 && [...document.querySelectorAll("#thread-panel .composer-foot > :is(label, button)")].every((e) => e.offsetWidth >= 44 && e.getBoundingClientRect().right <= 310)`)
	b.screenshot("thread-narrow")
}
