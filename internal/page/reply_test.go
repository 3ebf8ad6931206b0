package page_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestAReplyShowsTheBeginningOfWhatItAnswersAsText(t *testing.T) {
	p := pages(t)
	for body, want := range map[string]string{
		"hello":                       "hello",
		" a\n\n  b\tc ":               "a b c",
		"**so** `it` is, @ada :tada:": "so it is, @ada 🎉",
		"> quoted\n\nand *said*":      "quoted and said",
		"<b>&amp;":                    "&lt;b&gt;&amp;",
		script:                        "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;",
		"---":                         "---",
		strings.Repeat("é", 140):      strings.Repeat("é", 140),
		strings.Repeat("é", 141):      strings.Repeat("é", 140) + "…",
	} {
		extra := fmt.Appendf(nil, `{"reply":{"seq":3,"thread":2,"id":%q,"author":%q,"quote":%q}}`, uuid.NewString(), "a<b", body)
		html := string(p.Messages([]chat.Message{{ID: uuid.New(), Seq: 4, Extra: extra}}))
		if !strings.Contains(html, `<b>a&lt;b</b> <span class="quoted">`+want+`</span>`) || !strings.Contains(html, `href="?at=3"`) {
			t.Errorf("%q: want %q in %s", body, want, html)
		}
	}
	gone := string(p.Messages([]chat.Message{{ID: uuid.New(), Seq: 4, Extra: []byte(`{"reply":{"seq":3,"thread":2,"author":"ada","quote":null}}`)}}))
	if !strings.Contains(gone, `<span class="quoted gone">a removed message</span>`) {
		t.Error(gone)
	}
}
