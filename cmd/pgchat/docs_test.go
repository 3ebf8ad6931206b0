package main

import (
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// blocks are the indented blocks of a Markdown text.
func blocks(text string) (found []string) {
	for _, paragraph := range regexp.MustCompile(`\n(?:    .*\n)(?:(?:    .*)?\n)*`).FindAllString(text, -1) {
		found = append(found, strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(paragraph, "")))
	}
	return found
}

var comment = regexp.MustCompile(`\s+#.*`)

// TestTheDocumentsCommandsAndSQLWork runs what README and docs/ tell people to type: commands are parsed, make targets
// looked up, SQL is run by psql on a database with people in it.
func TestTheDocumentsCommandsAndSQLWork(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
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
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks(string(text)) {
			if regexp.MustCompile(`(?im)^(select|insert|update|delete|listen|with|\\d)`).MatchString(block) {
				statements++
				cmd := osexec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url)
				cmd.Stdin = strings.NewReader(block)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", doc, err, block, out)
				}
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
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
