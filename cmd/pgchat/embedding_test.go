package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	osexec "os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// reader is a program that prints what is said.
type reader struct {
	t      *testing.T
	cmd    *osexec.Cmd
	lines  *bufio.Reader
	errOut bytes.Buffer
}

func read(t *testing.T, cmd *osexec.Cmd) *reader {
	t.Helper()
	r := &reader{t: t, cmd: cmd}
	cmd.Stderr = &r.errOut
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewReader(out)
	t.Cleanup(r.end)
	return r
}

// end kills it, so that it cannot tidy up.
func (r *reader) end() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() }

func (r *reader) prints(lines ...string) {
	r.t.Helper()
	for _, want := range lines {
		if line, err := r.lines.ReadString('\n'); line != want+"\n" {
			r.end()
			r.t.Fatalf("it printed %q, error %v, want %q\n%s", line, err, want, r.errOut.String())
		}
	}
}

// TestAnApplicationPostsInItsTransaction runs docs/embedding.md from its beginning to its end: what commits is there, order and
// message, and read live; what does not is not, neither.
func TestAnApplicationPostsInItsTransaction(t *testing.T) {
	_, url := pgtest.Cluster(t)
	shopURL := strings.Replace(url, "user=pgchat", "user=shop", 1)
	owner := pgtest.Connect(t, url)
	exec := func(sql string) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	left := documented(t, "../../docs/embedding.md")
	next := func(language, url string) func(args ...string) *osexec.Cmd {
		t.Helper()
		if len(left) == 0 || left[0].language != language {
			t.Fatalf("the next block is not %s: %+v", language, left)
		}
		b := left[0]
		left = left[1:]
		return b.prepared(t, url)
	}
	does := func(cmd *osexec.Cmd) (out string) {
		t.Helper()
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return string(text)
	}
	fails := func(cmd *osexec.Cmd, with string) {
		t.Helper()
		if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), with) {
			t.Errorf("error %v, want one with %q:\n%s", err, with, text)
		}
	}
	var wantOrders, wantMessages []string
	has := func() {
		t.Helper()
		for sql, want := range map[string][]string{
			`select item from shop.orders order by ctid`:                                                                  wantOrders,
			`select body from chat.messages m join chat.rooms r on r.id = m.room_id where r.slug = 'orders' order by seq`: wantMessages,
		} {
			rows, err := owner.Query(t.Context(), sql)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if diff := cmp.Diff(want, got); err != nil || (diff != "" && len(got)+len(want) > 0) {
				t.Errorf("%s: error %v, want (-), got (+):\n%s", sql, err, diff)
			}
		}
	}
	ordered := func(item string, quantity int) {
		t.Helper()
		wantOrders = append(wantOrders, item)
		wantMessages = append(wantMessages, fmt.Sprintf("New order: %d × %s", quantity, item))
		has()
	}

	does(next("sql", url)())
	// What fails at COMMIT fails after the message was posted.
	exec(`create function shop.refuse() returns trigger language plpgsql as $$ begin raise 'out of stock'; end $$;
		create constraint trigger refuse after insert on shop.orders deferrable initially deferred for each row execute function shop.refuse();
		alter table shop.orders disable trigger refuse`)
	const (
		soldOut   = `alter table shop.orders enable trigger refuse`
		available = `alter table shop.orders disable trigger refuse`
		archive   = `select chat.archive_room('orders')`
		restore   = `select chat.restore_room('orders')`
	)

	order := next("sql", shopURL)
	exec(soldOut)
	fails(order(), "out of stock")
	exec(available)
	exec(archive)
	fails(order(), "room 'orders' is archived")
	exec(restore)
	has()
	if seq := does(order()); seq != "1\n" {
		t.Errorf("it returned %q", seq)
	}
	ordered("red bicycle", 2)

	// Behind a savepoint.
	anyway := next("sql", shopURL)
	exec(archive)
	if said := does(anyway()); !strings.Contains(said, "the chat was not told: room 'orders' is archived") {
		t.Error(said)
	}
	wantOrders = append(wantOrders, "bell")
	has()
	exec(restore)
	exec(`delete from shop.orders where item = 'bell'`)
	exec(soldOut)
	fails(anyway(), "out of stock")
	exec(available)
	wantOrders = wantOrders[:1]
	has()
	does(anyway())
	ordered("bell", 1)

	for i, language := range []string{"go", "python"} {
		order := next(language, shopURL)
		id := func(n int) string { return fmt.Sprintf("0192f8a0-5e1c-7c3a-9b1e-0000000001%d%d", i, n) }
		exec(soldOut)
		fails(order(id(0), "saddle", "3"), "out of stock")
		exec(available)
		has()
		fails(order(id(0), "saddle", "0"), "quantity")
		has()
		does(order(id(0), "saddle by "+language, "3"))
		ordered("saddle by "+language, 3)

		exec(archive)
		if said := does(order(id(1), "tyre by "+language, "4")); !strings.Contains(said, "the chat was not told") || !strings.Contains(said, "is archived") {
			t.Errorf("%s: it said %s", language, said)
		}
		wantOrders = append(wantOrders, "tyre by "+language)
		has()
		exec(restore)

		// Somebody else is in the room for long.
		exec(`alter role shop set lock_timeout = '50ms'`)
		exec(`begin; select chat.post('orders', 'shop', 'for long')`)
		if said := does(order(id(2), "lamp by "+language, "5")); !strings.Contains(said, "the chat was not told") || !strings.Contains(said, "lock timeout") {
			t.Errorf("%s: it said %s", language, said)
		}
		exec(`rollback`)
		wantOrders = append(wantOrders, "lamp by "+language)
		has()
		exec(`alter role shop set lock_timeout = '3s'`)
	}

	many := does(next("sql", shopURL)())
	if diff := cmp.Diff("invoice 17 is due|posted|5\ninvoice 18 is due|posted|6\ninvoice 18 is due|duplicate|6\ninvoice 19 is due|posted|7\n", many); diff != "" {
		t.Error(diff)
	}
	wantMessages = append(wantMessages, "Invoice 17 is due", "Invoice 18 is due", "Invoice 19 is due")
	has()

	// Both go on where the one before was killed.
	seen := 0
	for _, language := range []string{"go", "python"} {
		program := next(language, shopURL+" application_name=reader")
		r := read(t, program())
		said := func(body string) string {
			t.Helper()
			wantMessages = append(wantMessages, body)
			exec(`select chat.post('orders', 'shop', '` + body + `')`)
			return body
		}
		news := func() (lines []string) {
			for ; seen < len(wantMessages); seen++ {
				lines = append(lines, fmt.Sprintf("%d shop: %s", seen+1, wantMessages[seen]))
			}
			return lines
		}
		r.prints(news()...)
		said("live, to " + language)
		r.prints(news()...)
		exec(`begin`)
		exec(`select chat.post('orders', 'shop', 'taken back')`)
		exec(`rollback`)
		exec(`select from shop.chat_cursor for update`) // what was printed is noted
		exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reader'`)
		said("while nobody listens")
		r.prints(news()...)
		said("live again")
		r.prints(news()...)
		exec(`select from shop.chat_cursor for update`) // what was printed is noted
		r.end()
		said("after the end of " + language)
		r = read(t, program())
		r.prints(news()...)
		exec(`select from shop.chat_cursor for update`)
		r.end()
		said("after the second end of " + language)
	}
	has()
	if len(left) > 0 {
		t.Errorf("these blocks were not run: %+v", left)
	}

	// The errors that are told, and what the application may not.
	shop := pgtest.Connect(t, shopURL)
	refused := func(code, sql string) {
		t.Helper()
		_, err := shop.Exec(t.Context(), sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != code {
			t.Errorf("%s: %v, want SQLSTATE %s", sql, err, code)
		}
		if _, err := shop.Exec(t.Context(), `rollback`); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`select chat.post('general', 'shop', 'x')`, `select from chat.messages`, `select from chat.users`, `select chat.tell_activity('moved', '')`,
		`create table shop_chat.mine ()`, `create or replace function shop_chat.tell(body text) returns bigint language sql as 'select 1::bigint'`,
	} {
		refused("42501", sql)
	}
	refused("23514", `select shop_chat.tell(' ')`)
	refused("23514", `select shop_chat.tell(repeat('x', 8001))`)
	if _, err := shop.Exec(t.Context(), `begin isolation level repeatable read; select`); err != nil {
		t.Fatal(err)
	}
	exec(`select chat.post('orders', 'shop', 'meanwhile')`)
	refused("40001", `select shop_chat.tell('x')`)
	exec(`select chat.ban('shop', 'orders', reason => 'too much')`)
	refused("23514", `select shop_chat.tell('x')`)
	exec(`select chat.unban('shop', 'orders')`)
	exec(`select chat.remove_member('orders', 'shop')`)
	refused("23514", `select shop_chat.tell('x')`)
	exec(`update chat.rooms set slug = 'sales' where slug = 'orders'`)
	refused("P0002", `select shop_chat.tell('x')`)
	var none int
	if err := shop.QueryRow(t.Context(), `select count(*) from shop_chat.tell_all('{a}', '{b}')`).Scan(&none); err != nil || none != 0 {
		t.Errorf("%d rows, error %v", none, err)
	}
}
