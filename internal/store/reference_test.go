package store_test

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// sqlDoc is the DBA's manual. What stands behind referenceBegins is made of the catalogue.
const (
	sqlDoc          = "../../docs/sql.md"
	referenceBegins = "<!-- From here on made of the database's catalogue: make generate -->\n"
)

// TestTheReferenceIsThatOfTheCatalogue fails where the reference in docs/sql.md is not what the catalogue says; make generate writes it.
func TestTheReferenceIsThatOfTheCatalogue(t *testing.T) {
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	byHand, written, ok := strings.Cut(string(text), referenceBegins)
	if !ok {
		t.Fatalf("%s has no line %q", sqlDoc, referenceBegins)
	}
	made := reference(t, pgtest.Pool(t))
	if *update {
		if err := os.WriteFile(sqlDoc, []byte(byHand+referenceBegins+made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if written == made {
		return
	}
	is, should := strings.Split(written, "\n"), strings.Split(made, "\n")
	for i := range min(len(is), len(should)) {
		if is[i] != should[i] {
			t.Fatalf("%s is not up to date, make generate writes it. Line %d of the reference is\n%s\nand should be\n%s", sqlDoc, i+1, is[i], should[i])
		}
	}
	t.Fatalf("%s is not up to date, make generate writes it: its reference has %d lines, and should have %d", sqlDoc, len(is), len(should))
}

// chapters are the functions that people call, in the order in which they are told. One whose COMMENT shows a call and that is in none of
// them comes at their end.
var chapters = []struct {
	title     string
	functions []string
}{
	{"Messages", []string{"post", "post_batch", "edit", "delete", "undelete", "react", "pin", "move_messages"}},
	{"Rooms and members", []string{"create_room", "archive_room", "restore_room", "add_member", "remove_member"}},
	{"People", []string{"rename_user", "merge_users", "ban", "unban", "disconnect"}},
	{"Open pages and programs", []string{"announce", "withdraw", "group_send"}},
	{"To find and check", []string{"find_room", "find_user", "seq_since", "integrity_of", "extra_of"}},
	{"To operate", []string{"retain", "grant_rights", "begin_history"}},
	{"More", nil},
}

type function struct {
	Name, Arguments, Result, Comment string
	Roles                            []string // that may execute it
	Shown, Trigger                   bool     // its COMMENT shows a call; it is a trigger's
}

// described is a column, constraint or trigger, with its type where it has one.
type described struct{ Name, Type, Comment string }

// reference is the part of docs/sql.md that is made of the catalogue, as Markdown.
func reference(t *testing.T, db querier) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n## Functions\n\nArguments may be given by name: `select chat.edit('general', 41, 'better', by => 'ada')`. What refuses says why, with SQLSTATE, DETAIL and HINT. " +
		"Behind each stands which [roles](security.md) may call it: the server (`chat_app`), moderators (`chat_moderator`), or all, `chat_readonly` among them. The owner of the schema may call every one.\n")
	functions := collect[function](t, db, `
		SELECT p.proname::text AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result, obj_description(p.oid, 'pg_proc') AS comment,
		       ARRAY(SELECT replace(r.role, 'chat_', '') FROM chat.rights r WHERE r.kind = 'ROUTINE'
		             AND r.object = format('chat.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) ORDER BY r.role) AS roles,
		       obj_description(p.oid, 'pg_proc') ~ ('(select|from) chat\.' || p.proname || '\(') AS shown, p.prorettype = 'trigger'::regtype AS trigger
		FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
		ORDER BY p.proname, pg_get_function_identity_arguments(p.oid)`)
	told := map[string]bool{}
	for _, c := range chapters {
		first := true
		of := func(name string) {
			for _, f := range functions {
				if f.Name == name && !told[f.Name+f.Arguments] && (f.Shown || !slices.ContainsFunc(functions, func(g function) bool { return g.Name == name && g.Shown })) {
					if first {
						fmt.Fprintf(&b, "\n### %s\n\n", c.title)
						first = false
					}
					told[f.Name+f.Arguments] = true
					fmt.Fprintf(&b, "- **`%s`** → %s. %s *%s*\n", signature(f), result(f.Result), prose(f.Comment), who(f.Roles))
				}
			}
		}
		for _, name := range c.functions {
			of(name)
		}
		if c.functions == nil {
			for _, f := range functions {
				if f.Shown {
					of(f.Name)
				}
			}
		}
	}

	kinds := []struct{ title, kind, words string }{
		{"Views", "v", "All roles may read them."},
		{"Tables", "r", "Behind a type stands its default. `chat_readonly` and `chat_moderator` read all columns but those that are called secret; the server inserts, changes and deletes rows, but deletes no user, room or message."},
	}
	for _, k := range kinds {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", k.title, k.words)
		for _, r := range collect[described](t, db, `SELECT c.relname::text AS name, '' AS type, obj_description(c.oid, 'pg_class') AS comment
			FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = '`+k.kind+`' ORDER BY c.relname`) {
			fmt.Fprintf(&b, "\n### chat.%s\n\n%s\n\n| column | type | |\n|---|---|---|\n", r.Name, prose(r.Comment))
			for _, c := range collect[described](t, db, `SELECT a.attname::text AS name, replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
					|| CASE WHEN c.relkind = 'r' AND NOT a.attnotnull THEN ' or NULL' ELSE '' END
					|| CASE WHEN a.attidentity <> '' THEN ', identity' ELSE coalesce(' = ' || pg_get_expr(d.adbin, d.adrelid), '') END
					|| CASE WHEN NOT has_column_privilege('chat_readonly', c.oid, a.attnum, 'SELECT') THEN ', secret' ELSE '' END AS type,
					col_description(c.oid, a.attnum) AS comment
				FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
				WHERE c.oid = to_regclass(format('chat.%I', $1::text)) ORDER BY a.attnum`, r.Name) {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, cell(c.Type), strings.ReplaceAll(prose(c.Comment), "|", `\|`))
			}
			writeList(t, db, &b, "Constraints", `SELECT conname::text AS name, '' AS type, obj_description(oid, 'pg_constraint') AS comment FROM pg_constraint
				WHERE conrelid = to_regclass(format('chat.%I', $1::text)) AND contype IN ('p', 'u', 'f', 'c', 'x') ORDER BY array_position('{p,u,f,c,x}', contype::text), conname`, r.Name)
			writeList(t, db, &b, "Triggers", `SELECT tgname::text AS name, '' AS type, obj_description(oid, 'pg_trigger') AS comment FROM pg_trigger
				WHERE tgrelid = to_regclass(format('chat.%I', $1::text)) AND NOT tgisinternal AND tgfoid <> 'chat.audit'::regproc ORDER BY tgname`, r.Name)
		}
	}

	b.WriteString("\n## What is not called by hand\n\nParts of the functions above, of triggers, and of the server's queries; they may be otherwise in the next version.\n\n")
	for _, f := range functions {
		if !slices.ContainsFunc(functions, func(g function) bool { return g.Name == f.Name && told[g.Name+g.Arguments] }) && !f.Trigger {
			told[f.Name+f.Arguments] = true // of several with one name the first
			sentence, _, _ := strings.Cut(f.Comment, ". ")
			fmt.Fprintf(&b, "- `%s`: %s.\n", f.Name, strings.TrimRight(prose(sentence), "."))
		}
	}
	b.WriteString("\nFunctions of triggers: ")
	var triggers []string
	for _, f := range functions {
		if f.Trigger {
			triggers = append(triggers, "`"+f.Name+"`")
		}
	}
	b.WriteString(strings.Join(triggers, ", ") + ".\n")
	return b.String()
}

func collect[T any](t *testing.T, db querier, sql string, args ...any) []T {
	t.Helper()
	rows, err := db.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// writeList writes what a table has, in one line.
func writeList(t *testing.T, db querier, b *strings.Builder, title, sql, table string) {
	t.Helper()
	var parts []string
	for _, d := range collect[described](t, db, sql, table) {
		parts = append(parts, fmt.Sprintf("`%s` (%s)", d.Name, strings.TrimSuffix(prose(d.Comment), ".")))
	}
	if parts != nil {
		fmt.Fprintf(b, "\n%s: %s.\n", title, strings.Join(parts, "; "))
	}
}

// signature is a function as it is called, without what says the same twice.
func signature(f function) string {
	s := fmt.Sprintf("chat.%s(%s)", f.Name, f.Arguments)
	s = regexp.MustCompile(` DEFAULT (NULL|'[^']*'|\w+)(::[a-z ]+(\[\])?)?`).ReplaceAllString(s, " = $1")
	return strings.ReplaceAll(s, "timestamp with time zone", "timestamptz")
}

func result(r string) string {
	return strings.ReplaceAll(cmp.Or(r, "void"), "timestamp with time zone", "timestamptz")
}

// who are the roles that may call a function, in words.
func who(roles []string) string {
	switch strings.Join(roles, " ") {
	case "":
		return "The owner."
	case "app":
		return "The server."
	case "moderator":
		return "Moderators."
	case "app moderator":
		return "The server and moderators."
	case "app moderator readonly":
		return "All roles."
	}
	return strings.Join(roles, ", ") + "."
}

var inCode = regexp.MustCompile(`select (?:\* from )?chat\.\w+\((?:[^()]|\([^()]*\))*\)(?: from chat\.\w+)?` + // a call
	`|(?:select|update|delete from|insert into|set local) [^.;]*?chat\.\w+(?:[^;…']|'[^']*')*?(?:;|…|$)` + // a statement
	`|chat\.\w+(?:\.\w+)*(?:\([^()]*\))?|\bSET LOCAL chat\.actor = '\w+'`)

// prose is a COMMENT as Markdown: what is SQL in it as code, and nothing taken for a mark.
func prose(comment string) string {
	var b strings.Builder
	escape := strings.NewReplacer("*", `\*`, "<", "&lt;", "`", "\\`").Replace
	for last, at := 0, inCode.FindAllStringIndex(comment, -1); ; at = at[1:] {
		if len(at) == 0 {
			b.WriteString(escape(comment[last:]))
			return b.String()
		}
		b.WriteString(escape(comment[last:at[0][0]]) + "`" + comment[at[0][0]:at[0][1]] + "`")
		last = at[0][1]
	}
}

// cell is a type with its default, without the casts that PostgreSQL writes into it.
func cell(s string) string {
	s = regexp.MustCompile(`::(text|timestamp with time zone|interval|jsonb)\b`).ReplaceAllString(s, "")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, `"left"`, "left").Replace(s)
}
