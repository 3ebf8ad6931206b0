package page_test

import (
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
)

var inBody = regexp.MustCompile(`(?s)<div class="body[^>]*>(.*?)</div>`)

func TestMarkdownBecomesHTML(t *testing.T) {
	p := pages(t)
	const link = ` rel="nofollow noreferrer noopener" target="_blank">`
	for body, want := range map[string]string{
		"plain & <b>simple</b>":              "<p>plain &amp; &lt;b&gt;simple&lt;/b&gt;</p>",
		"two\nlines":                         "<p>two\nlines</p>",
		"**bold** _it_ ~~gone~~":             "<p><strong>bold</strong> <em>it</em> <del>gone</del></p>",
		"snake_case_name":                    "<p>snake_case_name</p>",
		"- a\n- b":                           "<ul>\n<li>a</li>\n<li>b</li>\n</ul>",
		"3. c":                               "<ol start=\"3\">\n<li>c</li>\n</ol>",
		"> said\n\nanswered":                 "<blockquote>\n<p>said</p>\n</blockquote>\n<p>answered</p>",
		"# Title":                            `<p class="heading">Title</p>`,
		"text\n---":                          "<p>text</p>\n<hr>",
		"<b>**x**</b>":                       "<p>&lt;b&gt;<strong>x</strong>&lt;/b&gt;</p>",
		"x\n\n    four *spaces*":             "<p>x</p>\n<p>four <em>spaces</em></p>",
		"- a\n\n          *deep*":            "<ul>\n<li>\n<p>a</p>\n<p><em>deep</em></p>\n</li>\n</ul>",
		"`<i>`":                              "<p><code>&lt;i&gt;</code></p>",
		"```\na < b\n```":                    "<pre class=\"code\" tabindex=\"0\"><code>a &lt; b\n</code></pre>",
		"```sql\nselect 1\n```":              "<pre class=\"code\" tabindex=\"0\"><code><span class=\"k\">select</span><span class=\"w\"> </span><span class=\"mi\">1</span><span class=\"w\">\n</span></code></pre>",
		"[a: b]: c **d**":                    "<p>[a: b]: c <strong>d</strong></p>",
		"![cat](https://a.b/c.png)":          `<p><a href="https://a.b/c.png"` + link + "cat</a></p>",
		"see https://example.com/a?b=1&c=2.": `<p>see <a href="https://example.com/a?b=1&amp;c=2"` + link + "https://example.com/a?b=1&amp;c=2</a>.</p>",
		"javascript:alert(1)":                "<p>javascript:alert(1)</p>",
		"[x](javascript:alert(1))":           "<p>x</p>",
		"a@example.com":                      "<p>a@example.com</p>",
		"hey @ada, and @bob.":                `<p>hey <span class="at" data-name="ada">@ada</span>, and <span class="at" data-name="bob">@bob</span>.</p>`,
		"in #general-talk, not a#b or #1":    `<p>in <a class="room-link" href="/rooms/general-talk">#general-talk</a>, not a#b or #1</p>`,
		":tada: at 10:30:00 :nonesuch:":      "<p>🎉 at 10:30:00 :nonesuch:</p>",
		"/me waves :wave:":                   "<p>waves 👋</p>",
		`\*not\*`:                            "<p>*not*</p>",
	} {
		all := string(p.Messages([]chat.Message{{ID: uuid.New(), Body: body}}))
		found := inBody.FindStringSubmatch(all)
		if found == nil {
			t.Fatalf("%q has no body in %s", body, all)
		}
		if got := strings.TrimPrefix(found[1], " "); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", body, got, want)
		}
		if source := template.HTMLEscapeString(body); strings.Contains(want, "<strong>") && !strings.Contains(all, `data-source="`+source+`"`) {
			t.Errorf("%q: its source is not in %s", body, all)
		}
	}
}

func TestCodeThatTakesTooLongToColourIsShownWithout(t *testing.T) {
	p := pages(t)
	body := strings.Repeat("```toml\n\""+strings.Repeat(`\`, 40)+"\n```\n", 140) + "```go\nfunc main() {}\n```"
	message := []chat.Message{{ID: uuid.New(), Body: body}}
	for range 3 {
		all := string(p.Messages(message))
		if blocks := strings.Count(all, `<pre class="code"`); blocks != 141 || !strings.Contains(all, "func main() {}") {
			t.Fatalf("%d blocks of code, or the last one coloured: %.300s", blocks, all)
		}
	}
	message[0].Body = "```go\nfunc main() {}\n```"
	if all := string(p.Messages(message)); !strings.Contains(all, `<span class="kd">func</span>`) {
		t.Errorf("code is not coloured: %s", all)
	}
}

// FuzzNothingThatIsTypedRuns also holds the seeds that a usual run of the tests tries.
func FuzzNothingThatIsTypedRuns(f *testing.F) {
	for _, seed := range []string{
		script, "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "[a](data:text/html,x)", "<javascript:alert(1)>",
		"![x](javascript:alert(1))", "[a](https://b \"onclick=alert(1)\")", "```\"><script>\nx\n```", "```sql\n</code></pre><script>\n```",
		"@<script>", "#a\"onclick=x", "`" + script + "`", "> " + script, "- " + script, "/me " + script, "**" + script + "**",
		"[a](//evil.example/)", "[a](/sign-out)", "www.a.b\"onclick=\"x", "https://a.b/\"onclick=\"x", "&lt;script&gt;", "\\<script>", "a\u0000b<script>",
		"[<script>](https://a.b/<script>)", "[a](vbscript:x)", "<a href=\"x\">", "*<b*>", "1. <svg/onload=x>",
		"```yang\n/* a /* b\n```", "```psl\n#WARN x\n```", // chroma panics
	} {
		f.Add(seed)
	}
	p, err := page.New()
	if err != nil {
		f.Fatal(err)
	}
	allowed := map[string]string{
		"article": "*", "div": "*", "header": "*", "b": "", "time": "*", "input": "*", "label": "*", "p": "class", "strong": "", "em": "", "del": "", "code": "",
		"pre": "class tabindex", "ul": "", "ol": "start", "li": "", "blockquote": "", "br": "", "hr": "", "span": "*", "a": "*", "small": "class",
	}
	f.Fuzz(func(t *testing.T, body string) {
		all := string(p.Messages([]chat.Message{{ID: uuid.New(), Body: body}}))
		if utf8.ValidString(body) && !strings.ContainsAny(body, "[]`~&:\x00\r") && !strings.HasPrefix(body, "/me") {
			found := inBody.FindStringSubmatch(all)
			if found == nil || !strings.Contains(letters(text(found[1])), letters(body)) {
				t.Fatalf("%q lost some of its text in %s", body, all)
			}
		}
		tokens := html.NewTokenizer(strings.NewReader(all))
		for tokens.Next() != html.ErrorToken {
			token := tokens.Token()
			if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
				continue
			}
			if _, ok := allowed[token.Data]; !ok {
				t.Fatalf("%q became the element %s", body, token)
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" && !harmless(a.Val) {
					t.Fatalf("%q became %s", body, token)
				}
			}
		}
	})
}

// text is what an HTML shows.
func text(fragment string) string {
	var out strings.Builder
	for tokens := html.NewTokenizer(strings.NewReader(fragment)); tokens.Next() != html.ErrorToken; {
		if token := tokens.Token(); token.Type == html.TextToken {
			out.WriteString(token.Data)
		}
	}
	return out.String()
}

// letters is a text without what Markdown may take for marks: lists have numbers of their own.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, text)
}

func harmless(href string) bool {
	u, err := url.Parse(href)
	return err == nil && (u.Scheme == "" || u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "mailto")
}
