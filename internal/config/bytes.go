package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size, such as 100MB.
type Bytes int64

var units = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1}, {"", 1},
}

// UnmarshalText reads a number with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	given := strings.ToLower(strings.ReplaceAll(string(text), " ", ""))
	for _, u := range units {
		number, has := strings.CutSuffix(given, u.name)
		if !has {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || n*u.bytes > math.MaxInt64/2 || math.IsNaN(n) {
			break
		}
		*b = Bytes(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is no size: it is a number of bytes, or one with kB, MB, GB or TB, such as 100MB", text)
}
