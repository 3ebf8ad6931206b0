package consumer

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the consumers tell of themselves; docs/operations.md says what each means.
type metrics struct {
	opened *prometheus.CounterVec // by dialect
	closes *prometheus.CounterVec // by code
	stuck  prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgchat_connections_opened_total", Help: "WebSocket connections, by what they speak.",
		}, []string{"dialect"}),
		closes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgchat_connections_closed_by_server_total", Help: "Connections that the server closed, by close code.",
		}, []string{"code"}),
		stuck: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgchat_connections_stuck_total", Help: "Connections that did not take a frame in time, or had gone while one was written.",
		}),
	}
}

func (m metrics) closed(code int) { m.closes.WithLabelValues(strconv.Itoa(code)).Inc() }

// Collectors are the consumers' metrics.
func (s *Sockets) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s.metrics.opened, s.metrics.closes, s.metrics.stuck,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pgchat_connections", Help: "Open WebSocket connections."},
			func() float64 { return float64(s.Connections()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pgchat_joined_rooms", Help: "Rooms that connections have joined, counted once for each connection."},
			func() float64 { return float64(s.joinedRooms()) }),
	}
}

func (s *Sockets) joinedRooms() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rooms {
		n += r.connections
	}
	return n
}
