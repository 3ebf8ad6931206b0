package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/web"
)

var (
	comments = regexp.MustCompile(`(?s)/\*.*?\*/`)
	head     = regexp.MustCompile(`[^{};]+\{`)
	spaces   = regexp.MustCompile(`\s+`)
)

// heads is all that stands before a brace, without spaces but those that mean something.
func heads(css string) []string {
	all := head.FindAllString(comments.ReplaceAllString(css, ""), -1)
	for i, h := range all {
		h = strings.ReplaceAll(strings.TrimSpace(spaces.ReplaceAllString(h, " ")), `"`, "")
		for _, around := range []string{">", "+", "~", ",", ":", "{", ")", "]"} {
			h = strings.ReplaceAll(strings.ReplaceAll(h, " "+around, around), around+" ", around)
		}
		all[i] = strings.NewReplacer("@media (", "@media(", "@supports (", "@supports(").Replace(h)
	}
	return all
}

// TestSmallStylesSayTheSame: nesting and container queries are left as they are.
func TestSmallStylesSayTheSame(t *testing.T) {
	small, err := web.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("static/css/*.css")
	if err != nil || len(names) == 0 {
		t.Fatalf("no styles: %v", err)
	}
	nested := 0
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		made, err := small.ReadFile(strings.TrimPrefix(filepath.ToSlash(name), "static/"))
		if err != nil {
			t.Fatal(err)
		}
		want, got := heads(string(source)), heads(string(made))
		if !slices.Equal(want, got) {
			for i := range min(len(want), len(got)) {
				if want[i] != got[i] {
					t.Errorf("%s: %q has become %q", name, want[i], got[i])
					break
				}
			}
			t.Errorf("%s: %d rules have become %d", name, len(want), len(got))
		}
		if len(made) >= len(source) {
			t.Errorf("%s was not made small", name)
		}
		nested += strings.Count(string(made), "{&")
	}
	if nested == 0 {
		t.Error("nothing is nested")
	}
}
