package faults

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// post is a message without an answer.
type post struct {
	id, room, body string
	bad            string    // the code with which it must be refused; "": it is good
	sent           bool      // on the connection that there is
	since          time.Time // when it was sent
	after          time.Time // not to be sent before
}

// stored is a message as somebody has it.
type stored struct {
	id, author, body string
	rev              int64
}

// view is what a member has of a room.
type view struct {
	messages []stored // message seq is at seq-1
	rev      int64    // of the last changes
	history  string   // of the database, as it was told last; "": not yet
	joined   bool     // on the connection that there is
	asked    bool     // a join or leave is under way
	after    time.Time
}

func (v *view) cursor() string {
	return strings.TrimSuffix(fmt.Sprintf("%d.%d.%s", len(v.messages), v.rev, v.history), ".")
}

// ledger is what a member knows; the law is checked by it.
type ledger struct {
	rooms    map[string]*view
	pending  map[string]*post
	acked    map[string]ack
	refused  map[string]*post
	wrong    []error // what was seen to break the law
	received int64
	again    int64 // posts sent again
	told     []refusal
}

type ack struct {
	room, body string
	seq        int64
}

// refusal is an answer after which the same is sent again.
type refusal struct {
	message string
	waited  time.Duration // for it
}

func newLedger(rooms ...string) ledger {
	l := ledger{rooms: map[string]*view{}, pending: map[string]*post{}, acked: map[string]ack{}, refused: map[string]*post{}}
	for _, room := range rooms {
		l.rooms[room] = &view{}
	}
	return l
}

func (l *ledger) broken(format string, args ...any) {
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, fmt.Errorf(format, args...))
	}
}

// takeMessages takes what came: the next ones, each once.
func (l *ledger) takeMessages(f frame) {
	v := l.rooms[f.Room]
	if v == nil {
		l.broken("messages of room %q, which was never joined", f.Room)
		return
	}
	for _, m := range f.Messages {
		if want := int64(len(v.messages)) + 1; m.Seq != want {
			l.broken("room %s: message %d (%s) came, want %d", f.Room, m.Seq, m.ID, want)
			continue
		}
		v.messages = append(v.messages, stored{m.ID, m.Author.Name, m.Body, m.Rev})
		l.received++
	}
}

// takeChanges takes messages as they now are.
func (l *ledger) takeChanges(f frame) {
	v := l.rooms[f.Room]
	if v == nil {
		l.broken("changes of room %q, which was never joined", f.Room)
		return
	}
	for _, m := range f.Messages {
		if m.Seq < 1 || m.Seq > int64(len(v.messages)) {
			l.broken("room %s: message %d changed before it came; there are %d", f.Room, m.Seq, len(v.messages))
			continue
		}
		if had := &v.messages[m.Seq-1]; m.Rev >= had.rev {
			*had = stored{m.ID, m.Author.Name, m.Body, m.Rev}
		}
	}
	v.rev = max(v.rev, f.Rev)
}

// takeAck takes the seq of a post; an ack that comes again must say the same.
func (l *ledger) takeAck(f frame) {
	if before, known := l.acked[f.ID]; known {
		if before.seq != f.Seq {
			l.broken("post %s was acknowledged as %d and then as %d", f.ID, before.seq, f.Seq)
		}
		return
	}
	p := l.pending[f.ID]
	switch {
	case p == nil:
		l.broken("an ack for %s, which was not posted", f.ID)
		return
	case p.bad != "":
		l.broken("post %s was acknowledged and should be refused as %s", f.ID, p.bad)
	}
	delete(l.pending, f.ID)
	l.acked[f.ID] = ack{p.room, p.body, f.Seq}
}

// takeError takes a refusal: a final one, or one after which the same is sent again.
func (l *ledger) takeError(f frame) error {
	again := f.Code == "busy" || f.Code == "unavailable" || f.Code == "rate_limited"
	if f.ID == "" {
		v := l.rooms[f.Room]
		if !again || v == nil {
			l.broken("an error about a frame: %s %s (room %q)", f.Code, f.Message, f.Room)
			return errors.New("refused")
		}
		v.asked, v.after = false, time.Now().Add(200*time.Millisecond)
		return nil
	}
	p := l.pending[f.ID]
	switch {
	case p == nil:
		if _, known := l.acked[f.ID]; !known {
			l.broken("an error for %s, which was not posted: %s", f.ID, f.Code)
		}
	case again:
		p.sent, p.after = false, time.Now().Add(200*time.Millisecond)
		l.again++
		l.told = append(l.told, refusal{f.Message, time.Since(p.since)})
	case f.Code != p.bad:
		l.broken("post %s was refused as %s, want %q: %s", f.ID, f.Code, p.bad, f.Message)
		delete(l.pending, f.ID)
	default:
		delete(l.pending, f.ID)
		l.refused[f.ID] = p
	}
	return nil
}
