package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// cache is where root keeps copies of programs that the unprivileged user could not reach.
const cache = "/var/cache/pgchat"

// publish copies the PostgreSQL that bin belongs to into the cache and returns the copy's bin. PostgreSQL looks at its own
// programs with access(2), which heeds no capability, so they must stand where everybody may go.
func publish(bin string) (string, error) {
	info, err := os.Stat(filepath.Join(bin, "postgres"))
	if err != nil {
		return "", fmt.Errorf("copy PostgreSQL to %s: %w", cache, err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", bin, info.Size(), info.ModTime().UnixNano()))
	to := filepath.Join(cache, "postgres-"+hex.EncodeToString(sum[:6]))
	if hasServer(filepath.Join(to, "bin")) {
		return filepath.Join(to, "bin"), nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // everybody must be able to enter
		return "", fmt.Errorf("copy PostgreSQL to %s: %w", cache, err)
	}
	fresh, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", fmt.Errorf("copy PostgreSQL to %s: %w", cache, err)
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	err = os.CopyFS(filepath.Join(fresh, "native"), os.DirFS(filepath.Dir(bin)))
	if err == nil {
		err = os.Rename(filepath.Join(fresh, "native"), to)
	}
	if err != nil && !hasServer(filepath.Join(to, "bin")) { // else another one was quicker
		return "", fmt.Errorf("copy PostgreSQL to %s: %w", cache, err)
	}
	return filepath.Join(to, "bin"), nil
}
