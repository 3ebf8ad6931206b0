package chat_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/quick"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestSlugs(t *testing.T) {
	for name, want := range map[string]string{
		"General": "general", "Release 2.0 — now!": "release-2-0-now", "  a  ": "a", "Über uns": "über-uns", "日本語 部屋": "日本語-部屋",
		"!!!": "room", "New": "new-room", "a/b?c#d%e": "a-b-c-d-e", "": "room", "naïve": "naïve",
	} {
		if got := chat.Slug(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestEveryNameGivesASlugThatStandsInAnAddress(t *testing.T) {
	if err := quick.Check(func(name string) bool {
		slug := chat.Slug(name)
		back, err := url.PathUnescape(url.PathEscape(slug))
		return err == nil && back == slug && slug != "" && !strings.ContainsAny(slug, "/?#% \t\n") &&
			!strings.HasPrefix(slug, "-") && !strings.HasSuffix(slug, "-") && chat.Slug(slug) == slug
	}, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}
