package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// migrated compares the migrations that were applied with those that this pgchat has.
func migrated(ctx context.Context, v *visit) error {
	_, versions, err := expected()
	if err != nil {
		return err
	}
	var exists bool
	if err := v.one(ctx, `SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'chat' AND tablename = 'schema_version')`, &exists); err != nil {
		return err
	}
	if !exists {
		v.found(Error, "there is no schema chat", "Nobody has served with this database.", "pgchat migrate up")
		return nil
	}
	var applied []int64
	if err := v.one(ctx, `SELECT coalesce(array_agg(version_id), '{}') FROM chat.schema_version WHERE is_applied AND version_id > 0`, &applied); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(versions), func(n int64) bool { return slices.Contains(applied, n) })
	unknown := slices.DeleteFunc(applied, func(n int64) bool { return slices.Contains(versions, n) })
	if len(missing) > 0 {
		v.found(Error, fmt.Sprintf("migrations %s are not applied", numbers(missing)), "This pgchat does not serve with it.", "pgchat migrate up, as the schema's owner")
	}
	if len(unknown) > 0 {
		v.found(Error, fmt.Sprintf("migrations %s were applied, which this pgchat does not know", numbers(unknown)), "The schema is a newer pgchat's. This one does not serve with it.", "install that one")
	}
	v.schema = len(missing) == 0 && len(unknown) == 0
	return nil
}

func numbers(versions []int64) string {
	texts := make([]string, len(versions))
	for i, n := range versions {
		texts[i] = fmt.Sprintf("%05d", n)
	}
	return strings.Join(texts, ", ")
}

// known leaves a check out where the schema is not what this pgchat knows.
func (v *visit) known() bool {
	if !v.schema {
		v.result.Skipped = "the schema is not at this pgchat's version"
	}
	return v.schema
}

// rights compares what the roles have with what they should have.
func rights(ctx context.Context, v *visit) error {
	if !v.known() {
		return nil
	}
	const anew = "select chat.grant_rights(); -- as the schema's owner"
	var role, what string
	err := v.all(ctx, `SELECT r.role, r.kind || ' ' || r.object || ': ' || r.privileges FROM chat.rights r JOIN pg_roles p ON p.rolname = r.role WHERE NOT r.held ORDER BY r.kind, r.object LIMIT 20`,
		nil, []any{&role, &what}, func() {
			v.found(Warning, fmt.Sprintf("%s lacks its right to %s", role, what), "What its members do with it is refused.", anew)
		})
	if err != nil {
		return err
	}
	err = v.all(ctx, `SELECT DISTINCT r.role FROM chat.rights r WHERE NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r.role) ORDER BY 1`, nil, []any{&role}, func() {
		v.found(Note, "there is no role "+role, "The chat works without it; docs/security.md says what it is for.", fmt.Sprintf("create role %s; select chat.grant_rights(); -- as a superuser", role))
	})
	if err != nil {
		return err
	}
	if err := surplus(ctx, v); err != nil {
		return err
	}
	var user string
	var serves bool
	if err := v.one(ctx, `SELECT current_user, bool_or(pg_has_role(p.oid, 'USAGE')) FROM pg_roles p WHERE p.rolname = 'chat_app' OR p.oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'chat')`, &user, &serves); err != nil {
		return err
	}
	if !serves {
		v.found(Note, user+" is neither the schema's owner nor a member of chat_app", "A server cannot be this user.", fmt.Sprintf("where it should: grant chat_app to %s;", identifier(user)))
	}
	return nil
}

// surplus is what the roles and everybody may do beyond what they should.
func surplus(ctx context.Context, v *visit) error {
	var has bool
	if err := v.one(ctx, `SELECT to_regclass('chat.surplus_rights') IS NOT NULL`, &has); err != nil || !has {
		return err // that it is missing is said of the schema
	}
	var role, kind, object, privileges, statement string
	var severe bool
	return v.all(ctx, `SELECT role, kind, object, privileges, severe, statement FROM chat.surplus_rights ORDER BY severe DESC, role, kind, object, privileges LIMIT 20`,
		nil, []any{&role, &kind, &object, &privileges, &severe, &statement}, func() {
			who, means, by := role, "So do its members, and chat.rights does not list it.", "its owner"
			if role == "PUBLIC" {
				who, means = "everybody (PUBLIC)", "So does whoever may connect to the database."
			}
			severity, what := Warning, fmt.Sprintf("%s has %s on %s", who, privileges, object)
			switch {
			case kind == "ROLE" && object == role:
				what = fmt.Sprintf("%s is %s", who, privileges)
			case kind == "ROLE":
				what = fmt.Sprintf("%s is a member of %s, which brings it %s", who, object, privileges)
			case privileges == "OWNER":
				what = fmt.Sprintf("%s owns %s", who, object)
			}
			if kind == "ROLE" || privileges == "OWNER" || strings.HasPrefix(statement, "SET ROLE") {
				by = "a superuser"
			}
			if severe {
				severity = Error
				means += " Secrets can be read by it, or something written."
			}
			v.found(severity, what, means, statement+" -- as "+by)
		})
}

// schema compares what is there with what the migrations make.
func schema(ctx context.Context, v *visit) error {
	if !v.known() {
		return nil
	}
	objects, _, err := expected()
	if err != nil {
		return err
	}
	var kinds, names, tables []string
	for _, o := range objects {
		kinds, names, tables = append(kinds, o.kind), append(names, o.name), append(tables, o.table)
	}
	var n int
	err = v.all(ctx, `SELECT o.n FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS o (kind, name, of_table, n) WHERE CASE o.kind
			WHEN 'FUNCTION' THEN to_regprocedure(o.name) IS NULL
			WHEN 'CONSTRAINT' THEN NOT EXISTS (SELECT FROM pg_constraint WHERE conname = o.name AND conrelid = to_regclass(o.of_table))
			WHEN 'TRIGGER' THEN NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = o.name AND tgrelid = to_regclass(o.of_table))
			ELSE to_regclass(o.name) IS NULL END ORDER BY o.n`, []any{kinds, names, tables}, []any{&n}, func() {
		o := objects[n-1]
		what, mend := strings.ToLower(o.kind)+" "+o.name, o.statement
		if o.table != "" {
			what += " of " + o.table
		}
		if mend == "" {
			mend = "db/migrations/" + o.migration + " has the statement that makes it"
		}
		v.found(Error, what+" is missing", "It is for this: "+o.comment, mend)
	})
	if err != nil {
		return err
	}
	var name, table string
	err = v.all(ctx, `SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'chat'::regnamespace AND NOT (i.indisvalid AND i.indisready) ORDER BY 1`,
		nil, []any{&name}, func() {
			v.found(Error, "index "+name+" is not valid", "Making it was broken off: it costs with each change, and is used by no query.", fmt.Sprintf("reindex index concurrently %s;", name))
		})
	if err != nil {
		return err
	}
	err = v.all(ctx, `SELECT quote_ident(conname), conrelid::regclass::text FROM pg_constraint WHERE connamespace = 'chat'::regnamespace AND NOT convalidated ORDER BY 2, 1`, nil, []any{&name, &table}, func() {
		v.found(Warning, fmt.Sprintf("constraint %s of %s is not validated", name, table), "Rows from before it may break it.",
			fmt.Sprintf("alter table %s validate constraint %s; -- where that fails it names the row to be mended", table, name))
	})
	if err != nil {
		return err
	}
	var internal bool
	var mode string
	return v.all(ctx, `SELECT quote_ident(min(tgname)), tgrelid::regclass::text, tgisinternal, tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = 'chat'::regnamespace AND tgenabled NOT IN ('O', 'A') GROUP BY 2, 3, 4, CASE WHEN NOT tgisinternal THEN tgname END ORDER BY 2, 1`,
		nil, []any{&name, &table, &internal, &mode}, func() {
			if internal {
				v.found(Error, "foreign keys of "+table+" are not enforced", "Rows may refer to nothing.", fmt.Sprintf("alter table %s enable trigger all; -- and look for such rows: select * from chat.gaps;", table))
				return
			}
			v.found(Error, fmt.Sprintf("trigger %s of %s is disabled", name, table), "What it keeps right, such as numbers and who is told, goes wrong with each change.",
				fmt.Sprintf("alter table %s enable trigger %s;", table, name))
		})
}

// integrity looks for messages that are not as they should be.
func integrity(ctx context.Context, v *visit) error {
	if !v.known() {
		return nil
	}
	var has bool
	if err := v.one(ctx, `SELECT to_regclass('chat.integrity') IS NOT NULL`, &has); err != nil {
		return err
	}
	view := "chat.gaps"
	if has {
		view = "chat.integrity"
	}
	var row string
	return v.all(ctx, fmt.Sprintf(`SELECT to_jsonb(i)::text FROM %s i LIMIT 20`, view), nil, []any{&row}, func() {
		v.found(Error, view+" has a row: "+row, "Something was changed past the triggers, or pgchat has a defect: people miss messages, or counts are wrong.",
			fmt.Sprintf("select * from %s; -- has all; docs/operations.md says more. What was deleted comes back from a backup", view))
	})
}
