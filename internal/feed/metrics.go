package feed

import "github.com/prometheus/client_golang/prometheus"

// metrics is what the feed tells of itself; docs/operations.md says what each means.
type metrics struct{ events, gaps, catchUps, failures prometheus.Counter }

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return metrics{
		events:   counter("pgchat_feed_events_total", "Events handed to the rooms that are open here."),
		gaps:     counter("pgchat_feed_gaps_filled_total", "Pages read from the table because a notification was missed, late or too large to carry them."),
		catchUps: counter("pgchat_feed_catch_ups_total", "Pages read from the table for subscribers that had fallen behind the ring."),
		failures: counter("pgchat_feed_rooms_ended_total", "Rooms that ended for their subscribers: deleted, or set back."),
	}
}

// Collectors are the feed's metrics.
func (f *Feed) Collectors() []prometheus.Collector {
	return []prometheus.Collector{f.metrics.events, f.metrics.gaps, f.metrics.catchUps, f.metrics.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgchat_feed_rooms", Help: "Rooms that are open here, each a PostgreSQL channel that is listened to.",
	}, func() float64 { return float64(f.Rooms()) })}
}
