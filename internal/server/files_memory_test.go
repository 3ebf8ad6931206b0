package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

// heapWatch reads as many bytes as n says, and looks every few megabytes at what is in use on the heap.
type heapWatch struct {
	n, next int
	peak    uint64
}

func (h *heapWatch) look() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	h.peak = max(h.peak, m.HeapAlloc)
}

func (h *heapWatch) Read(p []byte) (int, error) {
	if h.n == 0 {
		return 0, io.EOF
	}
	k := min(len(p), h.n)
	clear(p[:k])
	h.n -= k
	_, _ = h.Write(p[:k])
	return k, nil
}

func (h *heapWatch) Write(p []byte) (int, error) {
	if h.next -= len(p); h.next <= 0 {
		h.next = 2 << 20
		h.look()
	}
	return len(p), nil
}

func TestALargeFileTakesLittleMemoryBothWays(t *testing.T) {
	const size, most = 100_000_000, 10_000_000 // bytes
	s := startLimited(t, true, chat.FileLimits{Each: size, InAll: size}, chat.NewPostLimiter(0, 1))
	ada := s.signUp(t, "ada")
	s.uploads(t, ada, "general", "warm", "up") // connections and their buffers
	before := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}

	const boundary = "xxxxxxxxxxxxxxxxxxxxxxxx"
	head := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"zeros\"\r\n\r\n"
	s.exec(t, `delete from chat.files`)
	base, up := before(), &heapWatch{n: size}
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/rooms/general/files", io.MultiReader(
		strings.NewReader(head), up, strings.NewReader("\r\n--"+boundary+"--\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	r.ContentLength = int64(len(head) + size + len(boundary) + 8)
	resp, err := ada.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var file chat.File
	err = json.NewDecoder(resp.Body).Decode(&file)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != 201 || file.Size != size {
		t.Fatalf("status %d, %+v (%v)", resp.StatusCode, file, err)
	}
	if grown := int64(up.peak) - int64(base); grown > most {
		t.Errorf("the heap of server and client grew by %d bytes while a file of %d came", grown, size)
	} else {
		t.Logf("up: %d bytes", grown)
	}

	base = before()
	resp, err = ada.Get(s.URL + address(file))
	if err != nil {
		t.Fatal(err)
	}
	down := &heapWatch{}
	n, err := io.Copy(down, resp.Body)
	_ = resp.Body.Close()
	if err != nil || n != size {
		t.Fatalf("%d bytes came (%v)", n, err)
	}
	if grown := int64(down.peak) - int64(base); grown > most {
		t.Errorf("the heap of server and client grew by %d bytes while a file of %d went", grown, size)
	} else {
		t.Logf("down: %d bytes", grown)
	}
}
