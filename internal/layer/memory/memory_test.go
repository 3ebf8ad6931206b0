package memory_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/layer/layertest"
	"github.com/pgchat/pgchat/internal/layer/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLayer(t *testing.T) {
	layertest.Run(t, func(t *testing.T, n int) []layer.Layer {
		l := memory.New()
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Stop(context.Background()) })
		return slices.Repeat([]layer.Layer{l}, n)
	})
}

func TestSendingOnAStoppedLayerIsAnError(t *testing.T) {
	if err := memory.New().GroupSend(t.Context(), "g", "x"); !errors.Is(err, layer.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
}

// BenchmarkLayer is measured by
//
//	go test -run '^$' -bench . -benchtime 3s -count 5 ./internal/layer/...
func BenchmarkLayer(b *testing.B) {
	layertest.Bench(b, func(b *testing.B, n int) []layer.Layer {
		b.Helper()
		l := memory.New()
		if err := l.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = l.Stop(context.Background()) })
		return slices.Repeat([]layer.Layer{l}, n)
	})
}
