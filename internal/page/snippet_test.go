package page

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestASnippetShowsWhatWasFound(t *testing.T) {
	for text, want := range map[string]string{
		"The **Deploy** is `done`":      "The <mark>Deploy</mark> is done",
		"redeploy deployed deploy":      "redeploy deployed <mark>deploy</mark>",
		"<b>deploy</b>&":                "&lt;b&gt;<mark>deploy</mark>&lt;/b&gt;&amp;",
		"a\n\nb\tdeploy":                "a b <mark>deploy</mark>",
		"österlich, ÖSTER":              "<mark>österlich</mark>, <mark>ÖSTER</mark>",
		"nothing":                       "nothing",
		strings.Repeat("ä", 500) + " x": strings.Repeat("ä", snippetLength) + "\u00a0…",
	} {
		if got := string(snippet(text, []string{"deploy", "öster*"})); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	long := strings.Repeat("hay ", 100) + "needle" + strings.Repeat(" straw", 100)
	got := string(snippet(long, []string{"needle"}))
	if n := utf8.RuneCountInString(got); !strings.HasPrefix(got, "…\u00a0hay hay") || !strings.Contains(got, "<mark>needle</mark> straw") || !strings.HasSuffix(got, "straw\u00a0…") || n > snippetLength+20 {
		t.Errorf("of a long text: %d characters, %q", n, got)
	}
}
