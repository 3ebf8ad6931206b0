package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// fill has the room general hold n messages, a day apart, the last one of 2026-03-31.
func (s *site) fill(t *testing.T, n int) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body, created_at)
		select r.id, u.id, 'message ' || i, timestamptz '2026-03-31 12:00+00' - ($1::int - i) * interval '1 day'
		from chat.rooms r, chat.users u, generate_series(1, $1::int) i where r.slug = 'general' and u.name = 'ada' order by i`, n); err != nil {
		t.Fatal(err)
	}
}

// seqs are the first and the last message on a page, and how many there are.
func (a answer) seqs() string {
	all := regexp.MustCompile(`data-seq="(\d+)"`).FindAllStringSubmatch(strings.Split(a.body, `<template`)[0], -1)
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s to %s, %d", all[0][1], all[len(all)-1][1], len(all))
}

func TestARoomOpensAtAnyOfItsMessages(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	s.do(t, c, "GET", "/rooms/general?at=7", nil).want(t, 200, "begins")
	s.fill(t, 200)
	const at100 = `class="message found" tabindex="-1" autofocus`
	for query, want := range map[string]string{
		"": "151 to 200, 50", "?at=100": "75 to 124, 50", "?at=3": "1 to 50, 50", "?at=200": "175 to 200, 26", "?at=999": "175 to 200, 26",
		"?before=21": "1 to 20, 20", "?after=124": "125 to 174, 50", "?after=190": "191 to 200, 10", "?after=200": "151 to 200, 50", "?after=0": "1 to 50, 50",
	} {
		a := s.do(t, c, "GET", "/rooms/general"+query, nil)
		a.want(t, 200, `data-cursor="200.0.`)
		if got := a.seqs(); got != want {
			t.Errorf("%s: got messages %s, want %s", query, got, want)
		}
		if latest := !strings.Contains(a.body, "To the newest messages"); latest != strings.Contains(want, "to 200") {
			t.Errorf("%s: newest %v", query, latest)
		}
		if fragment := s.do(t, c, "GET", "/rooms/general"+query, nil, "HX-Request", "true"); query != "" && (fragment.seqs() != want || strings.Contains(fragment.body, "<main")) {
			t.Errorf("%s: the fragment has %s", query, fragment.seqs())
		}
	}
	s.do(t, c, "GET", "/rooms/general?at=100", nil).want(t, 200, at100, `href="/rooms/general?before=75"`, `href="/rooms/general?after=124"`)
	s.do(t, c, "GET", "/rooms/general?at=100&view", nil, "HX-Request", "true").want(t, 200, at100, "<main")
	s.do(t, c, "GET", "/rooms/general?at=999", nil).want(t, 200, "There is no message 999 here", at100)
	for _, wrong := range []string{"?at=x", "?at=0", "?at=-1", "?before=0", "?after=-1", "?at=99999999999999999999", "?at=1&after=2", "?date=yesterday"} {
		s.do(t, c, "GET", "/rooms/general"+wrong, nil).want(t, 422)
	}
	if a := s.do(t, c, "GET", "/rooms/general/messages?at=100", nil); a.status != 303 || a.location != "/rooms/general?at=100" {
		t.Errorf("a browser that asks for messages: %d, to %s", a.status, a.location)
	}
}

func TestARoomOpensAtADay(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	s.do(t, c, "GET", "/rooms/general?date=2026-03-01", nil).want(t, 200, "Nothing was said")
	s.fill(t, 200)
	for date, seq := range map[string]int{
		"2026-03-31": 200, "2026-03-30": 199, "2026-01-01": 111, "1999-01-01": 1, "2026-03-31T14:00:00+02:00": 200, "2026-03-31T11:59:59.5Z": 200, "2026-03-30T12:00:01Z": 200,
	} {
		s.do(t, c, "GET", "/rooms/general?date="+url.QueryEscape(date), nil, "HX-Request", "true").want(t, 200, "found\" tabindex=\"-1\" autofocus id=\"m-")
		a := s.do(t, c, "GET", "/rooms/general?date="+url.QueryEscape(date), nil)
		found := regexp.MustCompile(`message found"[^>]* data-seq="(\d+)"`).FindStringSubmatch(a.body)
		if found == nil || found[1] != fmt.Sprint(seq) {
			t.Errorf("%s: found %v, want %d", date, found, seq)
		}
	}
	after := s.do(t, c, "GET", "/rooms/general?date=2026-04-01", nil)
	after.want(t, 200, "Nothing was said on that day or later")
	if got := after.seqs(); got != "151 to 200, 50" {
		t.Errorf("after the last day: got %s", got)
	}
}

func TestProgramsReadARoomsPast(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.fill(t, 120)
	token := s.token(t, "ada")
	for query, want := range map[string]string{
		"": `"seq":71,`, "?before=11&limit=3": `"seq":8,`, "?after=10&limit=2": `"seq":11,`, "?around=50&limit=5": `"seq":48,`, "?around=2&limit=5": `"seq":1,`, "?after=120": `"messages":[]`,
		"?date=2026-01-01&limit=2": `"seq":31,`, "?date=2999-01-01": `"messages":[]`,
	} {
		for _, credentials := range [][]string{{"Authorization", "Bearer " + token}, nil} {
			who := client(t)
			if credentials == nil {
				who = ada
			}
			a := s.do(t, who, "GET", "/rooms/general/messages"+query, nil, append(credentials, "Accept", "application/json")...)
			a.want(t, 200, `"cursor":"120.0.`, want)
			if first := strings.Index(a.body, `"seq":`); first >= 0 && !strings.HasPrefix(a.body[first:], want) {
				t.Errorf("%s: got %s", query, a.body)
			}
		}
	}
	for query, want := range map[string]string{"?limit=201": "limit is a number", "?limit=x": "limit is a number", "?before=x": "not the number", "?date=yesterday": "not a date", "?thread=1&date=2026-01-01": "The replies of a thread", "?before=2&around=3": "Only one"} {
		s.do(t, ada, "GET", "/rooms/general/messages"+query, nil, "Accept", "application/json").want(t, 422, `"code":"invalid"`, want)
	}
	s.do(t, client(t), "GET", "/rooms/general/messages", nil, "Accept", "application/json").want(t, 401, `"code":"unauthenticated"`)
	s.do(t, client(t), "GET", "/rooms/general/messages", nil, "Accept", "application/json", "Authorization", "Bearer x").want(t, 401, `"code":"unauthenticated"`)

	// A room that one may not see is not there.
	if _, err := s.pool.Exec(t.Context(), `insert into chat.rooms (slug, name, kind) values ('secret', 'secret', 'private')`); err != nil {
		t.Fatal(err)
	}
	s.do(t, ada, "GET", "/rooms/secret/messages?around=1", nil, "Accept", "application/json").want(t, 404, `"code":"not_found"`)
	s.do(t, ada, "GET", "/rooms/secret?at=1", nil).want(t, 404)
}

func TestAPageThatHasMissedMuchIsToldSoOnly(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	s.fill(t, 300)
	if _, err := s.pool.Exec(t.Context(), `update chat.messages set body = 'changed' where seq = 7`); err != nil {
		t.Fatal(err)
	}
	ws, _, err := s.dial(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	for cursor, want := range map[string]string{`"99.0","most":200`: "behind", `"100.0","most":200`: "messages", `"0.0"`: "messages", `"299.0","most":200`: "messages"} {
		send(t, ws, fmt.Sprintf(`{"type":"open","room":%q,"cursor":%s}`, s.room(t), cursor))
		first, changed := map[string]any(nil), false
		for f := readJSON(t, ws); f["type"] != "opened"; f = readJSON(t, ws) {
			switch f["type"] {
			case "behind", "messages":
				if first == nil {
					first = f
				}
			case "changed":
				changed = true
			}
		}
		if first["type"] != want || want == "behind" && first["seq"] != 300.0 || !changed {
			t.Errorf("opened at %s: got %v, changes %v", cursor, first["type"], changed)
		}
	}
	// What comes after that comes as always.
	send(t, ws, fmt.Sprintf(`{"type":"open","room":%q,"cursor":"0.0","most":200}`, s.room(t)))
	until(t, ws, "behind")
	if _, err := s.pool.Exec(t.Context(), `select chat.post('general', 'ada', 'news')`); err != nil {
		t.Fatal(err)
	}
	if f := until(t, ws, "messages"); f["first"] != 301.0 || f["last"] != 301.0 {
		t.Errorf("after that: got %v", f)
	}
}
