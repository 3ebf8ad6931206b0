package bench

import (
	"context"
	"crypto/md5" //nolint:gosec // see word
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const vocabulary = 50_000 // words of the messages that are searched; the kth is in about one of k·1.35 messages

// word is the kth word, from 1: seven letters.
func word(k int) string {
	sum := md5.Sum([]byte(fmt.Sprint(k))) //nolint:gosec // any letters will do
	return strings.NewReplacer("0", "g", "1", "h", "2", "i", "3", "j", "4", "k", "5", "l", "6", "m", "7", "n", "8", "o", "9", "p").Replace(hex.EncodeToString(sum[:])[:7])
}

// words are all of them, the most frequent first.
func words() []string {
	all := make([]string, vocabulary)
	for k := range all {
		all[k] = word(k + 1)
	}
	return all
}

// anyWord is a word as often as messages have it.
func anyWord(all []string) string { return all[int(math.Pow(vocabulary, rand.Float64()))-1] } //nolint:gosec // any word will do

// SearchResult is how long searches of one kind took, from the request to the end of the answer, in milliseconds.
type SearchResult struct {
	Name, Reader  string
	P50, P95, Max float64
	Found         float64 // messages on a page, on average
	Stopped       float64 // share that stopped for time and offered to go on
}

const searchWorld = "search-bench"

// Search fills the database with so many messages, unless it was filled so before, searches them by a server of its own, n searches of
// each kind, and tells each kind's figures. What it has made it leaves: for a scratch database.
func (b *Bench) Search(ctx context.Context, messages, n int, tell func(SearchResult)) error {
	if err := b.fillSearch(ctx, messages); err != nil {
		return fmt.Errorf("fill %d messages: %w", messages, err)
	}
	everything, err := b.searchToken(ctx, 1)
	if err != nil {
		return err
	}
	little, err := b.searchToken(ctx, 2)
	if err != nil {
		return err
	}
	server, err := startServer(ctx, b.DatabaseURL, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn", "--log-format", "text", "--drain", "0s")
	if err != nil {
		return err
	}
	defer server.stop()
	all := words()
	pick := func(from, to int) string { return all[from+rand.IntN(to-from)] } //nolint:gosec // any will do
	day := func() string {
		return time.Now().AddDate(0, 0, -30-rand.IntN(600)).Format(time.DateOnly) //nolint:gosec // any will do
	}
	for _, kind := range []struct {
		name  string
		query func() string
	}{
		{"a word of every third message", func() string { return pick(0, 3) }},
		{"a word of one in 100", func() string { return pick(60, 100) }},
		{"a word of one in 10,000", func() string { return pick(5000, 10_000) }},
		{"a rare word (one in 60,000)", func() string { return pick(45_000, vocabulary) }},
		{"any two words", func() string { return anyWord(all) + " " + anyWord(all) }},
		{"a frequent and a rare word", func() string { return pick(0, 3) + " " + pick(45_000, vocabulary) }},
		{"two frequent words in a row", func() string { return `"` + pick(0, 3) + " " + pick(0, 3) + `"` }},
		{"two rarer words in a row", func() string { return `"` + pick(60, 100) + " " + pick(60, 100) + `"` }},
		{"a beginning (3 letters and *)", func() string { return pick(0, vocabulary)[:3] + "*" }},
		{"a frequent word without another", func() string { return pick(0, 3) + " -" + pick(3, 10) }},
		{"by somebody", func() string { return pick(10, 1000) + " from:" + searchWorld + fmt.Sprint("-", 1+rand.IntN(1000)) }}, //nolint:gosec // anybody
		{"in a room", func() string { return anyWord(all) + " in:" + searchWorld + fmt.Sprint("-", 50*(1+rand.IntN(20))) }},    //nolint:gosec // any public room
		{"in a quiet room", func() string { return pick(0, 3) + " in:" + searchWorld + "-1000" }},
		{"before a day", func() string { return anyWord(all) + " before:" + day() }},
		{"on a day", func() string { return anyWord(all) + " on:" + day() }},
		{"with a file", func() string { return pick(10, 1000) + " has:file" }},
		{"a word that nobody has", func() string { return "zz" + pick(0, vocabulary) }},
		{"a word with two letters in the wrong order", func() string {
			w := []byte(pick(1000, vocabulary))
			w[3], w[4] = w[4], w[3]
			return string(w)
		}},
	} {
		for _, reader := range []struct{ name, token string }{{"who may see everything", everything}, {"who may see 1 message in 200", little}} {
			var took histogram
			result := SearchResult{Name: kind.name, Reader: reader.name}
			for i := range n + n/10 {
				began := time.Now()
				found, stopped, err := b.searchOnce(ctx, server.address, reader.token, kind.query())
				if err != nil {
					return fmt.Errorf("%s: %w", kind.name, err)
				}
				if i < n/10 {
					continue // these fill the caches
				}
				took.add(time.Since(began))
				result.Found += float64(found) / float64(n)
				if stopped {
					result.Stopped += 1 / float64(n)
				}
			}
			result.P50, result.P95, result.Max = took.quantile(.5), took.quantile(.95), took.quantile(1)
			tell(result)
		}
	}
	return nil
}

// searchToken makes a token for the nth user.
func (b *Bench) searchToken(ctx context.Context, n int) (string, error) {
	secret := make([]byte, 32)
	_, _ = cryptorand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(token))
	if _, err := b.Pool.Exec(ctx, `insert into chat.tokens (user_id, name, token_hash) select id, 'bench ' || clock_timestamp(), $2 from chat.users where name = $1`, fmt.Sprint(searchWorld, "-", n), sum[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token, nil
}

func (b *Bench) searchOnce(ctx context.Context, address, token, q string) (found int, stopped bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/search?q="+url.QueryEscape(q), nil)
	if err != nil {
		return 0, false, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, false, fmt.Errorf("search %q: %s: %s: %w", q, resp.Status, text, err)
	}
	var answer struct {
		Messages []json.RawMessage `json:"messages"`
		Next     string            `json:"next"`
	}
	err = json.Unmarshal(text, &answer)
	return len(answer.Messages), len(answer.Messages) < 20 && answer.Next != "", err
}

// fillSearch makes 1,000 rooms, 20 of them public, 1,000 users, of whom the first is a member of all rooms and the second of none, and
// two years of messages, in the index as chat.index_messages has them, which would take longer.
func (b *Bench) fillSearch(ctx context.Context, messages int) error {
	conn, err := b.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Conn().Close(context.WithoutCancel(ctx)); conn.Release() }() // its settings go with it
	var there bool
	if err := conn.QueryRow(ctx, `select exists (select from chat.rooms where slug = $1 || '-1000')`, searchWorld).Scan(&there); err != nil || there {
		return err
	}
	for _, step := range []struct {
		say, sql string
		args     []any
	}{
		{"", `begin`, nil}, // what broke off has filled nothing
		{"rooms and users", `insert into chat.users (name) select $1 || '-' || g from generate_series(1, 1000) g`, []any{searchWorld}},
		{"", `insert into chat.rooms (slug, name, kind) select $1 || '-' || g, $1 || '-' || g, case when g % 50 = 0 then 'public' else 'private' end from generate_series(1, 1000) g`, []any{searchWorld}},
		{"", `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r join chat.users u
			on r.slug like $1 || '-%' and u.name like $1 || '-%' and (split_part(u.name, '-', 3)::int % 7 = 1 or (split_part(r.slug, '-', 3)::int + split_part(u.name, '-', 3)::int) % 7 = 0) and u.name <> $1 || '-2' on conflict do nothing`, []any{searchWorld}},
		{"", `set session_replication_role = replica`, nil},
		{"", `set synchronous_commit = off`, nil},
		{"", `set work_mem = '256MB'`, nil},
		{"", `set maintenance_work_mem = '1GB'`, nil},
		{"", `set jit = off`, nil},
		{"", `create temp table bench_words (k int primary key, word text)`, nil},
		{"", `insert into bench_words select n, w from unnest($1::text[]) with ordinality t (w, n)`, []any{words()}},
		{"messages", `insert into chat.messages (room_id, seq, author_id, body, created_at, extra)
			with all_words as materialized (select array_agg(word::name order by k) as w from bench_words) -- of one length: any is found at once
			select s.room_id, s.seq, s.author_id,
				concat_ws(' ', w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int],
					w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int], w[floor(power(50000, random()))::int],
					case when s.i % 20 = 0 then 'https://example.com/' || w[floor(power(50000, random()))::int] end),
				now() - interval '730 days' * (($2 - s.i) / $2::float8),
				case when s.i % 50 = 0 then jsonb_build_object('files', jsonb_build_array(jsonb_build_object('name', 'report-' || w[floor(power(50000, random()))::int] || '.pdf'))) end
			from all_words, (
				select r.id as room_id, row_number() over (partition by r.id order by x.i) as seq, u.id as author_id, x.i
				from (select i, floor(power(1000, random()))::int as room, 1 + floor(1000 * random())::int as author from generate_series(1, $2::int) i offset 0) x
				join chat.rooms r on r.slug = $1 || '-' || x.room join chat.users u on u.name = $1 || '-' || x.author order by x.i) s`, []any{searchWorld, messages}},
		{"", `update chat.room_heads h set last_seq = m.n from (select room_id, max(seq) as n from chat.messages group by 1) m where m.room_id = h.room_id`, nil},
		{"", `select * from chat.index_messages(1)`, nil},
		{"", `drop index chat.search_documents_terms_idx`, nil},
		{"", `truncate chat.search_documents`, nil},
		{"documents", `insert into chat.search_documents (room_id, seq, created_at, terms)
			select m.room_id, m.seq, m.created_at, chat.search_terms(width_bucket(m.created_at, b.starts), m.words, m.room_id, m.author_id, m.body, m.extra)
			from (select array_agg(starts order by bucket) as starts from chat.search_buckets) b,
				(select x.*, chat.search_words(chat.search_text(x.body, x.extra)) as words from chat.messages x order by x.created_at offset 0) m`, nil},
		{"", `update chat.search_progress p set seq = h.last_seq from chat.room_heads h where h.room_id = p.room_id`, nil},
		{"", `update chat.search_buckets b set messages = d.messages, newest = d.newest from (
				select width_bucket(d.created_at, s.starts) as bucket, count(*) as messages, max(d.created_at) as newest
				from chat.search_documents d, (select array_agg(starts order by bucket) as starts from chat.search_buckets) s group by 1) d where d.bucket = b.bucket`, nil},
		{"the index", `create index search_documents_terms_idx on chat.search_documents using gin (terms) with (fastupdate = off)`, nil},
		{"", `insert into chat.search_vocabulary select word from bench_words on conflict do nothing`, nil},
		{"", `commit`, nil},
		{"", `reset session_replication_role`, nil},
		{"", `vacuum analyze`, nil},
	} {
		if step.say != "" {
			b.Say("filling: %s", step.say)
		}
		if _, err := conn.Exec(ctx, step.sql, step.args...); err != nil {
			return fmt.Errorf("%s: %w", strings.Fields(step.sql)[0], err)
		}
	}
	return nil
}
