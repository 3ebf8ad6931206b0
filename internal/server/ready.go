package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// ErrDegraded is what a check's error wraps where the instance serves all the same, less well.
var ErrDegraded = errors.New("degraded")

// ready answers whether this instance should be given requests: 200, or 503 while it stops or a check fails. What is degraded is told
// and serves on.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	status, checks := http.StatusOK, map[string]string{}
	for name, check := range s.Checks {
		checks[name] = "ok"
		if err := check(ctx); err != nil {
			checks[name] = err.Error()
			if !errors.Is(err, ErrDegraded) {
				status = http.StatusServiceUnavailable
			}
		}
	}
	if s.draining.Load() {
		status, checks["server"] = http.StatusServiceUnavailable, "stopping"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": status == http.StatusOK, "checks": checks})
}
