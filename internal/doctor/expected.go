package doctor

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgchat/pgchat/db/migrations"
)

// object is something that the migrations make.
type object struct {
	kind      string // "TABLE", "VIEW", "INDEX", "CONSTRAINT", "TRIGGER" or "FUNCTION"
	name      string // as in SQL
	table     string // of a constraint or trigger
	comment   string
	statement string // that makes it alone; "": it is made with its table, or by more than one statement
	migration string // the file's name
}

var (
	// Whatever is made has a comment, and a test of the schema fails where it has none.
	commented = regexp.MustCompile(`(?s)COMMENT ON (TABLE|VIEW|INDEX|CONSTRAINT|TRIGGER|FUNCTION) ([^;']+?)(?: ON (chat\.\w+))? IS '((?:[^']|'')*)';`)
	dropped   = regexp.MustCompile(`DROP (TABLE|VIEW|INDEX|CONSTRAINT|TRIGGER|FUNCTION)(?: CONCURRENTLY)?(?: IF EXISTS)? ((?:[\w.]+(?:\([^)]*\))?(?:, *)?)+)`)
	listing   = regexp.MustCompile(`[\w.]+(?:\([^)]*\))?`)
	creating  = regexp.MustCompile(`(?s)CREATE (?:UNIQUE )?(?:INDEX(?: CONCURRENTLY)?|TRIGGER) (\w+)\b[^;]*;`)
)

// expected is what a database whose schema is up to date has, and the numbers of its migrations.
func expected() (objects []object, versions []int64, err error) {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return nil, nil, fmt.Errorf("read the migrations: %w", err)
	}
	slices.Sort(files)
	statements := map[string]string{}
	objects = apply(nil, migrations.Prepare, "prepare/version_table.sql")
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		if err != nil {
			return nil, nil, fmt.Errorf("read the migrations: %w", err)
		}
		number, _, _ := strings.Cut(file, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("read the migrations: %s has no number: %w", file, err)
		}
		versions = append(versions, version)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, m := range creating.FindAllStringSubmatch(up, -1) {
			statements[m[1]] = strings.Join(strings.Fields(m[0]), " ")
		}
		objects = apply(objects, up, file)
	}
	for i, o := range objects {
		objects[i].statement = statements[strings.TrimPrefix(o.name, "chat.")]
	}
	return objects, versions, nil
}

// apply adds what a migration makes, and removes what it drops, in its order.
func apply(objects []object, up, file string) []object {
	at := 0
	for at < len(up) {
		made, gone := commented.FindStringSubmatchIndex(up[at:]), dropped.FindStringSubmatchIndex(up[at:])
		if made == nil && gone == nil {
			break
		}
		if gone != nil && (made == nil || gone[0] < made[0]) {
			kind := up[at+gone[2] : at+gone[3]]
			for _, name := range listing.FindAllString(up[at+gone[4]:at+gone[5]], -1) {
				objects = slices.DeleteFunc(objects, func(o object) bool {
					// An index goes with its constraint.
					return o.same(kind, name) || kind == "CONSTRAINT" && o.same("INDEX", "chat."+name)
				})
			}
			at += gone[1]
			continue
		}
		part := func(n int) string {
			if made[2*n] < 0 {
				return ""
			}
			return up[at+made[2*n] : at+made[2*n+1]]
		}
		o := object{kind: part(1), name: part(2), table: part(3), comment: strings.ReplaceAll(part(4), "''", "'"), migration: file}
		objects = append(slices.DeleteFunc(objects, func(old object) bool { return old.same(o.kind, o.name) && old.table == o.table }), o)
		at += made[1]
	}
	return objects
}

// same compares names; those of functions without regard to spaces between the types of their arguments.
func (o object) same(kind, name string) bool {
	return o.kind == kind && strings.ReplaceAll(o.name, " ", "") == strings.ReplaceAll(name, " ", "")
}
