package main_test

import (
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// posted gives a message in general a file, as if it had been sent with it.
func posted(t *testing.T, db *pgxpool.Pool, seq int, name string) {
	t.Helper()
	exec(t, db, `insert into chat.files (id, room_id, seq, place, uploader_id, name, size, completed_at)
		select gen_random_uuid(), r.id, $1, 1, u.id, $2, 3, now() from chat.rooms r, chat.users u where r.slug = 'general' and u.name = 'eve'`, seq, name)
}

func TestAPageWhoseServerWasAwaySeesAllThatChangedMeanwhile(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	one, two, db := serve(t, bin, url, "127.0.0.1:0"), serve(t, bin, url, "127.0.0.1:0"), pool(t, url)
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	addRooms(t, db, "design")
	exec(t, db, `select chat.post('general', 'eve', 'message ' || g) from generate_series(1, 8) g`)
	exec(t, db, `select chat.react('general', 1, 'eve', '👍'), chat.react('general', 2, 'eve', '👀')`)
	posted(t, db, 5, "old.txt")
	ada.sees("message 8")
	ada.until(`document.querySelector("#rooms [data-name=design]")`)
	ada.badge("design", "")
	ada.until(reactions+` === "👀1" && document.querySelector("[data-seq='5'] .file")?.textContent.includes("old.txt")`, 2)
	ada.personIs("#people li", "eve", "online", "", "")
	ada.until(`window.same = true`)

	one.signal(syscall.SIGKILL)
	ada.until(`document.querySelector("#state.waiting, #state.offline")`)
	exec(t, db, `select chat.react('general', 1, 'ada', '👍'), chat.react('general', 1, 'eve', '🚀'), chat.react('general', 2, 'eve', '👀', false)`)
	exec(t, db, `update chat.messages set body = 'edited **meanwhile**' where seq = 3`)
	exec(t, db, `update chat.messages set deleted_at = now() where seq = 4`)
	exec(t, db, `delete from chat.files where name = 'old.txt'`)
	posted(t, db, 6, "new.txt")
	exec(t, db, `select chat.pin('general', 7, 'eve')`)
	exec(t, db, `select chat.post('general', 'eve', 'an answer', reply_to => 8)`)
	exec(t, db, `select chat.post('design', 'eve', 'one'), chat.post('design', 'eve', 'two')`)
	exec(t, db, `update chat.users set status_emoji = '🌴', status_text = 'On holiday' where name = 'eve'`)
	exec(t, db, `update chat.rooms set topic = 'As it is now' where slug = 'general'`)

	// Who was there all the time sees it all, and so does who was away, in the page that was open.
	eve.sees("an answer")
	serve(t, bin, url, one.host)
	for _, b := range []*browser{ada, eve} {
		b.sees("an answer")
		b.until(`document.querySelector("#state.live")`)
		b.until(reactions+` === ""`, 2)
		b.sees("edited meanwhile")
		b.until(`document.querySelector("[data-seq='3'] .body strong") && document.querySelectorAll("#messages .edited").length === 1`)
		b.until(`document.querySelector("[data-seq='4'] .removed") && !document.querySelector("[data-seq='5'] .file")`)
		b.until(`document.querySelector("[data-seq='6'] .file")?.textContent.includes("new.txt")`)
		b.until(`document.querySelector("[data-seq='7'][data-pinned]") && document.querySelector(".pins-button:not([hidden]) b").textContent === "1"`)
		b.quotes("an answer", "eve", "message 8")
		b.until(`document.querySelector(".bar .topic").textContent === "As it is now"`)
		b.personIs("#people li", "eve", "online", "🌴", "On holiday")
		b.until(`[...document.querySelectorAll("#messages .message")].map((m) => m.dataset.seq).join() === "1,2,3,4,5,6,7,8,9"`)
	}
	ada.until(reactions+` === "👍2* 🚀1"`, 1)
	eve.until(reactions+` === "👍2* 🚀1*"`, 1)
	ada.badge("design", "2")
	ada.until(`window.same && document.title === "• #general · pgchat"`)
	ada.screenshot("caught-up")
}
