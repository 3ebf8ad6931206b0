package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

type foundFrame struct {
	Messages []struct {
		Room, Body string
		Seq        int
		Author     struct{ Name string }
	}
	Rooms          []struct{ Room string }
	People         []struct{ Name string }
	Near           bool
	Unsearched     int
	Next, Code     string
	Message, Error string
}

// search is what a program gets.
func (s *site) search(t *testing.T, c *http.Client, q string, more ...string) (f foundFrame) {
	t.Helper()
	a := s.do(t, c, "GET", "/search?q="+url.QueryEscape(q)+strings.Join(more, ""), nil, "Accept", "application/json")
	if err := json.Unmarshal([]byte(a.body), &f); err != nil || a.status != 200 && f.Code != "invalid" {
		t.Fatalf("search %s: %d %s", q, a.status, a.body)
	}
	return f
}

func (f foundFrame) bodies() (all []string) {
	for _, m := range f.Messages {
		all = append(all, m.Body)
	}
	slices.Sort(all)
	return all
}

// say stores a message.
func (s *site) say(t *testing.T, room, author, body, at string) {
	t.Helper()
	s.exec(t, `insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, $3, $4::timestamptz from chat.rooms r, chat.users u where r.slug = $1 and u.name = $2`, room, author, body, at)
}

func (s *site) index(t *testing.T) {
	t.Helper()
	if _, err := chat.NewIndexer(s.pool, slog.New(slog.DiscardHandler)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreFoundByWhatTheyHave(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.signUp(t, "bob")
	s.exec(t, `insert into chat.rooms (slug, name, kind, direct_key) values ('hiring', 'Hiring', 'private', null), ('ops', 'Ops', 'public', null), 
		('direct-1', 'ada, bob', 'direct', (select string_agg(id::text, ',' order by id) from chat.users)), ('direct-2', 'bob', 'direct', (select id::text from chat.users where name = 'bob'))`)
	s.exec(t, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u
		where (r.slug, u.name) in (('hiring', 'bob'), ('ops', 'bob'), ('direct-1', 'ada'), ('direct-1', 'bob'), ('direct-2', 'bob')) on conflict do nothing`)
	s.say(t, "general", "ada", "deploy to staging is done", "2026-03-01 10:00Z")
	s.say(t, "general", "bob", "we rolled back the deploy", "2026-03-02 10:00Z")
	s.say(t, "general", "bob", "back we rolled, see https://example.com/runbook_v2", "2026-03-03 23:30Z")
	s.say(t, "ops", "bob", "Deployments ÄRGER über <script>alert(1)</script> don't", "2026-03-04 10:00Z")
	s.say(t, "hiring", "bob", "deploy the secretword", "2026-03-05 10:00Z")
	s.say(t, "direct-1", "bob", "deploy between us", "2026-03-06 10:00Z")
	s.say(t, "direct-2", "bob", "deploy to myself", "2026-03-06 10:00Z")
	s.say(t, "ops", "ada", "here is the plan", "2026-03-07 10:00Z")
	s.exec(t, `insert into chat.files (id, room_id, seq, uploader_id, name, type, size, completed_at)
		select gen_random_uuid(), room_id, seq, author_id, 'Budget-2027.final.pdf', 'application/pdf', 1, now() from chat.messages where body = 'here is the plan'`)
	s.say(t, "general", "ada", "this will vanish", "2026-03-08 10:00Z")
	s.say(t, "general", "ada", "an old text", "2026-03-08 11:00Z")
	const staging, rolled, back, ops, direct, plan = "deploy to staging is done", "we rolled back the deploy", "back we rolled, see https://example.com/runbook_v2",
		"Deployments ÄRGER über <script>alert(1)</script> don't", "deploy between us", "here is the plan"
	check := func(when string) {
		t.Helper()
		for q, want := range map[string][]string{
			"staging": {staging}, "STAGING deploy": {staging}, "deploy": {staging, rolled, direct}, "deploy -staging": {rolled, direct}, `"rolled back"`: {rolled},
			`"we ROLLED"`: {rolled, back}, `“back the deploy”`: {rolled}, `"back rolled"`: nil, "from:ada": {"an old text", "this will vanish", staging, plan}, "from:me deploy": {staging},
			"in:general deploy": {staging, rolled}, "in:#Ops from:@bob": {ops}, `in:"ops" from:ada`: {plan}, "in:@bob": {direct}, "in:ops in:bob deploy": {direct},
			"deploy*": {staging, rolled, direct, ops}, "deploy* in:ops": {ops}, "ärger": {ops}, "don't": {ops}, "script alert": {ops},
			"has:link": {back}, "has:file": {plan}, "budget": {plan}, "final.pdf plan": {plan}, "has:file has:link": nil, "example.com/runbook": {back}, "v2": {back}, "runbook_v2": {back},
			"after:2026-03-07 from:ada": {"an old text", "this will vanish", plan}, "on:2026-03-01": {staging}, "before:2026-03-02": {staging}, "after:2026-03-02 before:2026-03-04": {rolled, back},
			"on:2026-03 deploy": {staging, rolled, direct}, "on:2025": nil, "before:2026": nil, "secretword": nil, "vanish": {"this will vanish"}, "text": {"an old text"}, "myself": nil, "from:bob -deploy -back": {ops},
		} {
			slices.Sort(want)
			if got := s.search(t, ada, q); !slices.Equal(got.bodies(), want) || got.Near && len(want) > 0 || got.Unsearched > 0 {
				t.Errorf("%s: %s: got %q, near %v, unsearched %d; want %q", when, q, got.bodies(), got.Near, got.Unsearched, want)
			}
		}
	}
	check("before it is indexed")
	s.index(t)
	check("indexed")
	s.exec(t, `delete from chat.search_progress`)
	s.exec(t, `delete from chat.search_buckets`)
	var left int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.search_documents`).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d documents are left, %v", left, err)
	}
	s.index(t)
	check("indexed anew")

	// Days are the reader's: half past eleven in the evening in London is the next day in Athens.
	if got := s.search(t, ada, "on:2026-03-04", "&tz=120").bodies(); !slices.Equal(got, []string{ops, back}) {
		t.Errorf("in Athens: got %q", got)
	}

	// What is deleted or edited is found as it now is, at once and when it is indexed.
	s.exec(t, `update chat.messages set deleted_at = now() where body = 'this will vanish'`)
	s.exec(t, `update chat.messages set body = 'a novel text' where body = 'an old text'`)
	s.exec(t, `delete from chat.messages where body = $1`, staging)
	now := func(when string) {
		t.Helper()
		for q, want := range map[string][]string{"vanish": nil, "old": nil, "novel": {"a novel text"}, "staging": nil, "in:general from:ada": {"a novel text"}} {
			if got := s.search(t, ada, q).bodies(); !slices.Equal(got, want) {
				t.Errorf("%s: %s: got %q, want %q", when, q, got, want)
			}
		}
	}
	now("changed")
	s.index(t)
	now("changed and indexed")
	s.exec(t, `update chat.messages set deleted_at = null where body = 'this will vanish'`)
	for range 2 {
		if got := s.search(t, ada, "vanish").bodies(); len(got) != 1 {
			t.Errorf("brought back: got %q", got)
		}
		s.index(t)
	}
	// A room that is gone takes its messages along, and leaves the search to the others.
	s.exec(t, `delete from chat.rooms where slug = 'ops'`)
	if got := s.search(t, ada, "budget"); len(got.Messages) > 0 {
		t.Errorf("of a room that is gone: %q", got.bodies())
	}
}

func TestWhatIsSpelledAlikeIsFoundWhereNothingElseIs(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.signUp(t, "bob")
	s.exec(t, `insert into chat.rooms (slug, name, kind) values ('hiring', 'Hiring plans', 'private'), ('deployments', 'Deployments', 'public')`)
	s.exec(t, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where (r.slug, u.name) in (('hiring', 'bob'), ('deployments', 'bob'))`)
	s.say(t, "general", "ada", "the deployment of javascript", "2026-03-01 10:00Z")
	s.say(t, "hiring", "bob", "an acquisition", "2026-03-01 10:00Z")
	s.index(t)
	for q, want := range map[string]int{"deploymnt": 1, "script": 1, "aquisition": 0, "deploymnt -javascript": 0, "xyzzy": 0} {
		if got := s.search(t, ada, q); len(got.Messages) != want || got.Near != (want > 0) {
			t.Errorf("%s: got %q, near %v", q, got.bodies(), got.Near)
		}
	}
	if got := s.search(t, ada, "deploiments"); len(got.Rooms) != 1 || got.Rooms[0].Room != "deployments" {
		t.Errorf("rooms: got %v", got.Rooms)
	}
	if got := s.search(t, ada, "hiring"); len(got.Rooms) > 0 {
		t.Errorf("a room that is hidden was found: %v", got.Rooms)
	}
	if got := s.search(t, ada, "bo"); len(got.People) != 1 || got.People[0].Name != "bob" {
		t.Errorf("people: got %v", got.People)
	}
}

func TestWhatWasFoundIsPagedWithoutAGap(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.signUp(t, "bob")
	s.exec(t, `insert into chat.rooms (slug, name, kind) select 'r' || g, 'r' || g, case when g % 2 = 0 then 'private' else 'public' end from generate_series(1, 6) g`)
	s.exec(t, `insert into chat.messages (room_id, author_id, body, created_at)
		select r.id, u.id, case when g % 3 = 0 then 'needle ' else '' end || repeat('hay ', g % 7) || g, timestamptz '2026-03-01' + g / 4 * interval '1 s'
		from generate_series(1, 3000) g join chat.rooms r on r.slug = 'r' || 1 + g % 6 join chat.users u on u.name = 'bob' order by r.id, g`)
	walk := func(order string) (all []string, near int) {
		next := ""
		for range 100 {
			f := s.search(t, ada, "needle", order, next)
			all = append(all, f.bodies()...)
			if next = "&at=" + url.QueryEscape(f.Next); f.Next == "" {
				return all, near
			}
			// What comes meanwhile does not move what was found.
			s.say(t, "general", "bob", fmt.Sprint("needle news ", len(all)), "now")
		}
		t.Fatal("there is no end")
		return nil, 0
	}
	for _, indexed := range []bool{false, true} {
		if indexed {
			s.index(t)
			s.exec(t, `delete from chat.messages where body like '%news%'`)
			s.index(t)
		}
		for _, order := range []string{"", "&sort=newest"} {
			all, _ := walk(order)
			all = slices.DeleteFunc(all, func(b string) bool { return strings.Contains(b, "news") })
			slices.Sort(all)
			if n := len(slices.Compact(slices.Clone(all))); n != len(all) || indexed && n != 500 {
				t.Errorf("indexed %v, order %q: %d messages, %d of them different", indexed, order, len(all), n)
			}
		}
	}
	if f := s.search(t, ada, "needle", "&sort=newest"); !strings.HasSuffix(f.Messages[0].Body, "2997") && !strings.Contains(f.Messages[0].Body, "news") {
		t.Errorf("the newest is %q", f.Messages[0].Body)
	}
}

func TestASearchThatIsWrongIsToldSoAndKept(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.say(t, "general", "ada", `look <b>here</b> & "there"`, "2026-03-01 10:00Z")
	for q, want := range map[string]string{
		"from:nobody x": "There is nobody called “nobody”", "in:nowhere": "There is no room called “nowhere”", "before:soon": "“soon” is no day", "has:cake": "has:cake is not known",
		"from:": "from: needs something", "-from:ada": "only words can be left out", `-"a b"`: "only single words", "?!": "type a word", strings.Repeat("a ", 17): "at most 16 words", strings.Repeat("a", 301): "at most 300 characters",
	} {
		s.do(t, ada, "GET", "/search?q="+url.QueryEscape(q), nil).want(t, 422, want, "How to search")
		if f := s.search(t, ada, q); f.Code != "invalid" || !strings.Contains(f.Message, want) {
			t.Errorf("%s: got %+v", q, f)
		}
	}
	s.do(t, ada, "GET", "/search?q="+url.QueryEscape(`from:nobody <x>"`), nil).want(t, 422, `value="from:nobody &lt;x&gt;&#34;"`)
	for _, wrong := range []string{"&at=x", "&at=1.2.3.4", "&tz=x", "&tz=99999"} {
		s.do(t, ada, "GET", "/search?q=x"+wrong, nil).want(t, 422)
	}
	s.do(t, ada, "GET", "/search", nil).want(t, 200, "How to search", "from:ada")
	s.do(t, ada, "GET", "/search?q=here", nil).want(t, 200, `&lt;b&gt;<mark>here</mark>&lt;/b&gt; &amp; &#34;there&#34;`, `href="/rooms/general?at=1"`, "Newest first")
	s.do(t, ada, "GET", "/search?q=nothing", nil).want(t, 200, "Nothing found", "How to search")
	if a := s.do(t, client(t), "GET", "/search?q=here", nil); a.status != 303 {
		t.Errorf("a stranger: %d", a.status)
	}
	s.do(t, client(t), "GET", "/search?q=here", nil, "Accept", "application/json").want(t, 401, "unauthenticated")
	s.do(t, client(t), "GET", "/search?q=here", nil, "Accept", "application/json", "Authorization", "Bearer "+s.token(t, "ada")).want(t, 200, `"body":"look`)
}
