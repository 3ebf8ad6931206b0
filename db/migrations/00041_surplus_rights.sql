-- +goose Up
-- What the roles and everybody may do beyond chat.rights, which lists what they should have and says nothing of more.

-- Each right that was given is held against chat.rights, so that no rule stands in two places: it is blamed on who has it, be it the role,
-- everybody, or another that the role is a member of and so can be. What one REVOKE takes back is one row.
-- In a block, since sqlc, which reads this, does not know the catalogue.
-- +goose StatementBegin
DO $$ BEGIN
CREATE VIEW chat.surplus_rights AS
WITH roles AS (
    SELECT oid, rolname::text AS role FROM pg_roles WHERE rolname IN ('chat_app', 'chat_readonly', 'chat_moderator')
), heir AS ( -- who would own instead
    SELECT pg_get_userbyid(oid) AS heir FROM (SELECT nspowner, 1 FROM pg_namespace WHERE nspname = 'chat' UNION ALL SELECT datdba, 2 FROM pg_database WHERE datname = current_database() UNION ALL SELECT 10, 3) c (oid, n)
    WHERE oid NOT IN (SELECT oid FROM roles) ORDER BY n LIMIT 1
), wanted AS ( -- of "SELECT (id, name)" the columns, else NULL
    SELECT role, kind, object, owner, privileges, unnest(string_to_array(split_part(privileges, ' (', 1), ', ')) AS privilege,
           string_to_array(rtrim(nullif(split_part(privileges, ' (', 2), ''), ')'), ', ') AS columns
    FROM chat.rights
), relations AS (
    SELECT oid, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, format('chat.%I', relname) AS object, relowner AS owner, relacl AS acl FROM pg_class c
    WHERE relnamespace = 'chat'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), things AS (
    SELECT 'DATABASE' AS kind, quote_ident(datname) AS object, datdba AS owner, datacl AS acl, false AS as_owner FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA', 'chat', nspowner, nspacl, false FROM pg_namespace WHERE nspname = 'chat'
    UNION ALL
    SELECT kind, object, owner, acl, false FROM relations
    UNION ALL -- what says nothing is everybody's
    SELECT 'ROUTINE', format('chat.%I(%s)', proname, pg_get_function_identity_arguments(p.oid)), proowner, coalesce(proacl, acldefault('f', proowner)), prosecdef FROM pg_proc p
    WHERE pronamespace = 'chat'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
), given AS (
    SELECT t.kind, t.object, t.owner, t.as_owner, NULL AS of_column, a.grantee, a.grantor, a.privilege_type AS privilege, a.is_grantable
    FROM things t CROSS JOIN aclexplode(t.acl) a WHERE a.grantee <> t.owner AND (t.kind <> 'DATABASE' OR a.privilege_type = 'CREATE')
    UNION ALL
    SELECT r.kind, r.object, r.owner, false, quote_ident(c.attname), a.grantee, a.grantor, a.privilege_type, a.is_grantable
    FROM relations r JOIN pg_attribute c ON c.attrelid = r.oid AND NOT c.attisdropped CROSS JOIN aclexplode(c.attacl) a WHERE a.grantee <> r.owner
), actors AS ( -- whom a role acts as: itself, and by whose membership
    SELECT role, oid AS actor, NULL::name AS by, NULL::oid AS by_grantor, false AS by_admin FROM roles
    UNION ALL
    SELECT 'PUBLIC', 0, NULL, NULL, false
    UNION ALL
    SELECT r.role, g.oid, pg_get_userbyid(m.roleid), m.grantor, m.admin_option
    FROM roles r CROSS JOIN LATERAL (SELECT roleid, grantor, admin_option FROM pg_auth_members WHERE member = r.oid OFFSET 0) m
    -- A superuser would be all of them; what one of the three is a member of is that one's row.
    CROSS JOIN LATERAL (SELECT oid FROM pg_roles WHERE oid = m.roleid OR pg_has_role(m.roleid, oid, 'MEMBER') AND m.roleid NOT IN (SELECT oid FROM roles)
        AND NOT (SELECT rolsuper FROM pg_roles WHERE oid = m.roleid) OFFSET 0) g
), found AS (
    SELECT a.role, a.by, a.by_grantor, a.by_admin, g.kind, g.object, g.owner, g.grantor, g.privilege, g.of_column, g.is_grantable,
           a.by IS NULL AND coalesce(w.may, false) AS option, coalesce(w.in_part, false) OR a.role = 'PUBLIC' AND g.kind = 'ROUTINE' AS back,
           CASE g.privilege WHEN 'SELECT' THEN g.kind = 'TABLE' AND seen.may IS NOT TRUE WHEN 'EXECUTE' THEN g.as_owner AND seen.may IS NOT TRUE
                            WHEN 'CREATE' THEN g.kind = 'SCHEMA' WHEN 'USAGE' THEN g.kind = 'SEQUENCE'
                            ELSE g.privilege IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER') END AS severe
    FROM actors a JOIN given g ON g.grantee = a.actor LEFT JOIN roles o ON o.oid = a.actor AND a.by IS NOT NULL
    LEFT JOIN LATERAL (SELECT w.columns IS NULL OR coalesce(g.of_column = ANY (w.columns), false) AS may, w.columns IS NOT NULL AND g.of_column IS NULL AS in_part
        FROM wanted w WHERE w.role = a.role AND w.kind = g.kind AND w.object = g.object AND w.privilege = g.privilege) w ON true
    -- Readers see all but secrets.
    LEFT JOIN LATERAL (SELECT s.columns IS NULL OR coalesce(g.of_column = ANY (s.columns), false) AS may
        FROM wanted s WHERE s.role = 'chat_readonly' AND s.kind = g.kind AND s.object = g.object AND s.privilege = g.privilege) seen ON true
    WHERE CASE WHEN w.may THEN a.by IS NULL AND g.is_grantable
        -- What another of the three has too much of is that one's row alone.
        ELSE o.role IS NULL OR EXISTS (SELECT FROM wanted x WHERE x.role = o.role AND x.kind = g.kind AND x.object = g.object AND x.privilege = g.privilege
            AND (x.columns IS NULL OR g.of_column = ANY (x.columns))) END
    UNION ALL
    SELECT a.role, a.by, a.by_grantor, a.by_admin, t.kind, t.object, t.owner, NULL, 'OWNER', NULL, false, false, true, true
    FROM actors a JOIN things t ON t.owner = a.actor WHERE t.kind <> 'SEQUENCE' AND (a.by IS NULL OR a.actor NOT IN (SELECT oid FROM roles))
    UNION ALL
    SELECT a.role, a.by, a.by_grantor, a.by_admin, 'ROLE', g.object, NULL, NULL, g.privilege, NULL, false, false, false, g.severe
    FROM actors a CROSS JOIN LATERAL (
        SELECT quote_ident(r.rolname) AS object, p.privilege, p.severe FROM pg_roles r CROSS JOIN LATERAL (VALUES
            (r.rolsuper, 'SUPERUSER', true), (r.rolbypassrls, 'BYPASSRLS', true), (r.rolcreaterole, 'CREATEROLE', true), (r.rolreplication, 'REPLICATION', true), (r.rolcreatedb, 'CREATEDB', false),
            -- PostgreSQL's own that get at all tables, or at their files.
            (r.rolname = 'pg_read_all_data', 'SELECT', true), (r.rolname = 'pg_write_all_data', 'INSERT', true), (r.rolname = 'pg_write_all_data', 'UPDATE', true), (r.rolname = 'pg_write_all_data', 'DELETE', true),
            (r.rolname = 'pg_maintain', 'MAINTAIN', false), (r.rolname IN ('pg_read_server_files', 'pg_write_server_files'), 'files of the server', true), (r.rolname = 'pg_execute_server_program', 'programs on the server', true)
        ) p (has, privilege, severe) WHERE p.has AND r.oid = a.actor OFFSET 0) g
    WHERE a.by IS NULL OR a.actor NOT IN (SELECT oid FROM roles)
    UNION ALL
    SELECT role, by, by_grantor, by_admin, 'ROLE', NULL, NULL, NULL, 'ADMIN OPTION', NULL, false, false, false, false FROM actors WHERE by_admin
), stated AS (
    -- Rights on things, by who gave them: whoever did not takes nothing back.
    SELECT role, kind, object, CASE WHEN option THEN 'GRANT OPTION FOR ' ELSE '' END || string_agg(privilege || columns, ', ' ORDER BY privilege, columns) AS privileges, bool_or(severe) AS severe,
           CASE WHEN grantor <> owner THEN format('SET ROLE %I; ', pg_get_userbyid(grantor)) ELSE '' END
           || format('REVOKE %s%s ON %s %s FROM %s', CASE WHEN option THEN 'GRANT OPTION FOR ' END, string_agg(privilege || columns, ', ' ORDER BY privilege, columns), kind, object,
                     CASE role WHEN 'PUBLIC' THEN role ELSE quote_ident(role) END)
           || CASE WHEN bool_or(is_grantable) THEN ' CASCADE;' ELSE ';' END || CASE WHEN grantor <> owner THEN ' RESET ROLE;' ELSE '' END AS statement, bool_or(back) AS back
    FROM (SELECT role, kind, object, owner, grantor, option, privilege, coalesce(' (' || string_agg(of_column, ', ' ORDER BY of_column) || ')', '') AS columns,
                 bool_or(severe) AS severe, bool_or(is_grantable) AS is_grantable, bool_or(back) AS back
          FROM found WHERE by IS NULL AND kind <> 'ROLE' AND privilege <> 'OWNER' GROUP BY role, kind, object, owner, grantor, option, privilege, of_column IS NULL) f
    GROUP BY role, kind, object, owner, grantor, option
    UNION ALL
    SELECT f.role, f.kind, f.object, 'OWNER', true, format('ALTER %s %s OWNER TO %I;', f.kind, f.object, h.heir), true FROM found f CROSS JOIN heir h WHERE f.by IS NULL AND f.privilege = 'OWNER'
    UNION ALL
    SELECT role, kind, object, string_agg(privilege, ', ' ORDER BY privilege), bool_or(severe), format('ALTER ROLE %I %s;', role, string_agg('NO' || privilege, ' ' ORDER BY privilege)), false
    FROM found WHERE by IS NULL AND kind = 'ROLE' GROUP BY role, kind, object
    UNION ALL -- from version 16 on memberships are by who gave them, too
    SELECT role, 'ROLE', quote_ident(by), string_agg(DISTINCT privilege, ', ' ORDER BY privilege), bool_or(severe),
           format('REVOKE %I FROM %I%s%s;', by, role, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN format(' GRANTED BY %I', pg_get_userbyid(by_grantor)) END,
                  CASE WHEN by_admin THEN ' CASCADE' END), false
    FROM found WHERE by IS NOT NULL GROUP BY role, by, by_grantor, by_admin
)
SELECT s.role, s.kind, s.object, s.privileges, s.severe,
       -- With a right on the whole table goes that on some of its columns, with everybody's what a role has by that alone.
       s.statement || coalesce((SELECT string_agg(format(' GRANT %s ON %s %s TO %I;', w.privileges, w.kind, w.object, w.role), '' ORDER BY w.role)
           FROM chat.rights w JOIN roles r ON r.role = w.role WHERE s.back AND w.kind = s.kind AND w.object = s.object AND s.role IN (w.role, 'PUBLIC')), '') AS statement
FROM stated s ORDER BY s.severe DESC, s.role, s.kind, s.object, s.privileges;
-- Once more from its own text, as a dump makes it, so that what was restored can be compared with what was there.
EXECUTE 'CREATE OR REPLACE VIEW chat.surplus_rights AS ' || pg_get_viewdef('chat.surplus_rights'::regclass);
COMMENT ON VIEW chat.surplus_rights IS 'What the roles, and everybody (PUBLIC), may do in the chat beyond chat.rights, with what takes it back; it should be empty. The rights of who is a member of the roles are their own affair and are not here, nor what an extension brought along.';
COMMENT ON COLUMN chat.surplus_rights.role IS 'chat_app, chat_readonly or chat_moderator; "PUBLIC": everybody, these three among them.';
COMMENT ON COLUMN chat.surplus_rights.kind IS '"DATABASE", "SCHEMA", "TABLE" (views too), "SEQUENCE" or "ROUTINE", as GRANT has it; "ROLE": it is by what the role is, or is a member of.';
COMMENT ON COLUMN chat.surplus_rights.object IS 'Its name, as GRANT has it; of a "ROLE" the one that the role is a member of, or the role itself.';
COMMENT ON COLUMN chat.surplus_rights.privileges IS 'What is too much, as GRANT has it, with the columns where it is on these alone; "OWNER": it owns that. Of a "ROLE" what it is, such as "SUPERUSER", and the kinds of rights that membership brings, on whatever object.';
COMMENT ON COLUMN chat.surplus_rights.severe IS 'Whether a secret can be read by it, or something written.';
COMMENT ON COLUMN chat.surplus_rights.statement IS 'What takes it back, and leaves or gives what the role should have. A superuser may run it, and the owner of the object where it does no more than GRANT and REVOKE on that.';
END $$;
-- +goose StatementEnd

COMMENT ON COLUMN chat.table_sizes.dead IS 'About how many rows are dead: the next vacuum frees them. Autovacuum comes beyond autovacuum_vacuum_threshold + autovacuum_vacuum_scale_factor × rows, as set for the table, else for the server: usually 50 and a fifth of the rows. Beyond twice that, and 10,000, it does not keep up, and "pgchat doctor" warns.';

-- +goose Down
COMMENT ON COLUMN chat.table_sizes.dead IS 'About how many rows are dead: the next vacuum frees them. Many more than a fifth of rows: autovacuum does not keep up.';
DROP VIEW chat.surplus_rights;
