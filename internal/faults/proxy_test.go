package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is a toxiproxy between two processes.
type link struct {
	proxy *toxiproxy.Proxy
}

var toxics = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())

// newLink stands before the address.
func newLink(t *testing.T, name, to string) *link {
	t.Helper()
	var l *link
	var err error
	for range 10 { // somebody else may be quicker
		l = &link{proxy: toxiproxy.NewProxy(toxics, name, fmt.Sprint("127.0.0.1:", freePort(t)), to)}
		if err = l.proxy.Start(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// address is where to connect.
func (l *link) address() string { return l.proxy.Listen }

// port is that of address.
func (l *link) port() string { return l.proxy.Listen[strings.LastIndexByte(l.proxy.Listen, ':')+1:] }

// poison adds a toxic in both directions: what it does to what passes.
func (l *link) poison(kind, attributes string) error {
	for _, stream := range []string{"upstream", "downstream"} {
		_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"name":%q,"type":%q,"stream":%q,"attributes":%s}`, kind+" "+stream, kind, stream, attributes)))
		if err != nil {
			return fmt.Errorf("add toxic %s: %w", kind, err)
		}
	}
	return nil
}

// heal removes a kind of toxic.
func (l *link) heal(ctx context.Context, kind string) {
	for _, stream := range []string{"upstream", "downstream"} {
		_ = l.proxy.Toxics.RemoveToxic(ctx, kind+" "+stream)
	}
}

// cut closes all connections; new ones are refused until join.
func (l *link) cut() { l.proxy.Stop() }

// join accepts connections again.
func (l *link) join() error { return l.proxy.Start() }
