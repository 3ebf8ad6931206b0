package server_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestTextIsCompressedForWhoTakesIt(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	get := func(path, accept string) (http.Header, string) {
		t.Helper()
		got, text := s.get(t, ada, path, "Accept-Encoding", accept) // given, so that the client leaves it as it comes
		if got.Header.Get("Content-Encoding") == "gzip" {
			packed, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(packed)
			if err != nil {
				t.Fatal(err)
			}
			text = string(plain)
		}
		return got.Header, text
	}
	for _, accept := range []string{"gzip", "identity"} {
		header, text := get("/rooms/general", accept)
		if coded := header.Get("Content-Encoding"); (coded == "gzip") != (accept == "gzip") || !strings.HasSuffix(strings.TrimSpace(text), "</html>") ||
			!strings.Contains(header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("who takes %s got %q, %d bytes: %v", accept, coded, len(text), header)
		}
	}
	_, text := get("/rooms/general", "gzip")
	script := regexp.MustCompile(`/static/js/room\.[^"]*`).FindString(text)
	header, source := get(script, "gzip")
	if header.Get("Content-Encoding") != "gzip" || !strings.Contains(header.Get("Cache-Control"), "immutable") || !strings.Contains(source, "function Room(") || strings.Contains(source, "\n//") {
		t.Errorf("a script came as %v: %.200s", header, source)
	}
	// It is the same for who does not take it, in whatever words.
	for accept, packed := range map[string]bool{"identity": false, "br, gzip;q=0": false, "gzip;q=0.000": false, "br,GZIP; q=0.5": true} {
		header, plain := get(script, accept)
		if coded := header.Get("Content-Encoding"); (coded == "gzip") != packed || plain != source || !strings.Contains(header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("who takes %q got %q, %d bytes of %d: %v", accept, coded, len(plain), len(source), header)
		}
	}
}
