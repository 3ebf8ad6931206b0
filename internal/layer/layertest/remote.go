package layertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/pgchat/pgchat/internal/layer"
)

// command is what a [Remote] asks its host to do. Texts are bytes, so that what is no UTF-8 travels, too.
type command struct {
	ID                      int
	Do                      string
	Group, Channel, Payload []byte
}

// report is the answer to a command, or without ID what a channel has received.
type report struct {
	ID             int
	Channel        []byte
	Group, Payload []byte
	Missed         bool
	Error          string
	Stopped        bool // the error is [layer.ErrStopped]
}

// Remote is a layer in another process.
type Remote struct {
	process *exec.Cmd
	to      io.WriteCloser
	ended   chan struct{}
	killed  bool

	writing sync.Mutex // a command is written as a whole

	mu        sync.Mutex
	last      int
	answers   map[int]func(report)
	receivers map[string]layer.Receiver
}

// StartRemote runs the test's own program with the environment added, whose TestMain must call [Host], and returns the
// layer that it hosts. It ends with the test.
func StartRemote(t testing.TB, env ...string) *Remote {
	t.Helper()
	r := &Remote{
		process: exec.Command(os.Args[0]), ended: make(chan struct{}),
		answers: map[int]func(report){}, receivers: map[string]layer.Receiver{},
	}
	// A program with the race detector waits a second at its end, for nobody here.
	r.process.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	r.process.Stderr = os.Stderr
	var err error
	r.to, err = r.process.StdinPipe()
	must(t, err)
	from, err := r.process.StdoutPipe()
	must(t, err)
	must(t, r.process.Start())
	go r.read(from)
	t.Cleanup(func() {
		_ = r.to.Close()
		<-r.ended
		if err := r.process.Wait(); err != nil && !r.killed {
			t.Errorf("the layer's process: %v", err)
		}
	})
	return r
}

func (r *Remote) read(from io.Reader) {
	defer close(r.ended)
	for reports := json.NewDecoder(from); ; {
		var p report
		if reports.Decode(&p) != nil {
			return
		}
		r.mu.Lock()
		answer, receiver := r.answers[p.ID], r.receivers[string(p.Channel)]
		delete(r.answers, p.ID)
		r.mu.Unlock()
		switch {
		case answer != nil:
			answer(p)
		case receiver == nil:
		case p.Missed:
			receiver.Missed()
		default:
			receiver.Receive(string(p.Group), string(p.Payload))
		}
	}
}

// Kill ends the process as a crash would.
func (r *Remote) Kill() {
	r.killed = true
	_ = r.process.Process.Kill()
	<-r.ended
}

// call has the host do something; then is called before anything that is reported later is handed on.
func (r *Remote) call(ctx context.Context, c command, then func(report)) error {
	answered := make(chan report, 1)
	r.mu.Lock()
	r.last++
	c.ID = r.last
	r.answers[c.ID] = func(p report) {
		if then != nil {
			then(p)
		}
		answered <- p
	}
	r.mu.Unlock()
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	r.writing.Lock()
	_, err = r.to.Write(line)
	r.writing.Unlock()
	if err != nil {
		return err
	}
	select {
	case p := <-answered:
		switch {
		case p.Stopped:
			return layer.ErrStopped
		case p.Error != "":
			return errors.New(p.Error)
		}
		return nil
	case <-r.ended:
		return errors.New("the layer's process has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start implements [layer.Layer].
func (r *Remote) Start(ctx context.Context) error { return r.call(ctx, command{Do: "start"}, nil) }

// Stop implements [layer.Layer].
func (r *Remote) Stop(ctx context.Context) error { return r.call(ctx, command{Do: "stop"}, nil) }

// Open implements [layer.Layer].
func (r *Remote) Open(to layer.Receiver) (channel string) {
	_ = r.call(context.Background(), command{Do: "open"}, func(p report) {
		channel = string(p.Channel)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.receivers[channel] = to
	})
	return channel
}

// Close implements [layer.Layer].
func (r *Remote) Close(channel string) {
	_ = r.call(context.Background(), command{Do: "close", Channel: []byte(channel)}, nil)
}

// GroupAdd implements [layer.Layer].
func (r *Remote) GroupAdd(ctx context.Context, group, channel string) error {
	return r.call(ctx, command{Do: "add", Group: []byte(group), Channel: []byte(channel)}, nil)
}

// GroupDiscard implements [layer.Layer].
func (r *Remote) GroupDiscard(group, channel string) {
	_ = r.call(context.Background(), command{Do: "discard", Group: []byte(group), Channel: []byte(channel)}, nil)
}

// GroupSend implements [layer.Layer].
func (r *Remote) GroupSend(ctx context.Context, group, payload string) error {
	return r.call(ctx, command{Do: "send to group", Group: []byte(group), Payload: []byte(payload)}, nil)
}

// Send implements [layer.Layer].
func (r *Remote) Send(ctx context.Context, channel, payload string) error {
	return r.call(ctx, command{Do: "send", Channel: []byte(channel), Payload: []byte(payload)}, nil)
}
