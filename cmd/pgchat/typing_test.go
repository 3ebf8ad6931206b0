package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhoTypesIsToldToTheOthersOnAllInstances(t *testing.T) {
	url := pgtest.URL(t)
	one, two := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0")
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	eve.until(`document.querySelectorAll("#people li").length === 2`)
	const typing = `document.querySelector("#typing").textContent`
	ada.do(chromedp.SendKeys(chromedp.CSS("#body"), "hel"))
	eve.until(typing + ` === "ada is typing…"`)
	eve.screenshot("typing")
	ada.until(typing + ` === ""`) // one's own is not told
	ada.do(chromedp.SendKeys(chromedp.CSS("#body"), "lo\r"))
	eve.sees("hello")
	eve.until(typing + ` === ""`)

	// Who stops is forgotten by itself.
	ada.do(chromedp.SendKeys(chromedp.CSS("#body"), "hm"))
	eve.until(typing + ` === "ada is typing…"`)
	eve.until(typing + ` === ""`)
}
