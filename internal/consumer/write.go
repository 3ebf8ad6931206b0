package consumer

import (
	"errors"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/feed"
)

// startLocked starts the writer unless it runs.
func (c *conn) startLocked() {
	if !c.writing && !c.ended {
		c.writing = true
		c.sockets.writeSoon(c)
	}
}

// maxIdle is how many writers wait for the next connection that has something to write. Their stacks have grown to what
// writing needs; a new goroutine's grows twice on its way.
const maxIdle = 64

// writeSoon has a writer write for the connection: one that waits, or a new one. It does not block.
func (s *Sockets) writeSoon(c *conn) {
	select {
	case s.toWrite <- c:
	default:
		go func() {
			for {
				c.write()
				if s.idle.Add(1) > maxIdle {
					s.idle.Add(-1)
					return
				}
				select {
				case c = <-s.toWrite:
					s.idle.Add(-1)
				case <-s.ctx.Done():
					return
				}
			}
		}()
	}
}

// write is the writer: it writes until there is nothing to write. All that is there leaves in one system call.
func (c *conn) write() {
	var out net.Buffers
	for {
		c.mu.Lock()
		answers, woken, ping, closing := c.answers, c.woken, c.ping, c.closing
		watch, stirred, news := c.watch, c.stirred, c.takeNewsLocked()
		c.answers, c.woken, c.ping, c.stirred = nil, nil, false, false
		for _, j := range woken {
			j.woken = false
		}
		if c.ended || len(answers) == 0 && len(woken) == 0 && !stirred && len(news) == 0 && !ping && closing == nil {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		out = append(out[:0], answers...)
		for _, j := range woken {
			out = c.take(j, out)
		}
		if len(news) > 0 {
			out = append(out, pagePeople(news))
		}
		if stirred && watch != nil {
			if changes, some := watch.Next(); some {
				out = append(out, c.dialect.unread(changes))
			}
		}
		if ping {
			out = append(out, pingFrame)
		}
		if !c.send(out) {
			c.sockets.metrics.stuck.Inc()
			_ = c.raw.Close() // ends the reader, which cleans up
			return
		}
		if closing != nil {
			c.sockets.metrics.closed(closing.code)
			// The client closes. Closed from here, with something of the client's still unread, the connection would be reset,
			// and the client might never see the code.
			now := time.Now()
			c.mu.Lock()
			c.ended = true
			_ = c.raw.SetReadDeadline(now.Add(closeWithin))
			c.mu.Unlock()
			_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(closing.code, closing.reason), now.Add(time.Second))
			return
		}
	}
}

// send writes the frames; it reports false when the connection has ended or does not take them in time.
func (c *conn) send(frames net.Buffers) bool {
	if len(frames) == 0 {
		return true
	}
	if by := time.Now().Add(writeWithin); by.Sub(c.writeBy) > slack {
		c.writeBy = by
		if c.raw.SetWriteDeadline(by) != nil {
			return false
		}
	}
	if len(frames) == 1 {
		_, err := c.raw.Write(frames[0])
		return err == nil
	}
	_, err := frames.WriteTo(c.raw)
	return err == nil
}

// take appends what the room has for the connection.
func (c *conn) take(j *joined, out net.Buffers) net.Buffers {
	c.mu.Lock()
	left := j.left
	c.mu.Unlock()
	if left {
		return out
	}
	u, err := j.sub.Next(c.sockets.ctx)
	switch {
	case errors.Is(err, feed.ErrAhead), errors.Is(err, feed.ErrGone):
		c.dialect.ended(c, j, err)
		return out
	case err != nil:
		c.wakeLater(j)
		return out
	}
	if u.Kept > max(j.kept, 1) {
		out = append(out, c.dialect.removed(j, u.Kept))
		j.kept = u.Kept
	}
	for _, e := range u.Events {
		out = append(out, c.dialect.event(j, e))
	}
	if !u.Live {
		c.wake(j)
		return out
	}
	if j.history != u.Cursor.History {
		if f := c.dialect.live(j, u.Cursor); f != nil {
			out = append(out, f)
		}
		j.history = u.Cursor.History
	}
	if j.told == nil || j.presence != u.Presence {
		now, err := c.sockets.online(j.room.ID, u.Presence)
		if err != nil {
			c.wakeLater(j)
			return out
		}
		if f := c.dialect.online(j, j.told, now); f != nil {
			out = append(out, f)
		}
		j.told, j.presence = now, u.Presence
	}
	if j.typists != u.Typing {
		names := []string{}
		if u.Typing != nil {
			names = u.Typing.Names
		}
		out = append(out, c.dialect.typing(j, names))
		j.typists = u.Typing
	}
	j.again = 0
	return out
}

// wakeLater waits a little before the database is asked again; longer each time.
func (c *conn) wakeLater(j *joined) {
	j.again = min(max(2*j.again, firstRetry), lastRetry)
	time.AfterFunc(j.again, func() { c.wake(j) })
}
