package chat

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

const (
	indexEvery     = 2 * time.Second // where there was nothing to do; what is new is found meanwhile without the index
	indexBusy      = 200             // messages a second that come, from which on the index gives way to them
	indexMostBusy  = 250             // messages at once then, and
	indexMost      = 2000            // otherwise
	indexShareBusy = 9               // it rests so many times as long as it has worked then
	indexForget    = 0.05            // seconds after which it looks at no more words that may have to be forgotten, for this time
)

// Indexer keeps the index of the search up to date, after the fact. Of all servers on the database one does it at a time. Posting
// never waits for it, and where much is posted it takes a tenth of one connection's time: what is left is indexed later. Words that no
// message has any more it takes out of the vocabulary.
type Indexer struct {
	queries *store.Queries
	log     *slog.Logger
	stop    context.CancelFunc
	done    chan struct{}
}

// NewIndexer indexes through pool.
func NewIndexer(pool *pgxpool.Pool, log *slog.Logger) *Indexer {
	return &Indexer{queries: store.New(pool), log: log, done: make(chan struct{})}
}

// Start begins to index. The context's values are used, not its end: Stop ends it.
func (i *Indexer) Start(ctx context.Context) {
	ctx, i.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(i.done)
		i.run(ctx)
	}()
}

// Stop ends what is under way, which is done anew by whoever comes next.
func (i *Indexer) Stop(ctx context.Context) error {
	i.stop()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end indexing: %w", ctx.Err())
	}
}

func (i *Indexer) run(ctx context.Context) {
	var (
		behind  int64 // at the last time
		last    = time.Now()
		most    = indexMostBusy // until it is known what comes
		failing bool
	)
	for {
		began := time.Now()
		row, err := i.queries.IndexMessages(ctx, store.IndexMessagesParams{Most: int32(most), ForgetSeconds: indexForget})
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		pause := indexEvery/2 + rand.N(indexEvery) //nolint:gosec // several servers do not ask at once
		switch {
		case err != nil:
			if !failing {
				i.log.Warn("new messages are not indexed for the search", "error", err)
			}
			pause *= 5
		case row.Done > 0 && row.Behind > 0:
			came := float64(row.Behind+int64(row.Done)-behind) / max(time.Since(last), time.Millisecond).Seconds()
			if most, pause = indexMost, took; came > indexBusy {
				most, pause = indexMostBusy, indexShareBusy*took
			}
		case row.Words:
			pause = indexShareBusy * took
		}
		if failing = err != nil; !failing {
			behind, last = row.Behind, time.Now()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// Run indexes all that there is and returns how many messages that were; for tools.
func (i *Indexer) Run(ctx context.Context) (int64, error) {
	for all := int64(0); ; {
		row, err := i.queries.IndexMessages(ctx, store.IndexMessagesParams{Most: indexMost, ForgetSeconds: indexForget})
		if err != nil {
			return all, fmt.Errorf("index messages: %w", err)
		}
		if row.Done <= 0 && !row.Words {
			return all, nil
		}
		all += int64(max(row.Done, 0))
	}
}
