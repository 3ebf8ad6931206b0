package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// member is a page without a browser: it keeps its cursor, reconnects, and sends again what has no answer.
type member struct {
	t       *testing.T
	address string
	client  *http.Client
	room    string   // general's id
	posts   []string // ids, to be acknowledged one after another
	total   int      // messages that end its work
}

type pageFrame struct {
	Type, ID, Code, Content string
	Seq                     int64
}

var (
	seqs      = regexp.MustCompile(`data-seq="(\d+)"`)
	viewsRoom = regexp.MustCompile(`id="view" data-room="([^"]+)"`)
)

func newMember(t *testing.T, address, name string, posts, total int) *member {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, address: address, client: &http.Client{Jar: jar}, total: total}
	for range posts {
		m.posts = append(m.posts, uuid.NewString())
	}
	found := viewsRoom.FindSubmatch(m.account("/sign-up", name))
	if found == nil {
		t.Fatal("who has signed up sees no room")
	}
	m.room = string(found[1])
	return m
}

// signIn fails unless there is such an account.
func signIn(t *testing.T, address, name string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, address: address, client: &http.Client{Jar: jar}}
	m.account("/sign-in", name)
}

// account fills in the form and returns the page that follows.
func (m *member) account(form, name string) []byte {
	m.t.Helper()
	resp, err := m.client.PostForm(m.address+form, url.Values{"name": {name}, "password": {"correct horse battery"}})
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s as %s: %s, %v", form, name, resp.Status, err)
	}
	return body
}

// work posts and receives until all messages have come, over as many connections as it takes.
func (m *member) work(ctx context.Context, progress func()) error {
	next, posted := 1, 0
	for next <= m.total {
		if ctx.Err() != nil {
			return fmt.Errorf("message %d of %d did not come; %d of %d posts are acknowledged", next, m.total, posted, len(m.posts))
		}
		dialer := websocket.Dialer{Jar: m.client.Jar}
		ws, resp, err := dialer.DialContext(ctx, strings.Replace(m.address, "http", "ws", 1)+"/live", nil)
		if err != nil {
			if resp != nil {
				_ = resp.Body.Close()
			}
			pause(ctx) // as htmx does between two tries
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
		send := func() error {
			if posted == len(m.posts) {
				return nil
			}
			return ws.WriteJSON(map[string]string{"type": "post", "room": m.room, "id": m.posts[posted], "body": "message " + m.posts[posted]})
		}
		err = ws.WriteJSON(map[string]string{"type": "open", "room": m.room, "cursor": fmt.Sprintf("%d.0", next-1)})
		for err == nil && next <= m.total {
			var data []byte
			if _, data, err = ws.ReadMessage(); err != nil {
				break
			}
			var f pageFrame
			if err := json.Unmarshal(data, &f); err != nil {
				return err
			}
			switch f.Type {
			case "opened":
				err = send()
			case "ack":
				if posted < len(m.posts) && f.ID == m.posts[posted] {
					posted++
					progress()
					err = send()
				}
			case "error":
				pause(ctx)
				err = send()
			case "messages":
				for _, s := range seqs.FindAllStringSubmatch(f.Content, -1) {
					if seq, _ := strconv.Atoi(s[1]); seq != next {
						return fmt.Errorf("message %d came, want %d", seq, next)
					}
					next++
				}
			}
		}
		stop()
		_ = ws.Close()
	}
	return nil
}

func pause(ctx context.Context) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
}

// underLoad has people on two instances post while breakIt breaks things, again and again, and fails unless every message
// reaches everyone once, in order.
func underLoad(t *testing.T, dbURL string, times int, breakIt func()) {
	const posters, each = 6, 40
	bin := build(t)
	instances := []*instance{serve(t, bin, dbURL, "127.0.0.1:0"), serve(t, bin, dbURL, "127.0.0.1:0")}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	acks := make(chan struct{}, posters*each)
	var wg sync.WaitGroup
	for i := range posters {
		m := newMember(t, instances[i%2].address, fmt.Sprint("member-", i), each, posters*each)
		wg.Go(func() {
			if err := m.work(ctx, func() { acks <- struct{}{} }); err != nil {
				t.Errorf("member %d: %v", i, err)
			}
		})
	}
	for range times {
		for range posters * each / (times + 1) {
			select {
			case <-acks:
			case <-ctx.Done():
				t.Fatal("posts are not acknowledged any more")
			}
		}
		breakIt()
	}
	wg.Wait()
}

func TestARestartOfPostgreSQLUnderLoadLosesNothing(t *testing.T) {
	cluster, url := pgtest.Cluster(t)
	underLoad(t, url, 2, func() {
		if err := cluster.Restart(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestLosingListenersUnderLoadLosesNothing(t *testing.T) {
	url := pgtest.URL(t)
	total := 0
	underLoad(t, url, 5, func() {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		var cut int
		if err := conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and application_name = 'pgchat listener'`).Scan(&cut); err != nil {
			t.Error(err)
		}
		total += cut
	})
	if total == 0 {
		t.Error("no listener was cut")
	}
}
