package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/page"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/server"
)

// Who goes to another page before this one has come is no error of the server's.
func TestARequestWhoseBrowserHasGoneIsNoErrorInTheLog(t *testing.T) {
	pool, pages := pgtest.Pool(t), new(page.Pages)
	var log bytes.Buffer
	h := server.New(server.Config{Sessions: chat.NewSessions(pool), Pages: pages, Log: slog.New(slog.NewTextHandler(&log, nil))}).Handler()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/sidebar", nil)
	req.Header.Set("HX-Request", "true")
	req.AddCookie(&http.Cookie{Name: "pgchat_session", Value: strings.Repeat("a", 43)})
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, req)
	if answer.Code != http.StatusInternalServerError || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("status %d, log:\n%s", answer.Code, &log)
	}
}

// A database that takes no more connections is answered as what it is, not as a fault of ours.
func TestAPageWithoutItsDatabaseSaysSo(t *testing.T) {
	s := start(t, true)
	cfg := s.pool.Config().ConnConfig
	admin := cfg.Copy()
	admin.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	name := pgx.Identifier{cfg.Database}.Sanitize()
	defer func() {
		if _, err := conn.Exec(t.Context(), `alter database `+name+` allow_connections true`); err != nil {
			t.Error(err)
		}
	}()
	for _, sql := range []string{
		`alter database ` + name + ` allow_connections false`,
		`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '` + cfg.Database + `'`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequest(http.MethodGet, s.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "pgchat_session", Value: strings.Repeat("a", 43)})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "The database cannot be reached. Try again in a moment.") {
		t.Errorf("%s, error %v:\n%s", resp.Status, err, text)
	}
}
