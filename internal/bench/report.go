package bench

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what a call of the bench measured.
type Report struct {
	Machine    string     `json:"machine"`
	Time       time.Time  `json:"time"`
	Yardsticks Yardsticks `json:"yardsticks"`
	Results    []Result   `json:"results"`
}

// Machine describes this one: cores, processor, system.
func Machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}

// Median runs a scenario several times and returns the run of median throughput, or of median latency where the
// throughput is given, with the losses of all.
func (b *Bench) Median(ctx context.Context, s Scenario, runs int) (Result, error) {
	results := make([]Result, 0, runs)
	var lost, doubled, refused int64
	for range max(runs, 1) {
		r, err := b.Run(ctx, s)
		if err != nil {
			return Result{}, err
		}
		b.Say("  %.0f acknowledged/s, %.0f delivered/s, p50 %.2f ms, p99 %.2f ms, %.2f µs of CPU a delivery, %.1f KB a connection",
			r.Acknowledged, r.Delivered, r.P50, r.P99, r.CPUDelivery, r.Memory)
		lost, doubled, refused = lost+r.Lost, doubled+r.Doubled, refused+r.Refused
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b Result) int {
		if s.Rate > 0 {
			return compare(a.P50, b.P50)
		}
		return compare(a.Acknowledged, b.Acknowledged)
	})
	median := results[len(results)/2]
	median.Lost, median.Doubled, median.Refused = lost, doubled, refused
	return median, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// SVG draws delivered messages a second and the latencies.
func (r Report) SVG() []byte {
	const rowHeight, left, width = 54, 120, 760
	most := 1.0
	for _, result := range r.Results {
		most = max(most, result.Delivered)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`, width, 40+rowHeight*len(r.Results))
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="16" y="24" fill="#445">%s</text>`, html.EscapeString(r.Machine))
	for i, result := range r.Results {
		y := 40 + i*rowHeight
		fmt.Fprintf(&out, `<text x="16" y="%d" font-weight="600">%s</text>`, y+22, html.EscapeString(result.Name))
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.0f" height="16" rx="4" fill="#2f6792"/>`, left, y+8, max(2, result.Delivered/most*(width-left-40)))
		fmt.Fprintf(&out, `<text x="%d" y="%d" fill="#445">%.0f delivered/s · %.0f acknowledged/s · p50 %.2f ms · p99 %.2f ms · %.1f KB/connection</text>`,
			left, y+40, result.Delivered, result.Acknowledged, result.P50, result.P99, result.Memory)
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}
