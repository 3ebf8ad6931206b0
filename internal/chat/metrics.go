package chat

import "github.com/prometheus/client_golang/prometheus"

// writerMetrics is what the writer tells of itself; docs/operations.md says what each means.
type writerMetrics struct {
	batch, commit prometheus.Histogram
	refused       prometheus.Counter
}

func newWriterMetrics() writerMetrics {
	return writerMetrics{
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pgchat_writer_batch_messages", Help: "Messages in one statement.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pgchat_writer_commit_seconds", Help: "Time of one statement, its commit included.", Buckets: prometheus.ExponentialBuckets(.00025, 2, 14),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgchat_writer_refused_total", Help: "Messages refused because the queue was full.",
		}),
	}
}

// Collectors are the writer's metrics.
func (w *Writer) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.metrics.batch, w.metrics.commit, w.metrics.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgchat_writer_queue_messages", Help: "Messages that wait for the next statement.",
	}, func() float64 { return float64(len(w.queue)) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgchat_writer_held_messages", Help: "Messages that wait for rooms which other programs hold in transactions.",
	}, func() float64 { return float64(w.held.waiting()) })}
}
