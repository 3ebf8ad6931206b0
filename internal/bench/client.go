package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	stamp   = 19 // digits of the time of sending at the beginning of a body, in nanoseconds since the run began
	minBody = stamp + 1
)

// client is one connection. It reads and writes frames by itself: the load must cost little beside what it loads.
type client struct {
	run  *run
	conn net.Conn
	in   *bufio.Reader

	mu   sync.Mutex // while writing
	post []byte     // the frame of a post, in which id and time are filled in
	id   int        // where they stand in it
	body int

	next      atomic.Int64 // the seq that comes next
	sent      atomic.Int64
	acked     atomic.Int64
	lost      int64
	doubled   int64
	refused   int64
	delivered int64 // while it was measured
	latency   histogram
}

// connect opens the connection and joins its room.
func (r *run) connect(ctx context.Context, address string, room place, secret string, history int) (*client, error) {
	url, header := "ws"+strings.TrimPrefix(address, "http")+"/ws", http.Header{"Authorization": {"Bearer " + secret}}
	hello := `{"type":"join","room":"` + room.slug + `","after":"` + strconv.Itoa(history) + `.0"}`
	post := `{"type":"post","room":"` + room.slug + `","id":"`
	dialer := websocket.Dialer{Subprotocols: []string{"pgchat.v1"}, HandshakeTimeout: 20 * time.Second}
	if r.Pages {
		url, header = "ws"+strings.TrimPrefix(address, "http")+"/live", http.Header{"Cookie": {"pgchat_session=" + secret}}
		hello = `{"type":"open","room":"` + room.id + `","cursor":"` + strconv.Itoa(history) + `.0"}`
		post = `{"type":"post","room":"` + room.id + `","id":"`
		dialer.Subprotocols = nil
	}
	ws, resp, err := dialer.DialContext(ctx, url, header)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("connect: %w: %s", err, resp.Status)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	_ = resp.Body.Close()
	c := newClient(r, ws, post)
	c.next.Store(int64(history) + 1)
	if _, err := c.conn.Write(append(masked(len(hello)), hello...)); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	for { // until it is in
		frame, err := c.frame()
		if err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		if bytes.HasPrefix(frame, []byte(`{"type":"joined"`)) || bytes.HasPrefix(frame, []byte(`{"type":"opened"`)) {
			return c, nil
		}
		if bytes.HasPrefix(frame, []byte(`{"type":"error"`)) {
			return nil, fmt.Errorf("join: %s", frame)
		}
	}
}

// stall makes the kernel hold little for who reads nothing.
func (c *client) stall() error {
	tcp, ok := c.conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	return tcp.SetReadBuffer(4 << 10)
}

// newClient prepares a connection whose posts begin with the text given and go on with id and body.
func newClient(r *run, ws *websocket.Conn, post string) *client {
	c := &client{run: r, conn: ws.NetConn(), id: len(post)}
	c.in = bufio.NewReaderSize(c.conn, 4<<10)
	c.next.Store(1)
	post += strings.Repeat("0", 36) + `","body":"`
	c.body = len(post)
	post += strings.Repeat("0", stamp) + strings.Repeat("x", r.Body-stamp) + `"}`
	head := masked(len(post))
	c.id, c.body = c.id+len(head), c.body+len(head)
	c.post = append(append(c.post, head...), post...)
	return c
}

// masked is the header of a text frame of n bytes from a client; the mask is 0.
func masked(n int) []byte {
	if n < 126 {
		return []byte{0x81, 0x80 | byte(n), 0, 0, 0, 0} //nolint:gosec // below 126
	}
	return []byte{0x81, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0} //nolint:gosec // a body has at most 8000
}

// send posts a message that should have been sent at the time given.
func (c *client) send(due time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(id[6:])
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f
	at := c.post[c.id:]
	for i, part := range [][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		hex.Encode(at[part[0]*2+i:], id[part[0]:part[1]])
		if i > 0 {
			at[part[0]*2+i-1] = '-'
		}
	}
	for i, n := stamp-1, int64(due); i >= 0; i, n = i-1, n/10 {
		c.post[c.body+i] = byte('0' + n%10)
	}
	if c.run.Words {
		for at := c.body + stamp; at+8 <= c.body+c.run.Body; at += 8 {
			copy(c.post[at:], " "+anyWord(c.run.words))
		}
	}
	c.sent.Add(1)
	if _, err := c.conn.Write(c.post); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	return nil
}

// frame reads the next text frame; what is in it holds until the next call.
func (c *client) frame() ([]byte, error) {
	for {
		head, err := c.in.Peek(2)
		if err != nil {
			return nil, err
		}
		kind, n, skip := head[0]&0x0f, int(head[1]&0x7f), 2
		switch n {
		case 126:
			if head, err = c.in.Peek(4); err != nil {
				return nil, err
			}
			n, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		case 127:
			if head, err = c.in.Peek(10); err != nil {
				return nil, err
			}
			n, skip = int(binary.BigEndian.Uint64(head[2:])), 10 //nolint:gosec // checked by being read
		}
		_, _ = c.in.Discard(skip)
		var text []byte
		if n <= c.in.Size() {
			if text, err = c.in.Peek(n); err != nil {
				return nil, err
			}
			_, _ = c.in.Discard(n)
		} else {
			text = make([]byte, n)
			if _, err := io.ReadFull(c.in, text); err != nil {
				return nil, err
			}
		}
		switch kind {
		case websocket.TextMessage:
			return text, nil
		case websocket.PingMessage:
			c.mu.Lock()
			_, err = c.conn.Write([]byte{0x80 | websocket.PongMessage, 0x80, 0, 0, 0, 0})
			c.mu.Unlock()
			if err != nil {
				return nil, err
			}
		case websocket.CloseMessage:
			return nil, fmt.Errorf("the server closed the connection: %q", text)
		}
	}
}

// read takes frames until the connection ends.
func (c *client) read() error {
	for {
		frame, err := c.frame()
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) && c.run.over.Load():
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case bytes.HasPrefix(frame, []byte(`{"type":"messages"`)):
			c.messages(frame)
		case bytes.HasPrefix(frame, []byte(`{"type":"ack"`)):
			c.acked.Add(1)
			if c.run.UnderWay > 0 && c.run.publishing.Load() {
				err = c.send(time.Since(c.run.began))
			}
		case bytes.HasPrefix(frame, []byte(`{"type":"error"`)):
			if c.refused++; c.refused == 1 {
				c.run.complain(string(frame))
			}
			c.acked.Add(1)
		}
		if err != nil {
			return err
		}
	}
}

var (
	seqMark  = []byte(`"seq":`)
	pageMark = []byte(`data-seq=\"`)
	bodyMark = []byte(`"body":"`)
	pageBody = []byte(`class=\"body\">`)
)

// messages checks the order of the messages and takes their latency.
func (c *client) messages(frame []byte) {
	now, measuring := time.Since(c.run.began), c.run.measuring.Load()
	mark, body := seqMark, bodyMark
	if c.run.Pages {
		mark, body = pageMark, pageBody
	}
	for {
		i := bytes.Index(frame, mark)
		if i < 0 {
			return
		}
		frame = frame[i+len(mark):]
		var seq int64
		for _, digit := range frame {
			if digit < '0' || digit > '9' {
				break
			}
			seq = 10*seq + int64(digit-'0')
		}
		switch next := c.next.Load(); {
		case seq < next:
			c.doubled++
			continue
		case seq > next:
			c.lost += seq - next
		}
		c.next.Store(seq + 1)
		i = bytes.Index(frame, body)
		if i < 0 || !measuring {
			continue
		}
		frame = frame[i+len(body):]
		c.delivered++
		if sent, err := strconv.ParseInt(string(frame[:min(stamp, len(frame))]), 10, 64); err == nil {
			c.latency.add(now - time.Duration(sent))
		}
	}
}
