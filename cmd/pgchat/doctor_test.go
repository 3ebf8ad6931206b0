package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/doctor"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestDoctorsStatusSaysWhetherSomethingIsWrong(t *testing.T) {
	_, url := pgtest.Cluster(t)
	t.Setenv("DATABASE_URL", url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	looks := func(want int, texts ...string) (out string) {
		t.Helper()
		for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}} {
			status, printed, errOut := pgchat(t, "", args...)
			if status != want || errOut != "" {
				t.Errorf("%v: status %d, want %d: %s%s", args, status, want, printed, errOut)
			}
			for _, text := range texts {
				if !strings.Contains(printed, text) {
					t.Errorf("%v: %q is not in\n%s", args, text, printed)
				}
			}
			out = printed
		}
		var report doctor.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil || report.Status() != want || len(report.Checks) < 10 || report.Database != "postgres" {
			t.Errorf("%+v, error %v", report, err)
		}
		return out
	}
	looks(0, "integrity", "settings")
	if _, err := conn.Exec(t.Context(), `alter table chat.messages disable trigger messages_after_update`); err != nil {
		t.Fatal(err)
	}
	looks(1, "trigger messages_after_update of chat.messages is disabled", "alter table chat.messages enable trigger messages_after_update;")
	if _, out, _ := pgchat(t, "", "doctor", "--quick"); strings.Contains(out, "\x1b") || !strings.Contains(out, "error    schema: trigger") ||
		!strings.Contains(out, "skipped  integrity") || !strings.Contains(out, "Errors: 1, warnings: 0, checks that could not be made: 0.") {
		t.Error(out)
	}
	t.Setenv("DATABASE_URL", pgtest.As(t, url, ""))
	looks(2, "permission denied")

	t.Setenv("DATABASE_URL", "postgres://u:p@127.0.0.1:1/x")
	if status, out, errOut := pgchat(t, "", "doctor"); status != 2 || out != "" || !strings.HasPrefix(errOut, "pgchat: no PostgreSQL answers at 127.0.0.1:1") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("status %d: %s%s", status, out, errOut)
	}
	if status, _, errOut := pgchat(t, "", "doctor", "--timeout", "0s"); status != 2 || !strings.Contains(errOut, "more than 0") {
		t.Errorf("status %d: %s", status, errOut)
	}
}
