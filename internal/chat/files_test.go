package chat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNamesOfFilesAreMadeFit(t *testing.T) {
	for given, want := range map[string]string{
		"holiday.png": "holiday.png", `C:\Users\ada\notes.txt`: "notes.txt", "/etc/passwd": "passwd", "a/b/..": "file", "": "file", " . ": "file", ".env": ".env",
		"tab\tand\nline.txt": "tabandline.txt", "gnp.\u202eexe": "gnp.exe", "bad\xffutf": "bad�utf", "  spaced out .txt ": "spaced out .txt", "naïve 日本.pdf": "naïve 日本.pdf",
	} {
		if got := FileName(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
	for _, given := range []string{strings.Repeat("a", 400) + ".tar.gz", strings.Repeat("日", 200) + ".pdf", strings.Repeat("x", 100) + "." + strings.Repeat("y", 300)} {
		got := FileName(given)
		if len(got) > 255 || len(got) < 250 || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
	if got := FileName(strings.Repeat("a", 400) + ".pdf"); !strings.HasSuffix(got, ".pdf") {
		t.Errorf("%q lost its end", got)
	}
}

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 1440: "1.4 kB", 99_940: "99.9 kB", 100_400: "100 kB", 999_940: "1000 kB", 999_960: "1 MB", 1_440_000: "1.4 MB", 10_000_000_000: "10 GB", 5e15: "5000 TB"} {
		if got := Size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
