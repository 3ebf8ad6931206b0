package tail

import (
	"context"
	"iter"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
)

const pageLength = 500 // messages read at once

// past is what was said and happened in a room from message first to its head, in order; what happened right before first, too, where
// that was not before since.
func past(ctx context.Context, messages *chat.Messages, room chat.Room, first int64, since time.Time) iter.Seq2[Item, error] {
	head := room.Head()
	item := func(seq int64) Item {
		return Item{Room: room, Cursor: chat.Cursor{Seq: seq, Rev: head.Rev, History: head.History}}
	}
	return func(yield func(Item, error) bool) {
		from := first - 1 // lines from this message on were not told
		tell := func(lines []chat.Line) bool {
			for _, l := range lines {
				i := item(l.After)
				i.Line = &l
				if l.Rev <= head.Rev && !l.At.Before(since) && !yield(i, nil) {
					return false
				}
			}
			return true
		}
		for from < head.Seq {
			page, err := messages.Between(ctx, room.ID, from+1, min(from+pageLength, head.Seq))
			if err != nil || len(page) == 0 {
				yield(Item{}, err)
				return
			}
			last := page[len(page)-1].Seq
			lines, err := messages.Lines(ctx, room.ID, from, last, 1000)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, m := range page {
				n := 0
				for n < len(lines) && lines[n].After < m.Seq {
					n++
				}
				i := item(m.Seq)
				i.Message = &m
				if !tell(lines[:n]) || !yield(i, nil) {
					return
				}
				lines = lines[n:]
			}
			from = last
		}
		lines, err := messages.Lines(ctx, room.ID, from, head.Seq+1, 1000)
		if err != nil {
			yield(Item{}, err)
			return
		}
		tell(lines)
	}
}

// merged hands out several pasts as one, by time; each keeps its order.
func merged(pasts []iter.Seq2[Item, error], each func(Item) error) error {
	type source struct {
		next func() (Item, error, bool)
		item Item
	}
	var sources []source
	for _, p := range pasts {
		next, stop := iter.Pull2(p)
		defer stop()
		sources = append(sources, source{next: next})
	}
	advance := func(i int) error {
		item, err, more := sources[i].next()
		if err != nil {
			return err
		}
		if sources[i].item = item; !more {
			sources = append(sources[:i], sources[i+1:]...)
		}
		return nil
	}
	for i := len(sources) - 1; i >= 0; i-- {
		if err := advance(i); err != nil {
			return err
		}
	}
	for len(sources) > 0 {
		earliest := 0
		for i := range sources {
			if sources[i].item.at().Before(sources[earliest].item.at()) {
				earliest = i
			}
		}
		if err := each(sources[earliest].item); err != nil {
			return err
		}
		if err := advance(earliest); err != nil {
			return err
		}
	}
	return nil
}
