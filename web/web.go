// Package web holds the pages' templates, styles and scripts, embedded in the binary.
package web

import (
	"bytes"
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
}

// NewStatic reads the files, without the comments and spaces of ours, and hashes them. The error is [ErrNoVendor] where `make web` was not run.
func NewStatic() (*Static, error) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, fmt.Errorf("open the static files: %w", err)
	}
	if _, err := fs.Stat(files, "vendor/htmx.min.js"); err != nil {
		return nil, ErrNoVendor
	}
	s := &Static{urls: map[string]string{}, names: map[string]string{}, contents: map[string][]byte{}}
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
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the static files: %w", err)
	}
	return s, nil
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
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(s.contents[name]))
}
