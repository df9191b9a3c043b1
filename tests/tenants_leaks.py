"""More leaks, beside those of `test_migrate_isolation`: what reaches tenants' rows from further away.

Name → (kind of the finding, statements); `@app` is the application's role.
"""

from __future__ import annotations

SETTING = "current_setting('app.tenant_id', true)"
OTHER = "11111111-1111-4111-8111-111111111111"
INSTEAD = "DROP POLICY maestro_tenant ON artifacts; CREATE POLICY x ON artifacts"
COUNT = "LANGUAGE sql SECURITY DEFINER AS"
TRIGGER = "RETURNS trigger LANGUAGE plpgsql"

FAR_LEAKS: dict[str, tuple[str, list[str]]] = {
    "a copy": ("table-unguarded", ["CREATE TABLE backup AS SELECT * FROM artifacts; GRANT SELECT ON backup TO @app"]),
    "a copy in another schema": (
        "table-unguarded",
        ["CREATE SCHEMA bak; CREATE TABLE bak.artifacts AS TABLE artifacts",
         "GRANT USAGE ON SCHEMA bak TO @app; GRANT SELECT ON bak.artifacts TO @app"],
    ),
    "a new table with the column": (
        "table-unguarded",
        ["CREATE TABLE invoices (id int, tenant_id uuid REFERENCES tenants); GRANT SELECT ON invoices TO @app"],
    ),
    "heir whose policy lets everything pass": (
        "heir-unguarded",
        ["CREATE TABLE kid () INHERITS (artifacts); GRANT SELECT ON kid TO @app",
         "ALTER TABLE kid ENABLE ROW LEVEL SECURITY; CREATE POLICY x ON kid USING (true)"],
    ),
    "heir in another schema": (
        "heir-unguarded",
        ["CREATE SCHEMA old; GRANT USAGE ON SCHEMA old TO @app; CREATE TABLE old.kid () INHERITS (artifacts)",
         "GRANT SELECT ON old.kid TO @app"],
    ),
    "policy of a group": (
        "policy-too-wide",
        ["CREATE ROLE @app_other; GRANT @app_other TO @app; CREATE POLICY x ON artifacts TO @app_other USING (true)"],
    ),
    "policy over a list": (
        "policy-too-wide",
        [(f"{INSTEAD} USING (tenant_id::text = ANY (string_to_array({SETTING} || ',{OTHER}', ',')))"
         f" WITH CHECK (tenant_id::text = {SETTING})")],
    ),
    "policy over two comparisons": (
        "policy-too-wide",
        [f"{INSTEAD} USING (tenant_id = tenant_id AND {SETTING} <> '') WITH CHECK (tenant_id::text = {SETTING})"],
    ),
    "policy by a function": (
        "policy-too-wide",
        ["CREATE FUNCTION mine(uuid) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'",
         f"{INSTEAD} USING (mine(tenant_id)) WITH CHECK (tenant_id::text = {SETTING})"],
    ),
    "restrictive policies alone": (
        "missing-policy",
        [f"{INSTEAD} AS RESTRICTIVE USING (tenant_id::text = {SETTING}) WITH CHECK (tenant_id::text = {SETTING})"],
    ),
    "definer by way of another function": (
        "definer-function",
        ["CREATE FUNCTION h() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM artifacts'",
         f"CREATE FUNCTION f() RETURNS bigint {COUNT} 'SELECT h()'"],
    ),
    "definer procedure": (
        "definer-function",
        ["CREATE PROCEDURE p() LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN UPDATE artifacts SET name = name; END'"],
    ),
    "definer that turns a query into XML": (
        "definer-function",
        [f"CREATE FUNCTION f(q text) RETURNS text {COUNT} 'SELECT query_to_xml(q, true, false, '''')::text'"],
    ),
    "definer trigger that answers": (
        "definer-trigger",
        ["CREATE TABLE inbox (id int, answer text); GRANT SELECT, INSERT ON inbox TO @app",
         (f"CREATE FUNCTION t() {TRIGGER} SECURITY DEFINER AS"
         " 'BEGIN SELECT string_agg(name, '','') INTO NEW.answer FROM artifacts; RETURN NEW; END'"),
         "CREATE TRIGGER t BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION t()"],
    ),
    "check by a definer": (
        "definer-function",
        [f"CREATE FUNCTION free(t text) RETURNS boolean {COUNT} 'SELECT NOT EXISTS (SELECT FROM artifacts WHERE name = t)'",
         "CREATE DOMAIN free_name AS text CHECK (free(VALUE)); ALTER TABLE team_members ADD COLUMN z free_name"],
    ),
    "trigger that copies by way of a function": (
        "copied-rows",
        ["CREATE TABLE audit (row text); GRANT SELECT ON audit TO @app",
         f"CREATE FUNCTION put(t text) RETURNS void {COUNT} 'INSERT INTO audit VALUES (t)'",
         f"CREATE FUNCTION n() {TRIGGER} AS 'BEGIN PERFORM put(NEW::text); RETURN NEW; END'",
         "CREATE TRIGGER n AFTER INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION n()"],
    ),
    "trigger that copies to where a policy lets everything pass": (
        "copied-rows",
        ["CREATE TABLE audit (row text); GRANT SELECT, INSERT ON audit TO @app",
         "ALTER TABLE audit ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON audit USING (true)",
         f"CREATE FUNCTION n() {TRIGGER} AS 'BEGIN INSERT INTO audit VALUES (NEW::text); RETURN NEW; END'",
         "CREATE TRIGGER n AFTER INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION n()"],
    ),
    "trigger that notifies everybody": (
        "notified-rows",
        [f"CREATE FUNCTION n() {TRIGGER} AS 'BEGIN PERFORM pg_notify(''rows'', row_to_json(NEW)::text); RETURN NEW; END'",
         "CREATE TRIGGER n AFTER INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION n()"],
    ),
    "foreign key from outside": (
        "outside-key",
        ["CREATE TABLE probe (id uuid REFERENCES artifacts (id)); GRANT INSERT ON probe TO @app"],
    ),
    "foreign keys switched off": ("keys-off", ["ALTER TABLE artifacts DISABLE TRIGGER ALL"]),
    "partial unique": ("unique-oracle", ["CREATE UNIQUE INDEX u ON artifacts (lower(name)) WHERE name LIKE 'x%'"]),
    "owner of the schema": ("application-owns-schema", ["ALTER SCHEMA public OWNER TO @app"]),
    "statistics": ("may-read-catalog", ["GRANT SELECT ON pg_statistic TO @app"]),
    "passwords": ("may-read-catalog", ["GRANT SELECT ON pg_authid TO @app"]),
    "server's files": ("may-call", ["GRANT EXECUTE ON FUNCTION pg_read_file(text) TO @app"]),
    "server's files by a role": ("role-on-server", ["GRANT pg_read_server_files TO @app"]),
    "large object for everybody": (
        "large-objects",
        [("DO $$DECLARE o oid; BEGIN o := lo_from_bytea(0, 'x');"
         " EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO PUBLIC', o); END$$")],
    ),
    "large objects of everybody": ("large-objects", ["ALTER ROLE @app SET lo_compat_privileges = on"]),
    "database starts as a tenant": (
        "setting-preset",
        [f"DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET app.tenant_id = ''{OTHER}''', current_database()); END$$"],
    ),
    "role made administrator of the owner": (
        "role-becomes-owner",
        ["CREATE ROLE @app_owner; ALTER TABLE predictions OWNER TO @app_owner; GRANT @app_owner TO @app WITH ADMIN OPTION"],
    ),
    "view for writing only": (
        "view-bypasses",
        ["CREATE VIEW v AS SELECT * FROM artifacts; GRANT INSERT ON v TO @app"],
    ),
    "view of the invoker on a view of the owner": (
        "view-bypasses",
        ["CREATE VIEW v AS SELECT * FROM artifacts; CREATE VIEW w AS SELECT * FROM v; GRANT SELECT ON v, w TO @app"],
    ),
    "a way in for DELETE": ("policy-too-wide", ["CREATE POLICY x ON team_members FOR DELETE USING (true)"]),
    "a way in for INSERT": ("leak-insert", ["CREATE POLICY x ON team_members FOR INSERT WITH CHECK (true)"]),
}  # fmt: skip

HARMLESS = {
    "index per tenant": "CREATE UNIQUE INDEX ON artifacts (tenant_id, name, id)",
    "restrictive policy beside ours": "CREATE POLICY x ON artifacts AS RESTRICTIVE USING (is_active) WITH CHECK (true)",
    "definer that reads no tenant": f"CREATE FUNCTION f() RETURNS int {COUNT} 'SELECT 1'",
    "trigger that tidies": (
        f"CREATE FUNCTION t() {TRIGGER} AS 'BEGIN NEW.name := trim(NEW.name); RETURN NEW; END';"
        " CREATE TRIGGER t BEFORE INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION t()"
    ),
    "copy that the role may not read": "CREATE SCHEMA bak; CREATE TABLE bak.artifacts AS TABLE artifacts",
}
"""What must not become a finding."""
