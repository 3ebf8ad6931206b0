package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// floors is the house of docs/architecture.md: a package imports packages of lower floors only. layer's two kinds stand
// on layer itself, and chat on store.
var floors = map[string]int{
	"bench": 0, "config": 0, "postgres": 0, "store": 0, "terminal": 0, "thumbnail": 0,
	"layer": 1, "chat": 1, "doctor": 1, "top": 1,
	"layer/memory": 2, "layer/postgres": 2, "page": 2, "presence": 2, "feed": 2, "unread": 2, "demo": 2,
	"consumer": 3,
	"server":   4, "tail": 4,
}

// forTests are packages that tests alone may import.
var forTests = map[string]bool{"pgtest": true, "layer/layertest": true, "faults": true}

func TestImportsGoDownwardOnly(t *testing.T) {
	const prefix = "github.com/pgchat/pgchat/internal/"
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		from := filepath.ToSlash(filepath.Dir(path))
		if forTests[from] {
			return nil
		}
		floor, known := floors[from]
		if !known {
			t.Errorf("internal/%s stands on no floor: give it one here and in docs/architecture.md", from)
		}
		seen[from] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), prefix)
			if ours && (forTests[to] || floors[to] >= floor) {
				t.Errorf("%s (floor %d) imports internal/%s (floor %d)", path, floor, to, floors[to])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("internal/%s has a floor and does not exist", name)
		}
	}
}
