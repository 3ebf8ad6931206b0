// Package bench puts load on a chat and measures what it carries: for people who size a machine, and for those who make it
// faster. It has users and rooms of its own, which it removes afterwards.
//
// A run starts servers of its own on the database, connects, and publishes: in a closed loop each publisher keeps so
// many messages under way, in an open loop messages are sent at a rate, whatever comes back; latencies then count from
// when a message should have been sent. Every connection checks that it gets every message of its room once, in order.
package bench

import (
	"fmt"
	"time"
)

// Scenario is one kind of load.
type Scenario struct {
	Name       string        `json:"name"`
	Rooms      int           `json:"rooms"`
	PerRoom    int           `json:"connections_per_room"`
	Publishers int           `json:"publishers_per_room"` // of those connections; 0: nobody publishes
	UnderWay   int           `json:"under_way,omitempty"` // messages of each publisher without an answer: a closed loop
	Rate       float64       `json:"rate,omitempty"`      // messages a second in all: an open loop
	Body       int           `json:"body_bytes"`
	Instances  int           `json:"instances"`
	Pages      bool          `json:"pages,omitempty"` // connections as of HTML pages, not of programs
	Warmup     time.Duration `json:"-"`
	Time       time.Duration `json:"-"`
}

// Check returns what is wrong with the scenario.
func (s Scenario) Check() error {
	switch {
	case s.Rooms < 1 || s.PerRoom < 1 || s.Instances < 1:
		return fmt.Errorf("rooms %d, connections %d and instances %d must be at least 1", s.Rooms, s.PerRoom, s.Instances)
	case s.Publishers < 0 || s.Publishers > s.PerRoom:
		return fmt.Errorf("%d publishers in a room of %d connections", s.Publishers, s.PerRoom)
	case s.Rate < 0 || s.UnderWay < 0 || s.UnderWay > 60:
		return fmt.Errorf("a rate of %v or %d messages under way: they are positive, and a server lets 64 be under way", s.Rate, s.UnderWay)
	case s.Publishers > 0 && s.Rate == 0 && s.UnderWay == 0:
		return fmt.Errorf("publishers need a rate or a number of messages under way")
	case s.Body < minBody || s.Body > 8000:
		return fmt.Errorf("a body of %d bytes: it has %d to 8000", s.Body, minBody)
	case s.Time <= 0 || s.Warmup < 0:
		return fmt.Errorf("a time of %s after a warm-up of %s", s.Time, s.Warmup)
	}
	return nil
}

// Set is what `make bench` runs; the same set is in docs/performance.md.
func Set(warmup, duration time.Duration) []Scenario {
	set := []Scenario{
		{Name: "durable", Rooms: 100, PerRoom: 5, Publishers: 5, UnderWay: 4},
		{Name: "open loop", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 500},
		{Name: "closed loop", Rooms: 20, PerRoom: 5, Publishers: 1, UnderWay: 1},
		{Name: "fan-out", Rooms: 1, PerRoom: 1000, Publishers: 10, UnderWay: 4},
		{Name: "idle", Rooms: 50, PerRoom: 100},
	}
	for i := range set {
		set[i].Body, set[i].Instances, set[i].Warmup, set[i].Time = 64, 1, warmup, duration
	}
	return set
}

// Result is what a run measured. Latencies are from sending to delivery, in milliseconds.
type Result struct {
	Scenario
	Seconds      float64 `json:"seconds"`
	Acknowledged float64 `json:"acknowledged_per_second"`
	Delivered    float64 `json:"delivered_per_second"`
	P50          float64 `json:"p50_ms"`
	P90          float64 `json:"p90_ms"`
	P99          float64 `json:"p99_ms"`
	Max          float64 `json:"max_ms"`
	Lost         int64   `json:"lost"`
	Doubled      int64   `json:"doubled"`
	Refused      int64   `json:"refused"`
	CPUMessage   float64 `json:"server_cpu_us_per_message"`
	CPUDelivery  float64 `json:"server_cpu_us_per_delivery"`
	CPUShare     float64 `json:"server_cpu_percent"`
	Memory       float64 `json:"server_kb_per_connection"`
}
