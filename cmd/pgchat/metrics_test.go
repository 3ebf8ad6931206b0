package main_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestOperationsNamesEveryMetric(t *testing.T) {
	i := serve(t, build(t), pgtest.URL(t), "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	// A label's first value makes its metric appear.
	m := newMember(t, i.address, "ada", 1, 1)
	if err := m.work(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(i.metrics(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	served := names(`(?m)^# TYPE (pgchat_\w+)`, string(body))
	// No connection was closed by the server yet, so that this one has no value.
	served = append(served, "pgchat_connections_closed_by_server_total")
	documented := names("`(pgchat_\\w+)`", string(doc))
	for _, name := range served {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/operations.md does not name %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(served, name) {
			t.Errorf("docs/operations.md names %s, which is not served", name)
		}
	}
	for _, want := range []string{"pgchat_writer_batch_messages_count 1\n", "pgchat_listener_listening 1\n", `pgchat_connections_opened_total{dialect="page"} 1` + "\n"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

func names(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}
