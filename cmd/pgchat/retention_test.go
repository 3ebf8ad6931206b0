package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// An owner says for how long messages are kept and confirms it; who has them open, on another server, sees them go.
func TestWhatIsTooOldGoesFromOpenPages(t *testing.T) {
	url := pgtest.URL(t)
	one, two, db := serve(t, build(t), url, "127.0.0.1:0"), serve(t, build(t), url, "127.0.0.1:0"), pool(t, url)
	ada, bob := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	bob.signUp(two.address, "bob")
	exec(t, db, `insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'message ' || i, now() - case when i < 121 then interval '20 days' else interval '1 hour' end
		from chat.rooms r, chat.users u, generate_series(1, 124) i where r.slug = 'general' and u.name = 'ada' order by i`)
	exec(t, db, `select chat.post('general', 'ada', 'answers what goes', reply_to => 118), chat.pin('general', 3, 'ada'), chat.pin('general', 119, 'ada')`)
	bob.do(chromedp.Navigate(two.address + "/rooms/general?at=100"))
	bob.until(`document.querySelector("#state.live") && document.querySelector('.message[data-seq="100"]') && document.querySelector(".pins-button b").textContent === "2" && (window.same = true)`)

	ada.settings()
	ada.do(chromedp.Click(chromedp.CSS(`input[name="keep"][value="days"]`)), chromedp.SendKeys(chromedp.CSS("#keep_days"), "10"))
	ada.presses("#retention form", "", "Save")
	ada.until(`document.querySelector(".confirm [role=alert]")?.textContent.includes("This removes 120 messages that are older than 10 days")`)
	ada.screenshot("confirm-retention")
	ada.presses(".confirm", "", "Remove them")
	ada.until(`!document.querySelector(".confirm") && document.querySelector('input[name="keep"][value="days"]')?.checked && document.querySelector("#keep_days").value === "10"`)

	// bob looks back and reads a thread; all of it is too old.
	bob.until(`document.querySelector("template.beginning").content.textContent.includes("Messages of this room are removed after 10 days.")`)
	bob.until(`(document.querySelector('.message[data-seq="118"] .thread-link').click(), true)`)
	bob.until(`document.querySelector(".thread-replies .message")?.textContent.includes("answers what goes")`)
	exec(t, db, `select chat.retain(100)`)
	bob.until(`document.querySelector("#messages .message").dataset.seq === "101" && document.querySelector(".pins-button b").textContent === "1"`)
	exec(t, db, `select chat.retain(100)`)
	bob.until(`document.querySelector("#messages .message").dataset.seq === "121" && document.querySelector("#thread-panel").hidden && document.querySelector(".pins-button").hidden`)
	bob.until(`(() => { const said = document.querySelector("#older").textContent; return said.includes("Messages of this room are removed after 10 days.") && !said.includes("begins"); })()`)
	bob.until(`document.querySelector('.message[data-seq="125"] .quote').textContent.includes("a removed message")`)
	bob.screenshot("removed")

	// The page is live, and was not loaded again.
	ada.returns()
	ada.say("hello, what is left")
	bob.sees("hello, what is left")
	bob.until(`window.same && document.querySelectorAll("#messages .message").length === 6 && document.querySelector("#newer").hidden`)

	// A link to what is gone says so.
	bob.do(chromedp.Navigate(two.address + "/rooms/general?at=5"))
	bob.until(`document.querySelector("#state.live") && document.querySelector(".log-notice")?.textContent === "Message 5 is no longer here. Messages of this room are removed after 10 days. This is the oldest one." &&
		document.querySelector(".message.found").dataset.seq === "121"`)

	// Nor does all that is left hold a page up that has it open, and what is said then is the first.
	exec(t, db, `begin; set local session_replication_role = replica; update chat.messages set created_at = created_at - interval '20 days'; commit; select chat.retain()`)
	bob.until(`!document.querySelector("#messages .message") && document.querySelector("#newer").hidden`)
	ada.say("a new beginning")
	bob.sees("a new beginning")
	bob.do(chromedp.Reload())
	bob.until(`document.querySelector("#state.live") && document.querySelectorAll("#messages .message").length === 1 && document.querySelector("#messages .message").dataset.seq === "127"`)
}
