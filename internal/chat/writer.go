package chat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

const (
	queueLength   = 8192            // posts that may wait; more are refused at once
	attemptWithin = 5 * time.Second // for a batch to be stored; longer is a dead connection, or one that hangs
	retryFor      = 2 * time.Second // how long a batch is tried again: a restart or a failover of a moment stays unnoticed
)

// Post is a message on its way in.
type Post struct {
	RoomID   uuid.UUID
	ID       uuid.UUID // made by the client; the same id again stores nothing new
	AuthorID uuid.UUID
	Body     string // as CheckBody returned it; with files it may be empty
	ReplyTo  int64  // seq of the message that it answers; 0: none
	Files    []uuid.UUID
}

// CheckPost returns the post as it is to be submitted. The error is as CheckBody's.
func CheckPost(p Post) (Post, error) {
	if len(p.Files) > MaxFiles {
		return Post{}, wrong("body", "A message has at most %d files; this one has %d. Send them in several.", MaxFiles, len(p.Files))
	}
	if len(p.Files) > 0 && strings.TrimSpace(p.Body) == "" {
		p.Body = ""
		return p, nil
	}
	body, err := CheckBody(p.Body)
	p.Body = body
	return p, err
}

// Writer stores messages by group commit: while one batch is being committed the next one collects, so that a lone
// message waits for nothing and a busy moment makes larger batches. There is no timer. One goroutine, started by Start
// and ended by Stop, owns all writing, but to rooms that another program holds in a transaction: what is for these is stored by a second
// one when they are free. A third one answers, so that the database does not wait meanwhile.
type Writer struct {
	pool    *pgxpool.Pool
	queries *store.Queries
	queue   chan pending
	done    chan struct{}
	abort   context.CancelFunc
	stored  func(roomID uuid.UUID)
	held    held
	metrics writerMetrics
	load    struct{ batches, messages, largest atomic.Int64 } // since Load was called
	trouble atomic.Pointer[trouble]                           // why nothing can be stored, set and cleared by the goroutine that takes from the queue; nil: it can

	mu      sync.RWMutex // held for reading while a post enters the queue
	stopped bool
}

// Load returns how many messages wait, and by how many statements how many were stored since it was called before, the largest
// of which had so many.
func (w *Writer) Load() (waiting, batches, messages, largest int) {
	return len(w.queue) + w.held.waiting(), int(w.load.batches.Swap(0)), int(w.load.messages.Swap(0)), int(w.load.largest.Swap(0))
}

type pending struct {
	Post
	answer func(seq int64, err error)
	held   time.Time // since when it waits for its room; zero: it does not
}

// NewWriter writes through pool.
func NewWriter(pool *pgxpool.Pool) *Writer {
	return &Writer{pool: pool, queries: store.New(pool), queue: make(chan pending, queueLength), done: make(chan struct{}), held: newHeld(), metrics: newWriterMetrics()}
}

// OnStored has tell called for each message that is stored, before its sender is answered; it must not block. The writer is
// started afterwards.
func (w *Writer) OnStored(tell func(roomID uuid.UUID)) { w.stored = tell }

// Start begins to write. The context's values are used, not its end: Stop ends the writer.
func (w *Writer) Start(ctx context.Context) {
	ctx, w.abort = context.WithCancel(context.WithoutCancel(ctx))
	stored := make(chan stored, 1)
	go func() {
		defer close(stored)
		var held sync.WaitGroup
		held.Go(func() { w.writeHeld(ctx, stored) })
		w.run(ctx, stored)
		close(w.held.woken)
		held.Wait()
	}()
	go func() {
		defer close(w.done)
		for s := range stored {
			w.answer(s)
		}
	}()
}

// Stop refuses new posts and returns when those that wait are stored. When ctx ends first, they are given up and its
// error is returned; their senders are told.
func (w *Writer) Stop(ctx context.Context) error {
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.queue)
	}
	w.mu.Unlock()
	defer w.abort()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		w.abort()
		<-w.done
		return fmt.Errorf("flush the writer: %w", ctx.Err())
	}
}

// Submit queues a post and returns at once; posts of one caller to a room are stored in the order of their calls. The answer comes
// from a goroutine of the writer's and must not block: the message's seq, or an [Error] or a failure of the database. A post
// that cannot be queued is answered before Submit returns.
func (w *Writer) Submit(p Post, answer func(seq int64, err error)) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.stopped {
		answer(0, errStopping())
		return
	}
	if t := w.trouble.Load(); t != nil && t.probe {
		answer(0, t.err)
		return
	}
	select {
	case w.queue <- pending{Post: p, answer: answer}:
	default:
		w.refuse(pending{Post: p, answer: answer})
	}
}

func (w *Writer) refuse(posts ...pending) {
	for _, p := range posts {
		w.metrics.refused.Inc()
		p.answer(0, Errorf(Busy, "The server has too much to do. Send the message again in a moment."))
	}
}

func errStopping() *Error {
	return Errorf(Unavailable, "The server is stopping. Send the message again in a moment.")
}

// Post checks the body, queues the post and waits for its seq. When ctx ends first the message may still be stored:
// posting the same id again tells.
func (w *Writer) Post(ctx context.Context, p Post) (int64, error) {
	p, err := CheckPost(p)
	if err != nil {
		return 0, err
	}
	type answer struct {
		seq int64
		err error
	}
	answers := make(chan answer, 1)
	w.Submit(p, func(seq int64, err error) { answers <- answer{seq, err} })
	select {
	case a := <-answers:
		return a.seq, a.err
	case <-ctx.Done():
		return 0, fmt.Errorf("post to room %s: %w", p.RoomID, ctx.Err())
	}
}

func (w *Writer) run(ctx context.Context, out chan<- stored) {
	var next *pending // taken from the queue, but not for the batch before
	var b batch
	for {
		b.begin()
		if next == nil {
			p, ok := w.first(ctx)
			if !ok {
				return
			}
			next = &p
		}
		if !w.setApart(*next) {
			b.add(*next)
		}
		next = nil
	collect:
		for len(b.posts) > 0 && len(b.posts) < batchLength && len(b.posts[0].Files) == 0 {
			select {
			case p, ok := <-w.queue:
				switch {
				case !ok:
					break collect
				case w.setApart(p):
				case !b.add(p):
					next = &p
					break collect
				}
			default:
				break collect
			}
		}
		if len(b.posts) > 0 {
			w.refuse(w.held.add(w.write(ctx, b.posts, out, w.trouble.Store))...)
		}
	}
}

// setApart reports whether others wait for the post's room, behind whom it goes.
func (w *Writer) setApart(p pending) bool {
	wait, added := w.held.follows(p)
	if wait && !added {
		w.refuse(p)
	}
	return wait
}

// first waits for the first post of a batch, and meanwhile probes a database that takes none; it reports false at the end.
func (w *Writer) first(ctx context.Context) (pending, bool) {
	for {
		var again <-chan time.Time
		if t := w.trouble.Load(); t != nil && t.probe {
			again = time.After(probeEvery)
		}
		select {
		case p, ok := <-w.queue:
			return p, ok
		case <-again:
			w.probe(ctx)
		}
	}
}

// write stores the batch and has everyone in it answered, but whose rooms are held: their posts are returned, and none of a room is stored
// that comes after one of them. It tries again for a moment while the database cannot be reached,
// which is safe because an id is stored once; a batch that the database refuses is written post by post, so that a bad one
// fails alone. While nothing can be stored everyone is told at once; whether it can is given to note.
func (w *Writer) write(ctx context.Context, batch []pending, out chan<- stored, note func(*trouble)) (held []pending) {
	if t := w.trouble.Load(); t != nil && t.probe {
		out <- stored{batch: batch, err: t.err} // it was queued before that was known
		return nil
	}
	rows, err := w.store(ctx, batch)
	if locked(err) && ctx.Err() == nil {
		var free []pending
		if free, held = w.part(ctx, batch); len(free) > 0 {
			held = append(held, w.write(ctx, free, out, note)...)
		}
		return held
	}
	t := troubleOf(err)
	if t != nil || err == nil {
		note(t)
	}
	switch {
	case t != nil:
		err = errors.Join(t.err, err)
	case err != nil && len(batch) > 1:
		for _, p := range batch {
			if slices.ContainsFunc(held, func(h pending) bool { return h.RoomID == p.RoomID }) {
				held = append(held, p)
				continue
			}
			held = append(held, w.write(ctx, []pending{p}, out, note)...)
		}
		return held
	}
	if err == nil {
		n := int64(len(batch))
		w.load.batches.Add(1)
		w.load.messages.Add(n)
		for largest := w.load.largest.Load(); n > largest && !w.load.largest.CompareAndSwap(largest, n); largest = w.load.largest.Load() {
		}
	}
	out <- stored{batch, rows, err}
	return nil
}

// stored is a batch and what became of it.
type stored struct {
	batch []pending
	rows  []store.PostBatchRow
	err   error
}

func (w *Writer) answer(s stored) {
	err := s.err
	switch {
	case err == nil && len(s.rows) == len(s.batch):
		for i, r := range s.rows {
			if w.stored != nil && r.Outcome == "posted" {
				w.stored(s.batch[i].RoomID)
			}
			s.batch[i].answer(r.Seq, w.outcomeError(r.Outcome, s.batch[i].Post))
		}
		return
	case err == nil:
		err = fmt.Errorf("post a batch of %d: got %d outcomes", len(s.batch), len(s.rows))
	}
	for _, p := range s.batch {
		p.answer(0, err)
	}
}

func (w *Writer) store(ctx context.Context, batch []pending) ([]store.PostBatchRow, error) {
	w.metrics.batch.Observe(float64(len(batch)))
	arg := store.PostBatchParams{
		RoomIds: make([]uuid.UUID, len(batch)), Ids: make([]uuid.UUID, len(batch)),
		AuthorIds: make([]uuid.UUID, len(batch)), Bodies: make([]string, len(batch)),
	}
	for i, p := range batch {
		arg.RoomIds[i], arg.Ids[i], arg.AuthorIds[i], arg.Bodies[i] = p.RoomID, p.ID, p.AuthorID, p.Body
	}
	deadline := time.Now().Add(retryFor)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		began := time.Now()
		attempt, cancel := context.WithTimeout(ctx, attemptWithin)
		rows, err := w.post(attempt, batch, arg)
		cancel()
		w.metrics.commit.Observe(time.Since(began).Seconds())
		if err == nil || !passing(err) || ctx.Err() != nil || time.Now().After(deadline) {
			if err != nil {
				err = fmt.Errorf("post a batch of %d: %w", len(batch), err)
			}
			return rows, err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // jitter
		case <-ctx.Done():
		}
	}
}

func (w *Writer) post(ctx context.Context, batch []pending, arg store.PostBatchParams) ([]store.PostBatchRow, error) {
	p := batch[0]
	switch {
	case len(p.Files) > 0:
		row, err := w.queries.PostFiles(ctx, store.PostFilesParams{RoomID: p.RoomID, ID: p.ID, AuthorID: p.AuthorID, Body: p.Body, FileIds: p.Files, ReplyTo: p.ReplyTo})
		return []store.PostBatchRow{store.PostBatchRow(row)}, err
	case slices.ContainsFunc(batch, func(p pending) bool { return p.ReplyTo != 0 }):
		return w.postReplies(ctx, batch, arg)
	}
	return w.queries.PostBatch(ctx, arg)
}

// postReplies stores a batch that has replies in it.
func (w *Writer) postReplies(ctx context.Context, batch []pending, arg store.PostBatchParams) ([]store.PostBatchRow, error) {
	with := store.PostRepliesParams{RoomIds: arg.RoomIds, Ids: arg.Ids, AuthorIds: arg.AuthorIds, Bodies: arg.Bodies, ReplyTos: make([]int64, len(batch))}
	for i, p := range batch {
		with.ReplyTos[i] = p.ReplyTo
	}
	found, err := w.queries.PostReplies(ctx, with)
	rows := make([]store.PostBatchRow, len(found))
	for i, r := range found {
		rows[i] = store.PostBatchRow(r)
	}
	return rows, err
}

func (w *Writer) outcomeError(outcome string, p Post) error {
	switch outcome {
	case "posted", "duplicate":
		return nil
	case "banned":
		ctx, cancel := context.WithTimeout(context.Background(), attemptWithin)
		defer cancel()
		return refusalOf(ctx, w.queries, p.AuthorID, &p.RoomID)
	case "id_taken":
		return Errorf(Taken, "Another message has the id %s. Send yours under a new one.", p.ID)
	case "room_not_found":
		return Errorf(NotFound, "This room does not exist any more.")
	case "parent_not_found":
		return &Error{Code: NotFound, Field: "reply_to", Message: "There is no message in this room that this could answer. Send it without answering one."}
	case "room_archived":
		return Errorf(Forbidden, "This room is archived: nothing can be posted.")
	case "not_a_member":
		return Errorf(Forbidden, "You are not a member of this room. Join it to post.")
	case "file_missing":
		return Errorf(NotFound, "A file of this message is not there any more. Attach it again.")
	case "body_empty", "body_too_long":
		_, err := CheckBody(p.Body)
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("post to room %s: unknown outcome %q", p.RoomID, outcome)
}
