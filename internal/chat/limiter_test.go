package chat_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestALimiterCountsEachKeyByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := chat.NewLimiter[string](2, 4, "Slower.")
		allowed := func(key string, want int) {
			t.Helper()
			for n := 0; ; n++ {
				wait, err := l.Allow(key)
				if err == nil && n < want {
					continue
				}
				var e *chat.Error
				if n != want || !errors.As(err, &e) || e.Code != chat.RateLimited || e.Message != "Slower." || wait <= 0 || wait > time.Second/2 {
					t.Errorf("%d of %s were allowed, then wait %s, %v; want %d", n, key, wait, err, want)
				}
				return
			}
		}
		allowed("ada", 4)
		allowed("ada", 0)
		allowed("eve", 4)
		time.Sleep(time.Second)
		allowed("ada", 2)
		// Whoever comes all the time is remembered for as long as they do.
		for range 20 {
			time.Sleep(time.Second)
			allowed("ada", 2)
		}
		time.Sleep(2 * time.Second)
		allowed("ada", 4)
		time.Sleep(time.Hour)
		allowed("ada", 4)
		allowed("eve", 4)
	})
}

func TestALimiterRemembersNoMoreKeysThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := chat.NewLimiter[int](1, 1, "Slower.")
		for n := range 100_000 {
			if _, err := l.Allow(n); err != nil {
				t.Fatalf("key %d: %v", n, err)
			}
		}
		if _, err := l.Allow(99_999); err == nil {
			t.Error("the last key was forgotten")
		}
		if _, err := l.Allow(0); err != nil {
			t.Error("the first key is still remembered")
		}
	})
}

func TestNoLimit(t *testing.T) {
	l := chat.NewPostLimiter(0, 1)
	for range 100 {
		if wait, err := l.Allow([16]byte{}); err != nil || wait != 0 {
			t.Fatalf("wait %s, %v", wait, err)
		}
	}
}
