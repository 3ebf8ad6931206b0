package faults

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// instance is a `pgchat serve` under a supervisor that starts it again when it ends, as systemd would.
type instance struct {
	t      *testing.T
	bin    string
	listen string // host:port, the same at every start
	url    string // DATABASE_URL
	args   []string

	starts  atomic.Int64
	closing chan struct{}
	done    chan struct{}

	mu  sync.Mutex
	cmd *exec.Cmd // nil: none runs
}

// startInstance supervises a server on the database at url.
func startInstance(t *testing.T, bin, listen, url string, args ...string) *instance {
	t.Helper()
	i := &instance{t: t, bin: bin, listen: listen, url: url, args: args, closing: make(chan struct{}), done: make(chan struct{})}
	go i.supervise()
	t.Cleanup(i.stop)
	return i
}

func (i *instance) supervise() {
	defer close(i.done)
	for {
		select {
		case <-i.closing:
			return
		default:
		}
		if err := i.once(); err != nil {
			i.t.Errorf("pgchat serve on %s: %v", i.listen, err)
		}
		select {
		case <-i.closing:
			return
		case <-time.After(100 * time.Millisecond): // RestartSec
		}
	}
}

// once runs the server until it ends. That it cannot start while the database is down is no error.
func (i *instance) once() error {
	args := append([]string{"serve", "--listen", i.listen, "--drain", "200ms", "--log-level", "warn", "--log-format", "text", "--lease", "4s", "--heartbeat", "1s"}, i.args...)
	cmd := exec.Command(i.bin, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+i.url)
	errOut, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	i.mu.Lock()
	err = cmd.Start()
	if err == nil {
		i.cmd = cmd
	}
	i.mu.Unlock()
	if err != nil {
		return err
	}
	i.starts.Add(1)
	report := i.read(errOut)
	_ = cmd.Wait()
	i.mu.Lock()
	i.cmd = nil
	i.mu.Unlock()
	if status := cmd.ProcessState.ExitCode(); report != "" || status > 1 {
		return fmt.Errorf("ended with status %d:\n%s", status, report)
	}
	return nil
}

// read takes the log until its end, and returns what a race or a panic has left in it.
func (i *instance) read(log interface{ Read([]byte) (int, error) }) string {
	var report strings.Builder
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || report.Len() > 0 && report.Len() < 20_000 {
			report.WriteString(line + "\n")
		}
		if os.Getenv("PGCHAT_FAULTS_LOG") != "" {
			fmt.Fprintln(os.Stderr, i.listen, line)
		}
	}
	return report.String()
}

// signal sends one to the process; where none runs, to nobody.
func (i *instance) signal(s syscall.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cmd != nil {
		_ = i.cmd.Process.Signal(s)
	}
}

// pid is the process's id; 0: none runs.
func (i *instance) pid() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cmd == nil {
		return 0
	}
	return i.cmd.Process.Pid
}

func (i *instance) stop() {
	select {
	case <-i.closing:
	default:
		close(i.closing)
	}
	for {
		i.signal(syscall.SIGCONT)
		i.signal(syscall.SIGTERM)
		select {
		case <-i.done:
			return
		case <-time.After(10 * time.Second): // it was started at that very moment, or cannot end
			i.signal(syscall.SIGKILL)
		}
	}
}
