-- +goose Up
-- Roles: what the server, who looks, and who moderates may do. They are the cluster's, so that several databases share them;
-- each database gives its own rights.

-- What each role should have, by rules that hold for what is made later. Of bytea columns and of those so named only the server reads.
-- In a block, since sqlc, which reads this, does not know the catalogue.
-- +goose StatementBegin
DO $$ BEGIN
CREATE VIEW chat.rights AS
WITH roles AS (
    SELECT v.role, r.oid FROM (SELECT unnest(ARRAY['chat_app', 'chat_readonly', 'chat_moderator']) AS role) v LEFT JOIN pg_roles r ON r.rolname = v.role
), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, bool_or(s.secret) AS secretive,
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE NOT s.secret) AS columns,
           array_agg(a.attnum) FILTER (WHERE NOT s.secret) AS attnums
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (SELECT a.atttypid = 'bytea'::regtype OR a.attname ~ '(password|secret|hash|token|private_key)' AS secret) s
    WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    GROUP BY c.oid
)
SELECT r.role, 'SCHEMA' AS kind, 'chat' AS object, pg_get_userbyid(n.nspowner) AS owner, 'USAGE' AS privileges,
       coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), false) AS held
FROM roles r CROSS JOIN pg_namespace n WHERE n.nspname = 'chat'
UNION ALL
SELECT r.role, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('chat.%I', c.relname), pg_get_userbyid(c.relowner),
       CASE WHEN w.part THEN format('SELECT (%s)', c.columns) ELSE array_to_string(w.privileges, ', ') END,
       coalesce(CASE WHEN w.part THEN (SELECT bool_and(has_column_privilege(r.oid, c.oid, n, 'SELECT')) FROM unnest(c.attnums) n)
            WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, 'USAGE')
            ELSE (SELECT bool_and(has_table_privilege(r.oid, c.oid, p)) FROM unnest(w.privileges) p) END, false)
FROM roles r CROSS JOIN relations c
CROSS JOIN LATERAL (SELECT r.role <> 'chat_app' AND c.secretive AS part, CASE
    WHEN c.relkind = 'S' THEN CASE WHEN r.role = 'chat_app' AND c.relname <> 'schema_version_id_seq' THEN ARRAY['USAGE'] END
    WHEN r.role <> 'chat_app' OR c.relkind IN ('v', 'm') OR c.relname = 'schema_version' THEN ARRAY['SELECT']
    WHEN c.relname = 'room_events' THEN ARRAY['SELECT', 'INSERT']
    WHEN c.relname IN ('users', 'rooms', 'room_heads', 'messages') THEN ARRAY['SELECT', 'INSERT', 'UPDATE']
    ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END AS privileges) w
WHERE w.privileges IS NOT NULL AND c.columns IS NOT NULL
UNION ALL
SELECT r.role, 'ROUTINE', format('chat.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), pg_get_userbyid(p.proowner), 'EXECUTE',
       coalesce(has_function_privilege(r.oid, p.oid, 'EXECUTE'), false)
FROM roles r CROSS JOIN pg_proc p
WHERE p.pronamespace = 'chat'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND CASE r.role WHEN 'chat_app' THEN p.proname <> 'grant_rights'
                  WHEN 'chat_readonly' THEN p.provolatile <> 'v'
                  ELSE p.provolatile <> 'v' OR p.prosecdef END;
COMMENT ON VIEW chat.rights IS 'What the roles should have, and whether they have it. chat_app, the server: rows of all tables, but that it deletes no user, room or message; all functions. chat_readonly: all that shows no secret; functions that do not write. chat_moderator: the same, and the functions that write as the owner (SECURITY DEFINER). select chat.grant_rights(); gives what is missing.';
COMMENT ON COLUMN chat.rights.role IS 'chat_app, chat_readonly or chat_moderator.';
COMMENT ON COLUMN chat.rights.kind IS '"SCHEMA", "TABLE" (views too), "SEQUENCE" or "ROUTINE", as GRANT has it.';
COMMENT ON COLUMN chat.rights.object IS 'Its name, as GRANT has it.';
COMMENT ON COLUMN chat.rights.owner IS 'Whose it is, who may give the right.';
COMMENT ON COLUMN chat.rights.privileges IS 'What the role should have, as GRANT has it.';
COMMENT ON COLUMN chat.rights.held IS 'Whether it has that; false also where there is no such role.';
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION chat.grant_rights() RETURNS text[]
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    given    text[] := '{}';
    lacking  text[] := '{}';
    grantees text;
    wanted   text;
    r        record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pgchat'), 1); -- two at once would change the same rows of the catalogue
    FOREACH wanted IN ARRAY ARRAY['chat_app', 'chat_readonly', 'chat_moderator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, 'pgchat; its rights: select * from chat.rights where role = ''' || wanted || '''');
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL; -- another database of the cluster was quicker
                WHEN OTHERS THEN
                    RAISE NOTICE 'there is no role %, and % may not make it', wanted, current_user
                        USING DETAIL = SQLERRM, HINT = format('Where it is wanted, as a superuser: CREATE ROLE %I; SELECT chat.grant_rights();', wanted);
                    lacking := lacking || wanted;
                    CONTINUE;
            END;
        END IF;
        given := given || wanted;
    END LOOP;
    SELECT concat_ws(', ', 'PUBLIC', string_agg(quote_ident(g), ', ')) INTO grantees FROM unnest(given) g;
    -- What others own, or an extension brought along, is left as it is.
    FOR r IN
        SELECT 'SCHEMA' AS kind, 'chat' AS object FROM pg_namespace WHERE nspname = 'chat' AND pg_has_role(nspowner, 'USAGE')
        UNION ALL
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('chat.%I', relname) FROM pg_class c
        WHERE relnamespace = 'chat'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_has_role(relowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 'ROUTINE', format('chat.%I(%s)', proname, pg_get_function_identity_arguments(p.oid)) FROM pg_proc p
        WHERE pronamespace = 'chat'::regnamespace AND pg_has_role(proowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', r.kind, r.object, grantees);
    END LOOP;
    -- A moderator has no right on any table, and a reader sees no file: these do what they say as the owner.
    FOR r IN
        SELECT oid::regprocedure AS f FROM pg_proc WHERE pronamespace = 'chat'::regnamespace AND prokind = 'f' AND NOT prosecdef AND pg_has_role(proowner, 'USAGE')
          AND proname IN ('edit', 'delete', 'undelete', 'ban', 'unban', 'archive_room', 'restore_room', 'add_member', 'remove_member', 'rename_user',
                          'announce', 'disconnect', 'pin', 'integrity_of')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', r.f);
    END LOOP;
    FOR r IN SELECT * FROM rights WHERE role = ANY (given) AND pg_has_role(owner, 'USAGE') LOOP
        EXECUTE format('GRANT %s ON %s %s TO %I', r.privileges, r.kind, r.object, r.role);
    END LOOP;
    RETURN lacking;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.grant_rights() IS 'Gives the roles what chat.rights lists, takes everything else in the schema from them and from PUBLIC, has the functions of moderators act as the owner (SECURITY DEFINER), and makes those roles that are missing. Returns the roles that do not exist and that whoever calls it may not make. For the owner of the schema; "pgchat migrate" calls it.';

SELECT chat.grant_rights();

-- What stood in rows before a rule came is checked now, without keeping anybody from writing. Where a row breaks the rule it stays as it is.
-- +goose StatementBegin
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT conrelid::regclass AS of_table, conname FROM pg_constraint WHERE connamespace = 'chat'::regnamespace AND NOT convalidated LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', c.of_table, c.conname);
        EXCEPTION WHEN check_violation THEN
            RAISE NOTICE 'old rows of % break %', c.of_table, c.conname;
        END;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Other databases may use the roles, and people may be members of them: they stay.
-- +goose StatementBegin
DO $$
DECLARE
    grantees text := (SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolname IN ('chat_app', 'chat_readonly', 'chat_moderator'));
    r        record;
BEGIN
    FOR r IN SELECT DISTINCT kind, object FROM chat.rights WHERE pg_has_role(owner, 'USAGE') LOOP
        IF grantees IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON %s %s FROM %s', r.kind, r.object, grantees);
        END IF;
    END LOOP;
    FOR r IN
        SELECT p.oid::regprocedure AS f, p.prosecdef
        FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND p.prokind = 'f' AND pg_has_role(p.proowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', r.f);
        IF r.prosecdef THEN
            EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER', r.f);
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.grant_rights();
DROP VIEW chat.rights;
