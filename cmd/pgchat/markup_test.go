package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestMarkdownIsShownAndItsSourceIsEdited(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.say("this is **bold** :tada:")
	b.sees("this is bold 🎉")
	b.until(`document.querySelector("#messages .body strong").textContent === "bold"`)
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), kb.ArrowUp))
	b.until(`document.activeElement.closest(".editor") && document.activeElement.value === "this is **bold** :tada:"`)
	b.do(chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent("!\r"))
	b.sees("this is bold :tada!")
	exec(t, db, "select chat.post('general', 'ada', E'```go\nfunc main() {} // nothing\n```\nsays @ada in #general')")
	b.until(`document.querySelector("#messages pre.code .kd") && getComputedStyle(document.querySelector("#messages pre.code .kd")).color !== getComputedStyle(document.body).color`)
	b.until(`document.querySelector(".at.mine").textContent === "@ada" && document.querySelector(".room-link").pathname === "/rooms/general"`)
	b.accessible("a room with Markdown")
	b.screenshot("markdown")
}
