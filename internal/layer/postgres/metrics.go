package postgres

import "github.com/prometheus/client_golang/prometheus"

// metrics is what the layer tells of itself; docs/operations.md says what each means.
type metrics struct {
	notifications, connects prometheus.Counter
	lag, batch              prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		notifications: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgchat_listener_notifications_total", Help: "Notifications received.",
		}),
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgchat_listener_connects_total", Help: "Times that the listener has connected; after the first, each is a lost connection.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pgchat_listener_lag_seconds", Help: "Time that a notification to this instance itself takes, every 10 s.",
			Buckets: prometheus.ExponentialBuckets(.00025, 2, 16),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pgchat_layer_batch_events", Help: "Events that left in one statement.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
	}
}

// Collectors are the layer's metrics.
func (l *Layer) Collectors() []prometheus.Collector {
	return []prometheus.Collector{l.metrics.notifications, l.metrics.connects, l.metrics.lag, l.metrics.batch, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgchat_listener_listening", Help: "1 while the listener hears; 0 while it polls or has no connection.",
	}, func() float64 {
		if l.Ready() != nil || l.Polling() != nil {
			return 0
		}
		return 1
	})}
}
