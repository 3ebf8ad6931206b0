package main_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// withoutScripts has the pages that come next run none.
func (b *browser) withoutScripts() {
	b.t.Helper()
	b.call(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

func TestSearchingWithoutJavaScript(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	fill(t, db, 60)
	until(t, db, `select coalesce(bool_and(p.seq = h.last_seq and p.rev = h.last_rev), false) from chat.room_heads h left join chat.search_progress p using (room_id) where h.last_seq > 0`)
	b.withoutScripts()
	b.do(chromedp.Navigate(site.address + "/rooms/general"))
	b.do(chromedp.SendKeys(chromedp.CSS(".find input[name=q]"), `"message 7"`), chromedp.Submit(chromedp.CSS(".find input[name=q]")))
	b.until(`location.pathname === "/search" && document.querySelectorAll(".hits li").length === 1 && document.querySelector(".hits .snippet").textContent === "message 7" && document.querySelector(".hits time").textContent.includes("UTC")`)
	b.screenshot("search-without-scripts")

	// What was found leads to where it was said.
	b.do(chromedp.Click(chromedp.CSS(".hits a")))
	b.until(`location.search === "?at=7" && document.querySelector(".message.found .body")?.textContent === "message 7"`)

	// Page by page, to the end; sorted otherwise by a link.
	b.do(chromedp.Navigate(site.address + "/search"))
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "message"), chromedp.Click(chromedp.CSS(".search-form .primary")))
	b.until(`document.querySelectorAll(".hits li").length === 20 && document.readyState === "complete"`)
	b.do(chromedp.Click(chromedp.CSS(".order a")))
	b.until(`document.querySelector(".hits .snippet")?.textContent === "message 60" && document.querySelector(".order span").textContent === "Newest first" && document.readyState === "complete"`)
	for _, first := range []string{"message 40", "message 20"} {
		b.do(chromedp.Click(chromedp.CSS(".next a")))
		b.until(`document.querySelector(".hits .snippet")?.textContent === %q && document.readyState === "complete"`, first)
	}
	b.until(`document.querySelector(".hits li:last-child .snippet").textContent === "message 1"`)

	// What is wrong, and that there is nothing, is told, and what was typed stays.
	b.do(chromedp.Navigate(site.address + "/search?q=before:soon"))
	b.until(`document.querySelector("#q-error")?.textContent.includes("soon") && document.querySelector("#q").value === "before:soon"`)
	b.do(chromedp.Navigate(site.address + "/search?q=xyzzy"))
	b.until(`document.querySelector(".empty") && document.querySelector(".how") && document.querySelector("#q").value === "xyzzy"`)
}

func TestFilesAreSentWithScriptsOff(t *testing.T) {
	site, _ := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"plain.txt", "other.txt"} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(paths[len(paths)-1], []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.withoutScripts()
	b.do(chromedp.Navigate(site.address+"/rooms/general"), chromedp.SetUploadFiles(chromedp.CSS(".attach input"), paths[:1]), chromedp.Click(chromedp.CSS(".composer .primary")))
	b.until(`document.querySelector("#messages .file a")?.textContent.startsWith("plain.txt") && document.querySelector("#messages .body").hidden && document.readyState === "complete"`)

	// With a text, and more than one.
	b.do(chromedp.SetUploadFiles(chromedp.CSS(".attach input"), paths), chromedp.SendKeys(chromedp.CSS("#body"), "both of them"), chromedp.Click(chromedp.CSS(".composer .primary")))
	b.until(`document.querySelectorAll("#messages .message:last-child .file").length === 2 && document.readyState === "complete"`)
	b.sees("both of them")

	// They are read by their links.
	b.until(`(document.querySelector("#messages .file a").target = "_self")`)
	b.do(chromedp.Click(chromedp.CSS("#messages .file a")))
	b.until(`location.pathname.endsWith("/plain.txt") && document.body.textContent === "hello"`)
}
