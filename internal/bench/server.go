package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a `pgchat serve` that the run has started.
type server struct {
	cmd     *exec.Cmd
	address string
}

// startServer starts one of this very program on the database.
func startServer(ctx context.Context, databaseURL string, args ...string) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	s := &server{cmd: exec.Command(program, args...)} //nolint:gosec,noctx // this program; ended by stop
	s.cmd.Env = append(os.Environ(), "DATABASE_URL="+databaseURL)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the run, and the run ends it
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server ended at its start: %w", err)
	}
	s.address = strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// usage is the CPU time that the process has used, and its resident memory in KB: without the program's own text, of which
// more is read in as more of it runs.
func (s *server) usage() (cpu time.Duration, rss int64, err error) {
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	stat, err := os.ReadFile(proc + "stat") //nolint:gosec // of a process that we have started
	if err != nil {
		return 0, 0, fmt.Errorf("read the server's usage: %w", err)
	}
	// The name may hold spaces; what follows its parenthesis does not.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const ticks = 100 // a second, on Linux
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the server's usage: %w", err)
		}
		cpu += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(proc + "status") //nolint:gosec // of a process that we have started
	if err != nil {
		return 0, 0, fmt.Errorf("read the server's usage: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			rss, err = strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the server's usage: %w", err)
	}
	return cpu, rss, nil
}
