// Package web holds the pages' templates, styles and scripts, embedded in the binary.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"
)

// Templates holds one folder for each page, and layout.html.
//
//go:embed templates
var Templates embed.FS

//go:embed all:static
var static embed.FS

// ErrNoVendor says that the parts that come from npm are not there.
var ErrNoVendor = errors.New("web/static/vendor is missing: run `make web` and build again")

// Static serves the styles and scripts under addresses that hold their content's hash, so that browsers may keep them
// for ever.
type Static struct {
	urls     map[string]string // by name, such as "css/app.css"
	names    map[string]string // by hashed name
	contents map[string][]byte // by name
	packed   map[string][]byte // with gzip, those of them that it makes smaller
}

// NewStatic reads the files, without the comments and spaces of ours, hashes and compresses them. The error is [ErrNoVendor] where `make web` was not run.
func NewStatic() (*Static, error) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, fmt.Errorf("open the static files: %w", err)
	}
	if _, err := fs.Stat(files, "vendor/htmx.min.js"); err != nil {
		return nil, ErrNoVendor
	}
	s := &Static{urls: map[string]string{}, names: map[string]string{}, contents: map[string][]byte{}, packed: map[string][]byte{}}
	small := minify.New()
	small.AddFunc(".js", js.Minify)
	small.AddFunc(".css", css.Minify)
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		ext := path.Ext(name)
		if ours := !strings.HasPrefix(name, "vendor/"); ours && (ext == ".js" || ext == ".css") {
			if content, err = small.Bytes(ext, content); err != nil {
				return fmt.Errorf("make %s small: %w", name, err)
			}
		}
		sum := sha256.Sum256(content)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		s.urls[name], s.names[hashed], s.contents[name] = "/static/"+hashed, name, content
		return s.pack(name, content)
	})
	if err != nil {
		return nil, fmt.Errorf("read the static files: %w", err)
	}
	return s, nil
}

// pack compresses once what is served for ever, better than what is compressed for each answer.
func (s *Static) pack(name string, content []byte) error {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if out.Len() < len(content) {
		s.packed[name] = out.Bytes()
	}
	return nil
}

// URL returns the address of a file, such as "css/app.css".
func (s *Static) URL(name string) (string, error) {
	url, ok := s.urls[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return url, nil
}

// ReadFile returns a file's content as it is served; it must not be changed.
func (s *Static) ReadFile(name string) ([]byte, error) {
	content, ok := s.contents[name]
	if !ok {
		return nil, fmt.Errorf("there is no static file %q", name)
	}
	return content, nil
}

// ServeHTTP serves /static/.
func (s *Static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := s.names[strings.TrimPrefix(r.URL.Path, "/static/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if path.Ext(name) == ".speculationrules" {
		w.Header().Set("Content-Type", "application/speculationrules+json")
	}
	content := s.contents[name]
	if packed, ok := s.packed[name]; ok {
		w.Header().Set("Vary", "Accept-Encoding")
		if takesGzip(r) {
			w.Header().Set("Content-Encoding", "gzip")
			content = packed
		}
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// takesGzip reports whether who asks takes gzip, by any of the ways to say so.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, quality, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(coding), " ", ""), ";")
		if name == "gzip" {
			return strings.Trim(strings.TrimPrefix(quality, "q="), "0.") != "" || quality == ""
		}
	}
	return false
}
