package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Yardsticks are what this machine does without pgchat's ways, measured in the same run: figures are compared to them
// where machines differ.
type Yardsticks struct {
	Commits   float64 `json:"commits_per_second"`    // of one INSERT and one NOTIFY each, from 32 connections
	Broadcast float64 `json:"broadcasts_per_second"` // deliveries of a bare gorilla/websocket server to 1,000 connections
}

// Mean is the mean of both.
func (y Yardsticks) Mean(z Yardsticks) Yardsticks {
	return Yardsticks{Commits: (y.Commits + z.Commits) / 2, Broadcast: (y.Broadcast + z.Broadcast) / 2}
}

const yardstickTime = 4 * time.Second

// Yardsticks measures them.
func (b *Bench) Yardsticks(ctx context.Context) (y Yardsticks, err error) {
	b.Say("yardsticks: one INSERT and NOTIFY per commit; a broadcast without a database")
	if y.Commits, err = b.commits(ctx); err != nil {
		return y, fmt.Errorf("measure commits: %w", err)
	}
	if y.Broadcast, err = broadcast(ctx); err != nil {
		return y, fmt.Errorf("measure a broadcast: %w", err)
	}
	return y, nil
}

const yardstickBody = "a message of some sixty-four bytes, as chats have many of them ..."

// commits measures with pgbench where there is one, as everybody can, else with 32 connections of our own, which take more of
// the processor.
func (b *Bench) commits(ctx context.Context) (perSecond float64, err error) {
	if _, err := b.Pool.Exec(ctx, `create table if not exists chat.bench_yardstick (id bigint generated always as identity primary key, body text)`); err != nil {
		return 0, err
	}
	defer func() {
		_, dropErr := b.Pool.Exec(context.WithoutCancel(ctx), `drop table chat.bench_yardstick`)
		err = errors.Join(err, dropErr)
	}()
	if pgbench, err := exec.LookPath("pgbench"); err == nil {
		return b.pgbench(ctx, pgbench)
	}
	var n atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range 32 {
		group.Go(func() error {
			conn, err := pgx.Connect(ctx, b.DatabaseURL)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for time.Since(began) < yardstickTime {
				if _, err := conn.Exec(ctx, `with m as (insert into chat.bench_yardstick (body) values ($1)) select pg_notify('bench', $1)`, yardstickBody); err != nil {
					return err
				}
				n.Add(1)
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(n.Load()) / time.Since(began).Seconds(), err
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func (b *Bench) pgbench(ctx context.Context, program string) (perSecond float64, err error) {
	seconds := strconv.Itoa(int(yardstickTime.Seconds()))
	cmd := exec.CommandContext(ctx, program, "--no-vacuum", "--protocol=prepared", "--client=32", "--jobs=2", "--time="+seconds, "--file=-", b.DatabaseURL) //nolint:gosec // found on the PATH
	cmd.Stdin = strings.NewReader(`with m as (insert into chat.bench_yardstick (body) values ('` + yardstickBody + `')) select pg_notify('bench', '` + yardstickBody + `');`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	found := tps.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench told no tps: %s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// broadcast has a server that sends each message that it gets to 1,000 connections, by a goroutine and a queue for each.
func broadcast(ctx context.Context) (perSecond float64, err error) {
	const connections = 1000
	hub := &hub{}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{Handler: hub, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(listener) }()
	defer func() { _ = srv.Close() }()
	r := &run{Scenario: Scenario{Body: 64}, began: time.Now()}
	var n atomic.Int64
	var readers sync.WaitGroup
	defer readers.Wait()
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	for range connections {
		dialer := websocket.Dialer{HandshakeTimeout: 20 * time.Second}
		ws, resp, err := dialer.DialContext(ctx, "ws://"+listener.Addr().String(), nil)
		if err != nil {
			return 0, err
		}
		_ = resp.Body.Close()
		c := newClient(r, ws, `{"type":"post","id":"`)
		clients = append(clients, c)
		readers.Go(func() {
			for {
				if _, err := c.frame(); err != nil {
					return
				}
				n.Add(1)
			}
		})
	}
	began := time.Now()
	for time.Since(began) < yardstickTime {
		for _, c := range clients[:10] {
			if err := c.send(0); err != nil {
				return 0, err
			}
		}
		for sent := n.Load(); n.Load() < sent+5*connections && time.Since(began) < yardstickTime; { // a few are under way
			time.Sleep(100 * time.Microsecond)
		}
	}
	perSecond = float64(n.Load()) / time.Since(began).Seconds()
	hub.close()
	return perSecond, nil
}

// hub is the bare server.
type hub struct {
	mu    sync.Mutex
	conns []*websocket.Conn
	out   []chan *websocket.PreparedMessage
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 512}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	out := make(chan *websocket.PreparedMessage, 1024)
	h.mu.Lock()
	h.conns, h.out = append(h.conns, ws), append(h.out, out)
	h.mu.Unlock()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case m := <-out:
				if ws.WritePreparedMessage(m) != nil {
					return
				}
			case <-ended:
				return
			}
		}
	}()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		m, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
		if err != nil {
			return
		}
		h.mu.Lock()
		for _, o := range h.out {
			select {
			case o <- m:
			default:
			}
		}
		h.mu.Unlock()
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ws := range h.conns {
		_ = ws.Close()
	}
}
