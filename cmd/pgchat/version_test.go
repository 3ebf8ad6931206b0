package main

import (
	"runtime/debug"
	"testing"
)

func TestTheCommitIsTheMakefilesElseTheToolchainsElseUnknown(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for _, c := range []struct {
		given    string
		settings []debug.BuildSetting
		want     string
	}{
		{"fedcba9876543210", nil, "fedcba987654"},
		{"fedcba9876543210", vcs, "fedcba987654, modified"},
		{"", vcs, "0123456789ab, modified"},
		{"", nil, "unknown"},
	} {
		if got := commitOf(c.given, c.settings); got != c.want {
			t.Errorf("given %q: %q, want %q", c.given, got, c.want)
		}
	}
}
