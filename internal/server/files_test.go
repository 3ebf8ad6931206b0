package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

// part is a field of a form; with a name it is a file.
type part struct{ field, name, content string }

func multipartForm(t *testing.T, parts ...part) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for _, p := range parts {
		head := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + p.field + `"`}}
		if p.name != "" {
			head.Set("Content-Disposition", multipart.FileContentDisposition(p.field, p.name))
			head.Set("Content-Type", "text/html") // is not believed
		}
		to, err := w.CreatePart(head)
		if err == nil {
			_, err = io.WriteString(to, p.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body, w.FormDataContentType()
}

func (s *site) sendForm(t *testing.T, c *http.Client, path string, parts []part, headers ...string) answer {
	t.Helper()
	body, contentType := multipartForm(t, parts...)
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	got, text := request(t, c, r, headers...)
	return answer{got.StatusCode, text, got.Header.Get("Location"), got.Header.Get("Retry-After"), got.Cookies}
}

// uploads uploads a file to a room and returns what the server found.
func (s *site) uploads(t *testing.T, c *http.Client, room, name, content string) chat.File {
	t.Helper()
	a := s.sendForm(t, c, "/rooms/"+room+"/files", []part{{"file", name, content}})
	a.want(t, 201)
	var file chat.File
	if err := json.Unmarshal([]byte(a.body), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// posts posts a message with files by the plain form.
func (s *site) posts(t *testing.T, c *http.Client, room, text string, files ...chat.File) {
	t.Helper()
	parts := []part{{"id", "", uuid.NewString()}, {"body", "", text}}
	for _, f := range files {
		parts = append(parts, part{"files", "", f.ID.String()})
	}
	s.sendForm(t, c, "/rooms/"+room+"/messages", parts).want(t, 303)
}

func (s *site) get(t *testing.T, c *http.Client, path string, headers ...string) (reply, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request(t, c, r, headers...)
}

func (s *site) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *site) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func address(f chat.File) string { return "/files/" + f.ID.String() + "/" + url.PathEscape(f.Name) }

// noise is content that is never twice the same.
func noise(n int) string {
	out := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	out[0] = 0 // nothing that is known
	return string(out)
}

func picture(t *testing.T, w, h int) string {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	m.SetGray(0, 0, color.Gray{200})
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAFileComesBackAsItWas(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	for _, size := range []int{0, 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, fileLimit} {
		content := ""
		if size > 0 {
			content = noise(size)
		}
		file := s.uploads(t, ada, "general", "a b.bin", content)
		if file.Size != int64(size) || file.Name != "a b.bin" {
			t.Errorf("%+v, want %d bytes", file, size)
		}
		resp, got := s.get(t, ada, address(file))
		if resp.StatusCode != 200 || got != content || resp.ContentLength != int64(size) {
			t.Errorf("%d bytes: status %d, %d bytes", size, resp.StatusCode, len(got))
		}
	}
}

func TestPartsOfAFileAreServed(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	content := noise(400_000)
	file := s.uploads(t, ada, "general", "data", content)
	for asked, want := range map[string]string{
		"bytes=0-9": content[:10], "bytes=131070-131075": content[131070:131076], "bytes=-7": content[len(content)-7:], "bytes=399999-": content[399_999:],
	} {
		resp, got := s.get(t, ada, address(file), "Range", asked)
		if resp.StatusCode != 206 || got != want {
			t.Errorf("%s: status %d, %d bytes", asked, resp.StatusCode, len(got))
		}
	}
	if resp, _ := s.get(t, ada, address(file), "Range", "bytes=400000-"); resp.StatusCode != 416 {
		t.Errorf("beyond the end: status %d", resp.StatusCode)
	}
	resp, _ := s.get(t, ada, address(file))
	if resp, got := s.get(t, ada, address(file), "If-None-Match", resp.Header.Get("ETag")); resp.StatusCode != 304 || got != "" {
		t.Errorf("known already: status %d", resp.StatusCode)
	}
}

func TestNothingThatWasUploadedCanRun(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	const octets = "application/octet-stream"
	for _, c := range []struct{ name, content, contentType, disposition string }{
		{"page.html", "<!doctype html><script>alert(1)</script>", octets, "attachment"},
		{"page.txt", "<html><script>alert(1)</script>", octets, "attachment"},
		{"drawing.svg", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, octets, "attachment"},
		{"drawing2.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "text/plain; charset=utf-8", "inline"},
		{"code.js", "alert(1)", "text/plain; charset=utf-8", "inline"},
		{"paper.pdf", "%PDF-1.7 \x00", "application/pdf", "attachment"},
		{"image.png", picture(t, 3, 2), "image/png", "inline"},
		{"image.html", picture(t, 3, 2), "image/png", "inline"},
		{"new.avif", "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "image/avif", "inline"},
		{"archive.zip", "PK\x03\x04\x00", octets, "attachment"},
		{"film.mp4", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video/mp4", "inline"},
	} {
		file := s.uploads(t, ada, "general", c.name, c.content)
		resp, _ := s.get(t, ada, address(file))
		h := resp.Header
		if h.Get("Content-Type") != c.contentType || !strings.HasPrefix(h.Get("Content-Disposition"), c.disposition+"; filename=") {
			t.Errorf("%s is served as %s, %s", c.name, h.Get("Content-Type"), h.Get("Content-Disposition"))
		}
		if policy := h.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.HasSuffix(policy, "; sandbox") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || !strings.HasPrefix(h.Get("Cache-Control"), "private") {
			t.Errorf("%s is served with %v", c.name, h)
		}
		if resp, _ := s.get(t, ada, address(file)+"?download"); !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s cannot be downloaded", c.name)
		}
	}
}

func TestWhoMaySeeTheRoomMaySeeItsFilesAndNobodyElse(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	s.do(t, ada, "POST", "/rooms", url.Values{"name": {"Secret"}, "private": {"yes"}}).want(t, 303)
	seen := func(c *http.Client, f chat.File) int {
		t.Helper()
		resp, _ := s.get(t, c, address(f))
		return resp.StatusCode
	}
	here, secret := s.uploads(t, ada, "general", "a.txt", "hello"), s.uploads(t, ada, "secret", "b.png", picture(t, 4, 4))
	// Until it is posted it is its uploader's alone.
	if seen(ada, here) != 200 || seen(eve, here) != 404 {
		t.Errorf("before it is posted: %d, %d", seen(ada, here), seen(eve, here))
	}
	s.posts(t, ada, "general", "look", here)
	s.posts(t, ada, "secret", "look", secret)
	if seen(ada, here) != 200 || seen(eve, here) != 200 || seen(client(t), here) != 401 {
		t.Errorf("in a public room: %d, %d, %d", seen(ada, here), seen(eve, here), seen(client(t), here))
	}
	if seen(ada, secret) != 200 || seen(eve, secret) != 404 {
		t.Errorf("in a private room: %d, %d", seen(ada, secret), seen(eve, secret))
	}
	for c, want := range map[*http.Client]int{ada: 200, eve: 404} {
		if resp, _ := s.get(t, c, "/thumbnails/"+secret.ID.String()); resp.StatusCode != want {
			t.Errorf("a thumbnail in a private room: %d, want %d", resp.StatusCode, want)
		}
	}
	// A token is as good as a session.
	if resp, got := s.get(t, client(t), address(here), "Authorization", "Bearer "+s.token(t, "eve")); resp.StatusCode != 200 || got != "hello" {
		t.Errorf("by a token: %d", resp.StatusCode)
	}
	// Neither posted by others, nor twice, nor elsewhere.
	mine := s.uploads(t, ada, "general", "c.txt", "mine")
	for c, room := range map[*http.Client]string{eve: "general", ada: "secret"} {
		s.sendForm(t, c, "/rooms/"+room+"/messages", []part{{"id", "", uuid.NewString()}, {"body", "", "draft"}, {"files", "", mine.ID.String()}}).
			want(t, 404, "is not there any more", "draft")
	}
	s.sendForm(t, eve, "/rooms/secret/files", []part{{"file", "x", "y"}}).want(t, 404)
	s.exec(t, `update chat.rooms set everyone = false`)
	s.exec(t, `delete from chat.members where user_id = (select id from chat.users where name = 'eve')`)
	s.sendForm(t, eve, "/rooms/general/files", []part{{"file", "x", "y"}}, "HX-Request", "true").want(t, 403, "Join it to post")
	s.sendForm(t, client(t), "/rooms/general/files", []part{{"file", "x", "y"}}).want(t, 401)
}

func TestAMessageCarriesItsFiles(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	ws := s.program(t, s.token(t, "ada"))
	var told map[string]any
	send(t, ws, `{"type":"join","room":"general"}`)
	for told["type"] != "joined" {
		told = readJSON(t, ws)
	}
	// The plain form: text and files in one.
	s.sendForm(t, ada, "/rooms/general/messages", []part{
		{"id", "", uuid.NewString()}, {"body", "", ""}, {"file", "holiday.png", picture(t, 800, 600)}, {"file", "", ""}, {"file", `C:\stuff\notes.txt`, "hello"},
	}).want(t, 303)
	for told["type"] != "changes" {
		told = readJSON(t, ws)
	}
	message := told["messages"].([]any)[0].(map[string]any)
	files := message["files"].([]any)
	first, second := files[0].(map[string]any), files[1].(map[string]any)
	if len(files) != 2 || message["body"] != "holiday.png, notes.txt" || first["name"] != "holiday.png" || first["width"] != 800.0 || first["height"] != 600.0 ||
		first["type"] != "image/png" || second["name"] != "notes.txt" || second["size"] != 5.0 || second["width"] != nil {
		t.Errorf("the message is %v", message)
	}
	resp, small := s.get(t, ada, "/thumbnails/"+first["id"].(string))
	m, _, err := image.Decode(strings.NewReader(small))
	if err != nil || m.Bounds().Dx() != 640 || resp.Header.Get("Content-Type") != "image/jpeg" || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the thumbnail is %v (%v), %v", m, err, resp.Header)
	}
	if resp, _ := s.get(t, ada, "/thumbnails/"+second["id"].(string)); resp.StatusCode != 404 {
		t.Errorf("the thumbnail of a text: %d", resp.StatusCode)
	}

	// By frames: files that were uploaded before. Sent again it is stored once.
	file, id := s.uploads(t, ada, "general", "more.txt", "more"), uuid.NewString()
	for range 2 {
		send(t, ws, `{"type":"post","room":"general","id":"`+id+`","body":"with text","files":["`+file.ID.String()+`"]}`)
		for told["type"] != "ack" {
			told = readJSON(t, ws)
		}
		if told["seq"] != 2.0 {
			t.Errorf("acknowledged as %v", told)
		}
		told = nil
	}
	send(t, ws, `{"type":"post","room":"general","id":"`+uuid.NewString()+`","body":"","files":["`+file.ID.String()+`"]}`)
	for told["type"] != "error" {
		told = readJSON(t, ws)
	}
	if told["code"] != "not_found" {
		t.Errorf("posted twice: %v", told)
	}
	if n := s.count(t, `select count(*) from chat.messages where extra -> 'files' is not null`); n != 2 {
		t.Errorf("%d messages have files", n)
	}

	// SQL: a file that is deleted goes from its message, which stays.
	s.exec(t, `delete from chat.files where name = 'holiday.png'`)
	if n := s.count(t, `select jsonb_array_length(extra -> 'files') from chat.messages where seq = 1`); n != 1 {
		t.Errorf("the message has %d files", n)
	}
	s.exec(t, `delete from chat.rooms`)
	if n := s.count(t, `select count(*) from chat.files`) + s.count(t, `select count(*) from chat.file_chunks`); n != 0 {
		t.Errorf("%d files and pieces outlive their room", n)
	}
}

func TestLimitsOfFilesAreToldAndNothingIsKept(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	large := part{"file", "large.bin", noise(fileLimit + 1)}
	s.sendForm(t, ada, "/rooms/general/files", []part{large}, "HX-Request", "true").want(t, 413, `"large.bin" is too large: a file may have at most 1 MB.`)
	huge := part{"file", "huge.bin", strings.Repeat("x", 3*fileLimit)}
	s.sendForm(t, ada, "/rooms/general/files", []part{huge}, "Accept", "application/json").want(t, 413, `"too_large"`)
	s.sendForm(t, ada, "/rooms/general/messages", []part{{"id", "", uuid.NewString()}, {"body", "", "my draft"}, {"file", "ok.txt", "hi"}, large}).
		want(t, 413, "too large", "my draft")
	many := []part{{"id", "", uuid.NewString()}, {"body", "", "my draft"}}
	for range chat.MaxFiles + 1 {
		many = append(many, part{"file", "x.txt", "x"})
	}
	s.sendForm(t, ada, "/rooms/general/messages", many).want(t, 422, "at most 10 files", "my draft")
	attached := []part{{"id", "", uuid.NewString()}, {"body", "", "my draft"}}
	for range chat.MaxFiles + 1 {
		attached = append(attached, part{"files", "", uuid.NewString()})
	}
	s.sendForm(t, ada, "/rooms/general/messages", attached).want(t, 422, "at most 10 files", "my draft")
	padded := []part{{"body", "", "my draft"}}
	for range 3 {
		padded = append(padded, part{"more", "", strings.Repeat("x", 50_000)})
	}
	s.sendForm(t, ada, "/rooms/general/messages", padded).want(t, 413, "more than the 128 KiB", "my draft")
	s.sendForm(t, ada, "/rooms/general/files", []part{{"body", "", "x"}}, "HX-Request", "true").want(t, 422, "no file")
	s.do(t, ada, "POST", "/rooms/general/files", url.Values{"file": {"x"}}, "HX-Request", "true").want(t, 422, "multipart")
	if n := s.count(t, `select count(*) from chat.files`) + s.count(t, `select count(*) from chat.file_chunks`) + s.count(t, `select count(*) from chat.messages`); n != 0 {
		t.Errorf("%d files, pieces and messages are left", n)
	}

	var kept []chat.File
	for range 20 {
		a := s.sendForm(t, ada, "/rooms/general/files", []part{{"file", "fill.bin", noise(fileLimit - 1000)}}, "HX-Request", "true")
		a.want(t, 201)
		var f chat.File
		_ = json.Unmarshal([]byte(a.body), &f)
		kept = append(kept, f)
	}
	s.sendForm(t, ada, "/rooms/general/files", []part{{"file", "last.bin", noise(100_000)}}, "HX-Request", "true").
		want(t, 413, `no room left for "last.bin"`, "all files together may have 20 MB")
	s.do(t, ada, "POST", "/files/"+kept[0].ID.String()+"/discard", url.Values{}).want(t, 204)
	s.do(t, ada, "POST", "/files/"+kept[0].ID.String()+"/discard", url.Values{}).want(t, 404)
	s.uploads(t, ada, "general", "last.bin", noise(100_000))
}

func TestAnInterruptedUploadLeavesNothing(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	body, contentType := multipartForm(t, part{"file", "half.bin", noise(900_000)})
	in, out := io.Pipe()
	ctx, breakOff := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/rooms/general/files", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.ContentLength = int64(body.Len())
	ended := make(chan error)
	go func() {
		resp, err := ada.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	if _, err := io.CopyN(out, body, 700_000); err != nil {
		t.Fatal(err)
	}
	for s.count(t, `select count(*) from chat.file_chunks c join chat.files f on f.id = c.file_id where completed_at is null and size between 900000 and 910000`) < 5 {
		if t.Context().Err() != nil {
			t.Fatal("its pieces do not come")
		}
	}
	breakOff()
	_ = out.CloseWithError(context.Canceled)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the request ended with %v", err)
	}
	s.CloseClientConnections()
	s.Close() // waits for the request's end
	if n := s.count(t, `select count(*) from chat.files`) + s.count(t, `select count(*) from chat.file_chunks`); n != 0 {
		t.Errorf("%d files and pieces are left", n)
	}
}

func TestFilesThatNobodyWillSeeAreSwept(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	files := chat.NewFiles(s.pool, chat.FileLimits{Each: fileLimit, InAll: fileLimit})
	sweep := func(want int64) {
		t.Helper()
		if n, err := files.Sweep(t.Context()); err != nil || n != want {
			t.Errorf("%d were swept (%v), want %d", n, err, want)
		}
	}
	s.posts(t, ada, "general", "", s.uploads(t, ada, "general", "posted", "x"))
	s.posts(t, ada, "general", "", s.uploads(t, ada, "general", "deleted", "x"))
	s.uploads(t, ada, "general", "unposted", "x")
	s.uploads(t, ada, "general", "broken", "x")
	s.exec(t, `update chat.files set completed_at = null where name = 'broken'`) // as where its server was killed
	s.exec(t, `update chat.messages set deleted_at = now() where seq = 2`)
	sweep(0)
	// Gone from sight with its message, back with it.
	deleted := s.count(t, `select 1 from chat.files f where name = 'deleted'`)
	var id uuid.UUID
	if err := s.pool.QueryRow(t.Context(), `select id from chat.files where name = 'deleted'`).Scan(&id); err != nil || deleted != 1 {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sql  string
		want int
	}{{`update chat.messages set deleted_at = now() where seq = 2`, 404}, {`update chat.messages set deleted_at = null where seq = 2`, 200}, {`update chat.messages set deleted_at = now() where seq = 2`, 404}} {
		s.exec(t, c.sql)
		if resp, _ := s.get(t, ada, "/files/"+id.String()+"/deleted"); resp.StatusCode != c.want {
			t.Errorf("after %s: status %d", c.sql, resp.StatusCode)
		}
	}
	s.exec(t, `update chat.files set touched_at = now() - interval '11 minutes', completed_at = completed_at - interval '23 hours'`)
	sweep(1)
	s.exec(t, `update chat.files set completed_at = completed_at - interval '2 hours'`)
	sweep(1)
	s.exec(t, `update chat.messages set deleted_at = now() - interval '61 minutes' where seq = 2`)
	sweep(1)
	var left []string
	rows, _ := s.pool.Query(t.Context(), `select name from chat.files f join chat.file_chunks c on c.file_id = f.id`)
	for rows.Next() {
		var name string
		_ = rows.Scan(&name)
		left = append(left, name)
	}
	if !slices.Equal(left, []string{"posted"}) {
		t.Errorf("left are %v", left)
	}
	if n := s.count(t, `select count(*) from chat.messages where seq = 2 and extra is null and rev is not null`); n != 1 {
		t.Error("the message still has its file")
	}
	// While another instance sweeps there is nothing to do.
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select pg_advisory_xact_lock(hashtext('chat.sweep_files'))`); err != nil {
		t.Fatal(err)
	}
	s.exec(t, `update chat.messages set deleted_at = now() - interval '61 minutes'`)
	sweep(0)
}

func TestWhoIsSignedOutKeepsTheTextOfAMessageWithFiles(t *testing.T) {
	s := start(t, true)
	s.sendForm(t, client(t), "/rooms/general/messages", []part{{"id", "", uuid.NewString()}, {"body", "", "my draft"}, {"file", "x", "y"}}).
		want(t, 401, "my draft", "not signed in any more")
	s.sendForm(t, client(t), "/rooms/general/messages", []part{{"id", "", ""}, {"body", "", ""}}).want(t, 303)
}
