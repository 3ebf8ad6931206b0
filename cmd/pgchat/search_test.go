package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// A server looks for so long and then says that there is more further back; the page asks on by itself until it has a page of it.
func TestSearchingGoesOnByItself(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	exec(t, db, `insert into chat.search_buckets (bucket, starts) select n, case when n = 1 then '-infinity' else now() - interval '250 minutes' + n * interval '40 minutes' end from generate_series(1, 6) n on conflict do nothing`)
	forEachBucket := func(sql string) {
		exec(t, db, `create or replace function chat.search_in(bucket integer, upto integer, query text) returns tsquery language plpgsql immutable parallel safe as
			$$ begin `+sql+`; return (select string_agg('(' || replace(query, '~', to_hex(b)) || ')', ' | ')::tsquery from generate_series(bucket, upto) b); end $$`)
	}
	forEachBucket(`perform pg_sleep(0.1)`) // longer than a search may take
	fill(t, db, 200)
	until(t, db, `select coalesce(bool_and(p.seq = h.last_seq and p.rev = h.last_rev), false) from chat.room_heads h left join chat.search_progress p using (room_id) where h.last_seq > 0`)

	b.do(chromedp.Navigate(site.address + "/search?q=7"))
	b.until(`document.querySelectorAll(".hits li").length === 1 && document.querySelector(".hits .snippet").textContent === "message 7" && !document.querySelector(".next, .search .empty, .how") && document.querySelector(".further").textContent === "1 message found." && !document.querySelector(".hits time").textContent.includes("UTC")`)
	b.accessible("what was found further back")
	b.screenshot("search-further-back")
	b.do(chromedp.Navigate(site.address + "/search?q=nowhere"))
	b.until(`document.querySelector(".search .empty h2").textContent === "That is all" && !document.querySelector(".hits, .next") && document.querySelector(".how") && document.querySelector(".further").textContent === ""`)
	// A page of it is enough.
	b.do(chromedp.Navigate(site.address + "/search?q=message"))
	b.until(`(() => { const n = document.querySelectorAll(".hits li").length; return n >= 20 && n < 40 && document.querySelector(".next a") && document.querySelector(".further").textContent === n + " messages found."; })()`)
	// Where the server fails on the way, what is left to be asked stays to be asked.
	forEachBucket(`perform pg_sleep(0.1), 1 / (bucket - 4)`)
	b.do(chromedp.Navigate(site.address + "/search?q=7"))
	b.until(`document.querySelector(".further")?.textContent === "" && document.querySelector(".next a").textContent === "Search further back" && document.querySelector(".search .empty h2").textContent === "Nothing so far"`)
}

func TestSearchingFindsWhatWasSaidAndLeadsToIt(t *testing.T) {
	url := pgtest.URL(t)
	site, db := serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(site.address, "ada")
	eve.signUp(site.address, "eve")
	fill(t, db, 200)
	exec(t, db, `insert into chat.rooms (slug, name, topic) values ('staging', 'Staging', 'where we try it first')`)
	exec(t, db, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'staging'`)
	for _, body := range []string{"The **deployment** to staging took two hours; is <b>that</b> normal?", "I rolled the deployment back, see https://example.com/runbook for how", "Third time lucky: deployments from now on go out on Mondays only, before lunch, so that there is somebody to look at them in the afternoon. If one has to go out later, say so here and stay around until the graphs are flat; that takes about a quarter of an hour, and nobody minds being asked to look at them with you."} {
		exec(t, db, `select chat.post('staging', 'eve', $1)`, body)
	}
	exec(t, db, `insert into chat.files (id, room_id, seq, uploader_id, name, type, size, completed_at)
		select gen_random_uuid(), room_id, seq, author_id, 'deployment-plan.pdf', 'application/pdf', 1, now() from chat.messages where body like 'I rolled%'`)

	indexed := false
	for !indexed { // by the server, in a moment
		if err := db.QueryRow(t.Context(), `select coalesce(bool_and(p.seq = h.last_seq and p.rev = h.last_rev), false) from chat.room_heads h left join chat.search_progress p using (room_id) where h.last_seq > 0`).Scan(&indexed); err != nil {
			t.Fatal(err)
		}
	}

	// From the box beside the rooms, by the key.
	ada.do(chromedp.Navigate(site.address + "/rooms/general"))
	ada.until(`document.querySelector("#state.live")`)
	ada.until(`(() => { document.activeElement.blur(); return true; })()`)
	ada.do(chromedp.KeyEvent("/"))
	ada.until(`document.activeElement.matches(".find input[name=q]")`)
	ada.until(`(() => { document.activeElement.value = ""; return true; })()`) // a key that is sent is typed, too
	ada.do(chromedp.KeyEvent("deployment" + kb.Enter))
	ada.until(`location.pathname === "/search" && document.querySelectorAll(".hits li").length === 3`)
	ada.until(`[...document.querySelectorAll(".hits mark")].some((m) => m.textContent === "deployments") && !document.querySelector(".hits b b, .snippet b") && document.querySelector(".hit-file > span").textContent === "deployment-plan.pdf"`)
	ada.until(`document.querySelector("#q").value === "deployment" && !document.querySelector(".hits time").textContent.includes("UTC")`)
	ada.accessible("what was found")
	ada.screenshot("search")

	// What was found leads to where it was said.
	ada.do(chromedp.Navigate(site.address + "/search?q=%22message+100%22"))
	ada.until(`document.querySelectorAll(".hits li").length === 1`)
	ada.do(chromedp.Click(chromedp.CSS(".hits a")))
	ada.until(`document.querySelector("#state.live")`)
	ada.until(foundInSight, 100)

	// In this room.
	ada.until(`(() => { dispatchEvent(new KeyboardEvent("keydown", { key: "F", ctrlKey: true, shiftKey: true, bubbles: true })); return true; })()`)
	ada.until(`document.activeElement.matches(".find input[name=q]") && document.activeElement.value === "in:general "`)
	ada.do(chromedp.KeyEvent("before:soon" + kb.Enter))
	ada.until(`document.querySelector("#q-error")?.textContent.includes("soon") && document.querySelector("#q").value === "in:general before:soon"`)
	ada.accessible("a search that is wrong")
	ada.screenshot("search-wrong")

	// Page by page.
	ada.do(chromedp.Navigate(site.address + "/search?q=message&sort=newest"))
	for range 9 {
		ada.until(`document.querySelectorAll(".hits li").length === 20`)
		ada.until(`(() => { document.querySelector(".hits li").remove(); return true; })()`)
		ada.do(chromedp.Click(chromedp.CSS(".next a")))
	}
	ada.until(`document.querySelectorAll(".hits li").length === 20 && document.querySelector(".hits li:last-child .snippet")?.textContent === "message 1"`)
	ada.do(chromedp.Navigate(site.address + "/search?q=xyzzy"))
	ada.until(`document.querySelector(".empty") && document.querySelector(".how")`)
	ada.accessible("nothing found")
	ada.screenshot("search-nothing")
}
