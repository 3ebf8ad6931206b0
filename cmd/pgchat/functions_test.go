package main_test

import (
	"testing"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhatSQLFunctionsDoShowsInOpenPages(t *testing.T) {
	bin, url := build(t), pgtest.URL(t)
	db := pool(t, url)
	one, two := serve(t, bin, url, "127.0.0.1:0"), serve(t, bin, url, "127.0.0.1:0")
	ada, eve := openBrowser(t), openBrowser(t)
	ada.signUp(one.address, "ada")
	eve.signUp(two.address, "eve")
	eve.say("hello")
	ada.sees("hello")

	exec(t, db, `select chat.edit('general', 1, 'hello from SQL')`)
	exec(t, db, `select chat.rename_user('eve', 'evelyn')`)
	for _, b := range []*browser{ada, eve} {
		b.sees("hello from SQL")
		b.until(`[...document.querySelectorAll("#messages .message header b")].every((b) => b.textContent === "evelyn")`)
		b.until(`document.querySelector("#people button[title='Write to evelyn']")`)
	}
	eve.until(`document.querySelector(".me-name").textContent.startsWith("evelyn")`)
	eve.say("and it is me")
	ada.until(`[...document.querySelectorAll("#messages .message header b")].length === 2`)
	exec(t, db, `select chat.create_room('From SQL', members => '{ada}')`)
	ada.until(`document.querySelector("#rooms a[href='/rooms/from-sql']")`)
}
