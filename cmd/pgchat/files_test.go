package main_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// hills is a picture to look at.
func hills(t *testing.T, w, h int) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v, u := float64(y)/float64(h), float64(x)/float64(w)
			c := color.RGBA{uint8(120 + 110*v), uint8(160 + 60*v), 235, 255}
			for i := range 3 {
				if v > .45+.17*float64(i)+.07*math.Sin(u*9+float64(i)*2.3) {
					c = color.RGBA{uint8(70 - 20*i), uint8(120 - 25*i), uint8(110 - 30*i), 255}
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// gives hands files to the room's composer, each as a JavaScript expression: how is "choose", "paste" or "drop".
func (b *browser) gives(how string, files ...string) {
	b.t.Helper()
	b.givesIn("main", how, files...)
}

// givesIn hands them to the composer in a part of the page.
func (b *browser) givesIn(part, how string, files ...string) {
	b.t.Helper()
	list := ""
	for _, f := range files {
		list += "d.items.add(" + f + ");"
	}
	b.until(`(() => { const d = new DataTransfer(); %s
		const part = document.querySelector(%q), input = part.querySelector(".attach input");
		switch (%q) {
			case "choose": input.files = d.files; return input.dispatchEvent(new Event("change"));
			case "paste": return !part.querySelector(".composer textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: d, bubbles: true, cancelable: true }));
			case "drag": return !part.dispatchEvent(new DragEvent("dragover", { dataTransfer: d, bubbles: true, cancelable: true }));
			case "drop": return !part.dispatchEvent(new DragEvent("drop", { dataTransfer: d, bubbles: true, cancelable: true }));
		} })()`, list, part, how)
}

func pngFile(name, base64 string) string {
	return fmt.Sprintf(`new File([Uint8Array.from(atob(%q), (c) => c.charCodeAt(0))], %q, { type: "image/png" })`, base64, name)
}

func zeros(name string, bytes int) string {
	return fmt.Sprintf("new File([new Uint8Array(%d)], %q)", bytes, name)
}

func noFiles(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	for n := 1; n > 0; {
		if err := db.QueryRow(t.Context(), `select (select count(*) from chat.files) + (select count(*) from chat.file_chunks)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// noDrafts waits until there are no files but those of messages.
func noDrafts(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	until(t, db, `select count(*) = 0 from chat.files where seq is null`)
}

const chips = `[...document.querySelectorAll(".attached li")]`

func TestFilesAreAttachedSentAndSeen(t *testing.T) {
	url := pgtest.URL(t)
	bin := build(t)
	limits := []string{"--file-limit", "90MB", "--files-limit", "100MB"}
	one, two, db := serve(t, bin, url, "127.0.0.1:0", limits...), serve(t, bin, url, "127.0.0.1:0", limits...), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	picture := hills(t, 1200, 900)

	// Chosen and sent with a text; a picture is shown in a size that is known before it comes.
	ada.gives("choose", pngFile("hills.png", picture), `new File(["What we saw: hills.\n"], "notes & more.txt")`)
	ada.until(`%s.length === 2 && document.querySelector(".attached img")?.naturalWidth > 0 && %[1]s.every((c) => c.querySelector("progress").hidden)`, chips)
	ada.do(chromedp.SendKeys(chromedp.CSS("#body"), "From **today**"))
	ada.accessible("a composer with files")
	ada.screenshot("files-composer")
	ada.do(chromedp.SendKeys(chromedp.CSS("#body"), "\r"))
	const seen = `(() => { const p = document.querySelector("#messages .picture img"); return p && p.complete && p.naturalWidth === 640 &&
		p.offsetWidth === 320 && p.offsetHeight === 240 && document.querySelector("#messages .file a").textContent.includes("notes & more.txt"); })()`
	for _, b := range []*browser{ada, eve} {
		b.until(seen)
		b.sees("From today")
	}
	ada.until(`!%s.length && document.querySelector("#body").value === "" && !document.querySelector("#pending .message")`, chips)

	// Pasted, and sent without a text: its name is not told beside it.
	ada.gives("paste", pngFile("image.png", hills(t, 300, 500)))
	ada.until(`%s[0]?.querySelector(".name").textContent.startsWith("Pasted 20") && document.querySelector(".attached img")`, chips)
	ada.say("")
	eve.until(`(() => { const m = document.querySelectorAll("#messages .message")[1]; return m?.querySelector(".body").hidden && m.querySelector(".picture img").offsetHeight === 240; })()`)

	// A picture that is clicked opens over the page, the arrow goes to the next, Escape back to where one was.
	const over = `document.querySelector("#picture[open] img")`
	eve.do(chromedp.Click(chromedp.CSS("#messages .picture")))
	eve.until(`%s?.naturalWidth === 1200 && document.querySelector("#picture figcaption").textContent === "hills.png"`, over)
	eve.accessible("a picture over the page")
	eve.screenshot("files-picture")
	eve.do(chromedp.KeyEvent(kb.ArrowRight))
	eve.until(`%s?.naturalHeight === 500`, over)
	eve.do(chromedp.KeyEvent(kb.Escape))
	eve.until(`!%s && document.activeElement === document.querySelectorAll("#messages .picture")[1]`, over)

	// Its text can be added, and taken away again.
	ada.do(chromedp.Click(chromedp.CSS("#body")), chromedp.KeyEvent(kb.ArrowUp))
	ada.until(`document.querySelector(".editor textarea")?.value === ""`)
	ada.do(chromedp.SendKeys(chromedp.CSS(".editor textarea"), "from above\r"))
	eve.sees("from above")
	ada.until(`!document.querySelector(".editor")`)
	ada.do(chromedp.KeyEvent(kb.ArrowUp))
	ada.until(`document.querySelector(".editor textarea")?.value === "from above" && (document.querySelector(".editor textarea").value = "", true)`)
	ada.do(chromedp.SendKeys(chromedp.CSS(".editor textarea"), "\r"))
	eve.until(`document.querySelectorAll("#messages .message")[1].querySelector(".body").hidden`)

	// Dropped; sent while it is uploaded, it goes when it is there.
	ada.gives("drag", zeros("data.bin", 10))
	ada.until(`document.querySelector("main.dropping")`)
	ada.screenshot("files-dropping")
	ada.gives("drop", zeros("data.bin", 40_000_000))
	ada.say("the data")
	eve.sees("the data")
	eve.until(`[...document.querySelectorAll("#messages .file small")].some((s) => s.textContent === "40 MB")`)
	eve.accessible("a room with files")
	eve.screenshot("files")

	// An upload tells how far it is and can be broken off, which leaves nothing behind.
	exec(t, db, `delete from chat.files`)
	eve.until(`!document.querySelector("#messages .picture, #messages .file")`)
	eve.gives("choose", zeros("large.bin", 85_000_000))
	eve.until(`/^[1-9]\d? %% of 85 MB$/.test(%s[0]?.querySelector("small").textContent) && (document.querySelector(".attached .remove").click(), true)`, chips)
	eve.until(`!%s.length`, chips)
	noFiles(t, db)

	// What is too large, and what finds no room, is told where it stands; the text stays.
	eve.do(chromedp.SendKeys(chromedp.CSS("#body"), "my draft"))
	eve.gives("choose", zeros("huge.bin", 90_000_001))
	eve.until(`document.querySelector(".attached .failed [role=alert]")?.textContent === "Too large: a file may have at most 90 MB."`)
	exec(t, db, `insert into chat.files (id, room_id, uploader_id, name, size, completed_at)
		select gen_random_uuid(), r.id, u.id, 'old', 99000000, now() from chat.rooms r, chat.users u where u.name = 'ada' and r.slug = 'general'`)
	eve.gives("choose", zeros("more.bin", 2_000_000))
	eve.until(`document.querySelectorAll(".attached .failed")[1]?.textContent.includes('There is no room left for "more.bin"')`)
	eve.say("")
	eve.until(`document.querySelector("#composer-error").textContent.includes("could not be uploaded") && document.querySelector("#body").value.startsWith("my draft")`)
	eve.screenshot("files-failed")
	exec(t, db, `delete from chat.files`)
	eve.until(`(%s.forEach((c) => c.querySelector(".remove").click()), !%[1]s.length)`, chips)
	eve.say("")
	eve.sees("my draft")

	// A picture opens by itself: the policy lets the browser show it, and nothing in it run.
	eve.gives("choose", pngFile("alone.png", picture))
	eve.until(`document.querySelector(".attached img")`)
	eve.say("")
	eve.until(`(() => { const a = document.querySelector("#messages .picture"); if (a) location.assign(a.href); return a; })()`)
	eve.until(`document.images[0]?.naturalWidth === 1200 && location.pathname.endsWith("/alone.png")`)
}
