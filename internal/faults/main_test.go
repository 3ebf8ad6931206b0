package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/pgchat/pgchat/internal/pgtest"
)

var (
	seedFlag = flag.Uint64("faults.seed", number("PGCHAT_FAULTS_SEED"), "what the faults are drawn from; 0: another one each time")
	forFlag  = flag.Duration("faults.for", duration("PGCHAT_FAULTS_FOR"), "how long the rounds are repeated; 0: each once")
)

func number(env string) uint64 {
	n, _ := strconv.ParseUint(os.Getenv(env), 10, 64)
	return n
}

func duration(env string) time.Duration {
	d, _ := time.ParseDuration(os.Getenv(env))
	return d
}

// dice are drawn from the seed, which is printed: the same seed breaks the same things in the same order.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1e9)
	}
	t.Logf("seed %d (again: PGCHAT_FAULTS_SEED=%d go test ./internal/faults -run '%s')", seed, seed, t.Name())
	return rand.New(rand.NewPCG(seed, 1))
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if binaries, err = os.MkdirTemp("/tmp", "pgchat-faults-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pgtest.Finally(func() { _ = os.RemoveAll(binaries) })()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy tells of every interruption
	stop := pgtest.Interruptible()
	code := m.Run()
	stop()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(toxiproxyLeaks...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// A toxiproxy whose toxics change leaves goroutines of cut connections behind.
var toxiproxyLeaks = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
}

var binaries string // the folder of what build made

// raced and plain make the binary that a user would have, once each: with the race detector where a round looks for what is wrong,
// without it where it measures.
var (
	raced = sync.OnceValues(func() (string, error) { return build("pgchat-race", "-race") })
	plain = sync.OnceValues(func() (string, error) { return build("pgchat") })
)

func build(name string, flags ...string) (string, error) {
	bin := filepath.Join(binaries, name)
	args := append(append([]string{"build"}, flags...), "-o", bin, "github.com/pgchat/pgchat/cmd/pgchat")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pgchat: %w\n%s", err, out)
	}
	return bin, nil
}
