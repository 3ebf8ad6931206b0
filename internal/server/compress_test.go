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
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept) // given, so that the client leaves it as it comes
		answer, err := ada.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body := io.Reader(answer.Body)
		if answer.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Header, string(text)
	}
	for _, accept := range []string{"gzip", "identity"} {
		header, text := get("/rooms/general", accept)
		if coded := header.Get("Content-Encoding"); (coded == "gzip") != (accept == "gzip") || !strings.HasSuffix(strings.TrimSpace(text), "</html>") ||
			!strings.Contains(header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("who takes %s got %q, %d bytes: %v", accept, coded, len(text), header)
		}
	}
	_, text := get("/rooms/general", "gzip")
	header, source := get(regexp.MustCompile(`/static/js/room\.[^"]*`).FindString(text), "gzip")
	if header.Get("Content-Encoding") != "gzip" || !strings.Contains(header.Get("Cache-Control"), "immutable") || !strings.Contains(source, "function Room(") || strings.Contains(source, "\n//") {
		t.Errorf("a script came as %v: %.200s", header, source)
	}
}
