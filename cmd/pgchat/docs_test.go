package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// block is code that stands in a Markdown text. What is indented, a line of it or a few, stands by itself; what is fenced has a
// language, is a part of what its document tells, and is run by a test of that one's own.
type block struct{ language, text string }

func blocks(text string) (found []block) {
	for _, m := range regexp.MustCompile("(?m)^```(\\w*)\n([\\s\\S]*?)^```$|\n((?:    .*\n)(?:(?:    .*)?\n)*)").FindAllStringSubmatch(text, -1) {
		indented := strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(m[3], ""))
		found = append(found, block{m[1], cmp.Or(m[2], indented)})
	}
	return found
}

// documented are the blocks of a document.
func documented(t *testing.T, doc string) []block {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return blocks(string(text))
}

// prepared is a block as a command that runs it, with DATABASE_URL in its environment. Go and Python may be given arguments.
func (b block) prepared(t *testing.T, url string) func(args ...string) *osexec.Cmd {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main."+b.language)
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	var argv []string
	switch b.language {
	case "sql", "":
		argv = []string{"psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file, url}
	case "go":
		argv = []string{filepath.Join(dir, "program")}
		if out, err := osexec.Command("go", "build", "-o", argv[0], file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	case "python":
		argv = []string{python(t), file}
	default:
		t.Fatalf("nothing runs blocks of %q", b.language)
	}
	return func(args ...string) *osexec.Cmd {
		cmd := osexec.Command(argv[0], slices.Concat(argv[1:], args)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
		return cmd
	}
}

// python is one that has psycopg: the one of PATH, or Debian's.
func python(t *testing.T) string {
	t.Helper()
	said := ""
	for _, path := range []string{"python3", "/usr/bin/python3"} {
		out, err := osexec.Command(path, "-c", "import psycopg").CombinedOutput()
		if err == nil {
			return path
		}
		said += fmt.Sprintf("%s: %v %s\n", path, err, out)
	}
	t.Fatalf("no Python has psycopg: make deps\n%s", said)
	return ""
}

var comment = regexp.MustCompile(`\s+#.*`)

// TestTheDocumentsCommandsAndSQLWork runs what README and docs/ tell people to type: commands are parsed, make targets
// looked up, SQL is run by psql on a database with people in it.
func TestTheDocumentsCommandsAndSQLWork(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	told := []string{"../../docs/embedding.md", "../../docs/listening.md"} // by embedding_test.go and listening_test.go
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.URL(t)
	t.Setenv("DATABASE_URL", url)
	for _, name := range []string{"ada", "bob", "eve"} {
		if status, _, errOut := pgchat(t, "correct horse battery\n", "user", "create", name); status != 0 {
			t.Fatal(errOut)
		}
	}
	commandLines, statements := 0, 0
	for _, doc := range append(docs, "../../README.md") {
		for _, block := range documented(t, doc) {
			if block.language != "" {
				if !slices.Contains(told, doc) {
					t.Errorf("%s: no test runs its fenced blocks:\n%s", doc, block.text)
				}
				continue
			}
			if regexp.MustCompile(`(?im)^(select|insert|update|delete|listen|with|\\d)`).MatchString(block.text) {
				statements++
				if out, err := block.prepared(t, url)().CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", doc, err, block.text, out)
				}
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(block.text, "\\\n", "")) {
				words := strings.Fields(comment.ReplaceAllString(line, ""))
				switch {
				case len(words) > 1 && words[0] == "make":
					commandLines++
					if !regexp.MustCompile(`(?m)^` + words[1] + `:`).Match(makefile) {
						t.Errorf("%s: there is no target for %q", doc, line)
					}
				case len(words) > 0 && strings.HasSuffix(words[0], "bin/pgchat"):
					commandLines++
					var cli commands
					parser, err := kong.New(&cli, kong.Name("pgchat"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := parser.Parse(words[1:]); err != nil {
						t.Errorf("%s: %s: %v", doc, line, err)
					}
				}
			}
		}
	}
	if commandLines < 5 || statements < 1 {
		t.Errorf("found %d command lines and %d blocks of SQL: are they read?", commandLines, statements)
	}
}
