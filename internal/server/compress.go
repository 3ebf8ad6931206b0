package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// compressed sends text with gzip to who takes it. Connections are no answers, and files are sent as they are, in ranges. The
// jitter keeps the length of a page from telling what is in it to who can have things put into it.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.RandomJitter(32, 0, false))
	if err != nil {
		panic(fmt.Sprintf("the options of the compression: %v", err)) // they are constants
	}
	packed := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p == "/live" || p == "/ws" || strings.HasPrefix(p, "/files/") {
			next.ServeHTTP(w, r)
			return
		}
		packed.ServeHTTP(w, r)
	})
}
