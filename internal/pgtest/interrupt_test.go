package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

// TestInterruptedTestsLeaveNothing runs itself once more, and interrupts that as who ends "go test" does: nobody reads what it prints any more.
func TestInterruptedTestsLeaveNothing(t *testing.T) {
	const inner = "PGCHAT_TEST_INTERRUPTED"
	if os.Getenv(inner) != "" {
		config, err := pgx.ParseConfig(pgtest.URL(t))
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Cleanup(t, func() { fmt.Println("this is not read") })
		fmt.Println("folder:", config.Host)
		<-t.Context().Done()
	}
	for _, with := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inner+"=1")
		cmd.Stdout, cmd.Stderr = write, write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = write.Close()
		said := bufio.NewScanner(read)
		folder, found := "", false
		for !found && said.Scan() {
			folder, found = strings.CutPrefix(said.Text(), "folder: ")
		}
		if _, err := os.Stat(folder); !found || err != nil {
			t.Fatalf("the server's folder is %q: %v", folder, err)
		}
		_ = read.Close()
		if err := cmd.Process.Signal(with); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(with) {
			t.Errorf("interrupted by %v it ended with %v", with, err)
		}
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("interrupted by %v it leaves %s", with, folder)
		}
	}
}
