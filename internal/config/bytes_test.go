package config

import "testing"

func TestSizesAreRead(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "17": 17, "17B": 17, "500kB": 500_000, "100MB": 100_000_000, "1.5 GB": 1_500_000_000, "1MiB": 1 << 20, "2tb": 2e12} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1XB", "NaN", "1e400", "inf", "9e30TB", "10 MB 3"} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
