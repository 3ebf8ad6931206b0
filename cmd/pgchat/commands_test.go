package main

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// pgchat runs a command line and returns its exit status and what it printed.
func pgchat(t *testing.T, in string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(context.Background(), args, strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

func TestAWrongCommandLineSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"no command":            {nil, nil, "serve"},
		"unknown command":       {[]string{"sreve"}, nil, "sreve"},
		"unknown flag":          {[]string{"serve", "--port", "1"}, nil, "--port"},
		"address":               {[]string{"serve", "--listen", "8080"}, nil, "HOST:PORT"},
		"address in the enviro": {[]string{"serve"}, map[string]string{"PGCHAT_LISTEN": "nowhere"}, `"nowhere"`},
		"lease":                 {[]string{"serve", "--lease", "10s"}, nil, "at least twice"},
		"duration":              {[]string{"serve", "--drain", "soon"}, nil, "soon"},
		"negative duration":     {[]string{"serve", "--drain=-1s"}, nil, "negative"},
		"signup":                {[]string{"serve", "--signup", "maybe"}, nil, "open"},
		"log level":             {[]string{"serve", "--log-level", "loud"}, nil, "debug"},
		"listen URL alone":      {[]string{"serve"}, map[string]string{"LISTEN_DATABASE_URL": "postgres://x/y"}, "DATABASE_URL is not"},
		"no name":               {[]string{"user", "create"}, nil, "<name>"},
		"two beginnings":        {[]string{"tail", "--last", "3", "--since", "1h"}, nil, "give one"},
		"a cursor of no room":   {[]string{"tail", "--after", "1.0"}, nil, "write ROOM=1.0"},
		"no cursor":             {[]string{"tail", "general", "--after", "general=x"}, nil, "general=17.3,ops=4.0"},
		"no time":               {[]string{"tail", "--since", "yesterday"}, nil, "2026-03-01"},
		"too often":             {[]string{"top", "--every", "1ms"}, nil, "at least 100ms"},
		"all and some rooms":    {[]string{"tail", "--all", "general"}, nil, "name none"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			if status, out, errOut := pgchat(t, "", c.args...); status != 2 || !strings.Contains(out+errOut, c.want) {
				t.Errorf("status %d, want 2, and %q in:\n%s%s", status, c.want, out, errOut)
			}
		})
	}
}

func TestHelpShowsEveryFlagWithItsEnvironmentVariable(t *testing.T) {
	for _, command := range []string{"serve", "migrate up", "migrate down", "migrate status", "user create", "user set-password", "user promote", "token create", "token list", "token revoke", "doctor", "version"} {
		status, out, errOut := pgchat(t, "", append(strings.Fields(command), "--help")...)
		if status != 0 || errOut != "" {
			t.Errorf("%s: status %d, %s", command, status, errOut)
		}
		// Help is wrapped: a flag's text reaches to the next flag.
		for _, flag := range regexp.MustCompile(`(?m)^ +(-h, )?--`).Split(out, -1)[1:] {
			name, _, _ := strings.Cut(flag, " ")
			if strings.HasPrefix(name, "help") || strings.HasPrefix(name, "admin") || strings.HasPrefix(name, "expires") || strings.HasPrefix(name, "json") || strings.HasPrefix(name, "quick") || strings.HasPrefix(name, "timeout") { // of this one command line alone
				continue
			}
			if !regexp.MustCompile(`\(\$[A-Z_]+\)`).MatchString(flag) {
				t.Errorf("%s: --%s names no environment variable: %s", command, name, flag)
			}
		}
	}
}

func TestAccountsByCommandLine(t *testing.T) {
	t.Setenv("DATABASE_URL", pgtest.URL(t))
	for _, c := range []struct {
		in     string
		args   string
		status int
		want   string
	}{
		{"correct horse battery\n", "user create ada", 0, "ada has an account (admin)"}, // the first one
		{"correct horse battery\r\n", "user create bob", 0, "bob has an account (member)"},
		{"correct horse battery", "user create carl --admin", 0, "carl has an account (admin)"},
		{"correct horse battery\n", "user create ADA", 1, "taken"},
		{"correct horse battery\n", "user create a/b", 1, "letters, digits"},
		{"short\n", "user create dora", 1, "at least 10"},
		{"", "user create dora", 1, "standard input"},
		{"another long one\n", "user set-password Bob", 0, "signed out everywhere"},
		{"another long one\n", "user set-password nobody", 1, `no user "nobody"`},
		{"", "user promote bob", 0, "bob is an administrator"},
		{"", "user promote nobody", 1, `no user "nobody"`},
	} {
		status, out, errOut := pgchat(t, c.in, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out+errOut, c.want) || (status == 0) != (errOut == "") {
			t.Errorf("%s: status %d, want %d, and %q in:\n%s%s", c.args, status, c.status, c.want, out, errOut)
		}
	}
}

func TestTokensByCommandLine(t *testing.T) {
	t.Setenv("DATABASE_URL", pgtest.URL(t))
	for _, c := range []struct {
		in     string
		args   string
		status int
		want   string
	}{
		{"correct horse battery\n", "user create ada", 0, "ada"},
		{"", "token list", 0, "There are no tokens"},
		{"", "token create ada deploys", 0, "pgchat_"},
		{"", "token create ada deploys", 1, "Revoke that one"},
		{"", "token create nobody x", 1, `no user "nobody"`},
		{"", "token create ada trial --expires 720h", 0, "pgchat_"},
		{"", "token create ada late --expires=-1h", 1, "before it is made"},
		{"", "token list ada", 0, "trial"},
		{"", "token revoke ada trial", 0, "revoked"},
		{"", "token revoke ada trial", 1, "no token"},
	} {
		status, out, errOut := pgchat(t, c.in, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out+errOut, c.want) {
			t.Errorf("%s: status %d, want %d, and %q in:\n%s%s", c.args, status, c.status, c.want, out, errOut)
		}
		if strings.HasPrefix(c.args, "token create") && status == 0 && !regexp.MustCompile(`^pgchat_[\w-]{43}\n$`).MatchString(out) {
			t.Errorf("%s: standard output is %q, want the token alone", c.args, out)
		}
	}
}

func TestMigratingByCommandLine(t *testing.T) {
	t.Setenv("DATABASE_URL", pgtest.URL(t))
	for _, c := range []struct{ args, want string }{
		{"migrate up", "up to date"},
		{"migrate down", "Took back 0"},
		{"migrate status", "missing"},
		{"migrate up", "Applied 0"},
		{"migrate status", "applied"},
		{"version", "pgchat "},
	} {
		if status, out, errOut := pgchat(t, "", strings.Fields(c.args)...); status != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, want %q in:\n%s%s", c.args, status, c.want, out, errOut)
		}
		if c.want == "missing" {
			if status, _, errOut := pgchat(t, "", "serve", "--no-migrate", "--listen", "127.0.0.1:0"); status != 1 || !strings.Contains(errOut, "migrate up") {
				t.Errorf("serving on an old schema: status %d, %s", status, errOut)
			}
		}
	}
}

func TestServeSaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, c := range []struct{ args, want string }{
		{"serve --listen " + taken.Addr().String(), "address already in use"},
		{"serve --listen 127.0.0.1:0 --database-url postgres://127.0.0.1:1/x?connect_timeout=2", "no PostgreSQL answers at 127.0.0.1:1"},
	} {
		if status, out, errOut := pgchat(t, "", strings.Fields(c.args)...); status != 1 || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: status %d, want 1, and %q in:\n%s%s", c.args, status, c.want, out, errOut)
		}
	}
}

func TestEveryCommandSaysInOneLineWhatIsWrongWithTheDatabase(t *testing.T) {
	url := pgtest.URL(t)
	name := regexp.MustCompile(`dbname='([^']*)'`).FindStringSubmatch(url)[1]
	for _, db := range []struct{ url, want string }{
		{"postgres://u:p@127.0.0.1:1/x", "no PostgreSQL answers at 127.0.0.1:1: check the host and port in DATABASE_URL, and that the server runs (connection refused)"},
		{strings.Replace(url, name, "nowhere", 1), `there is no database "nowhere"`},
		{strings.Replace(url, "user=pgchat", "user=nobody-known", 1), `refuses user "nobody-known"`},
		{"nonsense", "DATABASE_URL cannot be read"},
	} {
		t.Setenv("DATABASE_URL", db.url)
		for _, args := range []string{"serve --listen 127.0.0.1:0", "migrate up", "migrate down", "migrate status", "user create ada", "user promote ada", "token list", "bench", "tail", "top"} {
			status, out, errOut := pgchat(t, "correct horse battery\n", strings.Fields(args)...)
			if status != 1 || out != "" || !strings.HasPrefix(errOut, "pgchat: ") || !strings.Contains(errOut, db.want) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("%s: status %d, want 1 and one line with %q:\n%s%s", args, status, db.want, out, errOut)
			}
		}
	}
	t.Setenv("DATABASE_URL", url)
	for listen, want := range map[string]string{
		"postgres://u:p@127.0.0.1:1/x": "no PostgreSQL answers at 127.0.0.1:1: check the host and port in LISTEN_DATABASE_URL",
		"nonsense":                     "LISTEN_DATABASE_URL cannot be read",
	} {
		t.Setenv("LISTEN_DATABASE_URL", listen)
		if status, _, errOut := pgchat(t, "", "serve", "--listen", "127.0.0.1:0"); status != 1 || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("status %d, want 1 and one line with %q:\n%s", status, want, errOut)
		}
	}
}

func TestTheCommandLineToGoOnIsOneThatAShellReads(t *testing.T) {
	c := tailCommand{Rooms: []string{"Ada's room"}}
	c.DataDir, c.JSON, c.Presence = "/my data", true, true
	got := c.resume(nil)
	if got != "" {
		t.Errorf("without rooms: %q", got)
	}
	c.After = `it's,odd=a=7.1.0f9a2c41,general=2.0`
	after, err := c.after()
	if err != nil || len(after) != 2 || after[`it's,odd=a`].String() != "7.1.0f9a2c41" {
		t.Fatalf("%v, error %v", after, err)
	}
	want := `pgchat tail 'Ada'\''s room' --data-dir '/my data' --json --presence --after 'general=2.0,it'\''s,odd=a=7.1.0f9a2c41'`
	if got := c.resume(after); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
