// Package bench puts load on a chat and measures what it carries: for people who size a machine, and for those who make it
// faster. It has users and rooms of its own, which it removes afterwards.
//
// A run starts servers of its own on the database, connects, and publishes: in a closed loop each publisher keeps so
// many messages under way, in an open loop messages are sent at a rate, whatever comes back; latencies then count from
// when a message should have been sent. Every connection checks that it gets every message of its room once, in order.
package bench

import (
	"cmp"
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
	Stalled    int           `json:"stalled_per_room,omitempty"` // of the connections; they join and then read nothing
	History    int           `json:"history,omitempty"`          // messages that the rooms have before, in all
	Pages      bool          `json:"pages,omitempty"`            // connections as of HTML pages, not of programs
	Words      bool          `json:"words,omitempty"`            // bodies of words, as the search has to do with
	NoIndex    bool          `json:"no_index,omitempty"`         // nothing is indexed for the search meanwhile
	Warmup     time.Duration `json:"-"`
	Time       time.Duration `json:"-"`
}

// Check returns what is wrong with the scenario.
func (s Scenario) Check() error {
	switch {
	case s.Rooms < 1 || s.PerRoom < 1 || s.Instances < 1:
		return fmt.Errorf("rooms %d, connections %d and instances %d must be at least 1", s.Rooms, s.PerRoom, s.Instances)
	case s.Publishers < 0 || s.Stalled < 0 || s.Publishers+s.Stalled > s.PerRoom:
		return fmt.Errorf("%d publishers and %d stalled in a room of %d connections", s.Publishers, s.Stalled, s.PerRoom)
	case s.History < 0:
		return fmt.Errorf("a history of %d messages", s.History)
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

// Sets are what `make bench` runs, by name; docs/performance.md has their results.
var Sets = map[string]func() []Scenario{"speed": speed, "slow-reader": slowReader, "idle": idle, "growth": growth, "search": search}

func with(base Scenario, set ...Scenario) []Scenario {
	for i := range set {
		s := &set[i]
		s.Body, s.Instances = cmp.Or(s.Body, base.Body), cmp.Or(s.Instances, base.Instances)
		s.Warmup, s.Time = cmp.Or(s.Warmup, base.Warmup), cmp.Or(s.Time, base.Time)
	}
	return set
}

var short = Scenario{Body: 64, Instances: 1, Warmup: 2 * time.Second, Time: 10 * time.Second}

func speed() []Scenario {
	return with(short,
		Scenario{Name: "durable", Rooms: 100, PerRoom: 5, Publishers: 5, UnderWay: 4},
		Scenario{Name: "open loop", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 500},
		Scenario{Name: "closed loop", Rooms: 20, PerRoom: 5, Publishers: 1, UnderWay: 1},
		Scenario{Name: "fan-out", Rooms: 1, PerRoom: 1000, Publishers: 10, UnderWay: 4},
	)
}

// slowReader is a room with and without one who reads nothing, long enough for its socket's buffers to fill.
func slowReader() []Scenario {
	room := Scenario{Rooms: 1, PerRoom: 500, Publishers: 10, Rate: 100, Body: 4000, Instances: 1, Warmup: 15 * time.Second, Time: 15 * time.Second}
	return with(room,
		Scenario{Name: "all read", Rooms: 1, PerRoom: 500, Publishers: 10, Rate: 100},
		Scenario{Name: "one stalled", Rooms: 1, PerRoom: 500, Publishers: 10, Rate: 100, Stalled: 1},
	)
}

// idle is measured late: the handshakes' garbage is given back when no more connections come, and autovacuum, which looks each
// minute, is done with what making the users and rooms left to it.
func idle() []Scenario {
	return with(short,
		Scenario{Name: "memory", Rooms: 50, PerRoom: 100, Warmup: 3 * time.Minute},
		Scenario{Name: "quiet", Rooms: 10, PerRoom: 10, Warmup: 4 * time.Minute, Time: 10 * time.Minute},
	)
}

// search is what indexing costs those who post.
func search() []Scenario {
	return with(Scenario{Body: 84, Instances: 1, Warmup: 4 * time.Second, Time: 15 * time.Second},
		Scenario{Name: "durable", Rooms: 100, PerRoom: 5, Publishers: 5, UnderWay: 4, Words: true, NoIndex: true},
		Scenario{Name: "durable, indexed", Rooms: 100, PerRoom: 5, Publishers: 5, UnderWay: 4, Words: true},
		Scenario{Name: "open loop", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 500, Words: true, NoIndex: true},
		Scenario{Name: "open loop, indexed", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 500, Words: true},
	)
}

func growth() []Scenario {
	return with(short,
		Scenario{Name: "1 instance", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 200, Instances: 1},
		Scenario{Name: "2 instances", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 200, Instances: 2},
		Scenario{Name: "4 instances", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 200, Instances: 4},
		Scenario{Name: "10 rooms", Rooms: 10, PerRoom: 1, Publishers: 1, Rate: 200},
		Scenario{Name: "10,000 rooms", Rooms: 10_000, PerRoom: 1, Publishers: 1, Rate: 200, Warmup: 10 * time.Second},
		Scenario{Name: "10 thousand messages", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 200, History: 10_000},
		Scenario{Name: "50 million messages", Rooms: 50, PerRoom: 10, Publishers: 10, Rate: 200, History: 50_000_000},
	)
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
	WAL          float64 `json:"wal_kb"` // while it was measured
	// Of the query for 50 messages: from anywhere in a room's history, and its newest, which opening the room reads.
	PageP50       float64 `json:"page_p50_ms,omitempty"`
	NewestPageP50 float64 `json:"newest_page_p50_ms,omitempty"`
}
