"""The proof of isolation and the corpus of leaks: each leak planted on a clean database, each found."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg2
import pytest
from tenants_leaks import FAR_LEAKS, HARMLESS
from tenants_schema import ROWS, SEED, isolated

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Rls, Tenancy
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.tenants.findings import Severity, Verification

OTHER = "11111111-1111-4111-8111-111111111111"


@dataclass(frozen=True)
class Isolated:
    """A database after the contract step, an application's role and its tenancy."""

    url: str
    role: str
    tenancy: Tenancy

    def run(self, *statements: str) -> None:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.replace("@app", self.role))
        connection.close()

    def verify(self, *, test_the_proof: bool = False) -> Verification:
        return tenants.verify(self.url, self.tenancy, test_the_proof=test_the_proof)


@pytest.fixture(scope="module")
def clean(postgres_server: EmbeddedPostgres) -> Iterator[Isolated]:
    name, role = f"clean_{secrets.token_hex(4)}", f"app_{secrets.token_hex(4)}"
    admin = Isolated(postgres_server.admin_url.reveal(), role, isolated(role))
    admin.run(f"CREATE DATABASE {name}", "CREATE ROLE @app LOGIN")
    made = replace(admin, url=postgres_server.url_for(name).reveal())
    grants = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO @app"
    made.run(SEED, "ALTER TABLE projects ADD UNIQUE (name)", ROWS, grants)
    tenants.apply(made.url, made.tenancy, contract=True)
    made.run("GRANT SELECT ON tenants TO @app", f"INSERT INTO tenants (id, name, slug) VALUES ('{OTHER}', 'B', 'b')")
    made.run(f"SET app.tenant_id = '{OTHER}'; INSERT INTO projects (name) VALUES ('project 1')")
    yield made
    admin.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def copy(clean: Isolated, postgres_server: EmbeddedPostgres) -> Iterator[Isolated]:
    name = f"copy_{secrets.token_hex(6)}"
    admin = replace(clean, url=postgres_server.admin_url.reveal())
    admin.run(f"CREATE DATABASE {name} TEMPLATE {clean.url.rpartition('/')[2]}")
    yield replace(clean, url=postgres_server.url_for(name).reveal())
    admin.run(f"DROP DATABASE {name} WITH (FORCE)")


def kinds(found: Verification) -> set[str]:
    return {finding.kind for finding in found.findings if finding.severity is Severity.ERROR}


def test_a_clean_schema_has_no_finding_and_a_proof(copy: Isolated) -> None:
    found = copy.verify(test_the_proof=True)
    assert found.findings == ()
    assert found.holds
    assert found.proof is not None
    assert found.proof.holds
    assert found.proof.tables == tuple(copy.tenancy.tables)
    assert found.proof.attempts == 15 * 6


def test_the_proof_leaves_nothing_behind(copy: Isolated) -> None:
    def counted() -> list[tuple[int, ...]]:
        connection = psycopg2.connect(copy.url)
        with connection.cursor() as cursor:
            tables = ["tenants", *copy.tenancy.tables]
            cursor.execute(f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in tables)}")
            rows = cursor.fetchall()
        connection.close()
        return rows

    before = counted()
    copy.verify(test_the_proof=True)
    assert counted() == before


POLICY = "tenant_id = (SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"

LEAKS = {
    "missing policy": ("missing-policy", ["DROP POLICY maestro_tenant ON artifacts"]),
    "row security off": ("row-security-off", ["ALTER TABLE artifacts DISABLE ROW LEVEL SECURITY"]),
    "row security off, proof": ("leak-select", ["ALTER TABLE artifacts DISABLE ROW LEVEL SECURITY"]),
    "owner without force": (
        "application-owns",
        ["ALTER TABLE artifacts OWNER TO @app", "ALTER TABLE artifacts NO FORCE ROW LEVEL SECURITY"],
    ),
    "owner without force, proof": (
        "leak-delete",
        ["ALTER TABLE artifacts OWNER TO @app", "ALTER TABLE artifacts NO FORCE ROW LEVEL SECURITY"],
    ),
    "not forced": ("not-forced", ["ALTER TABLE predictions NO FORCE ROW LEVEL SECURITY"]),
    "policy without check": (
        "policy-without-check",
        ["DROP POLICY maestro_tenant ON artifacts", f"CREATE POLICY p ON artifacts USING ({POLICY})"],
    ),
    "check that lets everything pass": (
        "leak-insert",
        [f"DROP POLICY maestro_tenant ON artifacts; CREATE POLICY p ON artifacts USING ({POLICY}) WITH CHECK (true)"],
    ),
    "moved rows": (
        "leak-update",
        [f"DROP POLICY maestro_tenant ON artifacts; CREATE POLICY p ON artifacts USING ({POLICY}) WITH CHECK (true)"],
    ),
    "second policy": ("policy-too-wide", ["CREATE POLICY everybody ON artifacts USING (true) WITH CHECK (true)"]),
    "second policy to read": ("leak-select", ["CREATE POLICY everybody ON artifacts FOR SELECT USING (true)"]),
    "policy or": (
        "policy-too-wide",
        [
            "DROP POLICY maestro_tenant ON artifacts",
            f"CREATE POLICY p ON artifacts USING ({POLICY} OR name = 'shared') WITH CHECK ({POLICY})",
        ],
    ),
    "policy on the default tenant": (
        "policy-too-wide",
        [
            "DROP POLICY maestro_tenant ON artifacts",
            ("CREATE POLICY p ON artifacts USING (tenant_id = COALESCE(NULLIF(current_setting('app.tenant_id', true), "
            f"'')::uuid, '371191e4-9748-4b2a-9c7f-2d986463afa7')) WITH CHECK ({POLICY})"),
        ],
    ),
    "policy of another setting": (
        "policy-too-wide",
        [
            "DROP POLICY maestro_tenant ON artifacts",
            ("CREATE POLICY p ON artifacts USING (tenant_id::text = current_setting('app.other', true))"
            " WITH CHECK (tenant_id::text = current_setting('app.other', true))"),
        ],
    ),
    "policy for one command": (
        "policy-misses-command",
        ["DROP POLICY maestro_tenant ON artifacts", f"CREATE POLICY p ON artifacts FOR SELECT USING ({POLICY})"],
    ),
    "role bypasses": ("role-bypasses", ["ALTER ROLE @app BYPASSRLS"]),
    "role superuser": ("role-superuser", ["ALTER ROLE @app SUPERUSER"]),
    "role replicates": ("role-replicates", ["ALTER ROLE @app REPLICATION"]),
    "role becomes a bypassing one": (
        "role-bypasses",
        ["CREATE ROLE @app_other BYPASSRLS", "GRANT @app_other TO @app"],
    ),
    "role becomes the owner": (
        "role-becomes-owner",
        ["CREATE ROLE @app_owner", "ALTER TABLE artifacts OWNER TO @app_owner", "GRANT @app_owner TO @app"],
    ),
    "role starts as a tenant": ("setting-preset", [f"ALTER ROLE @app SET app.tenant_id = '{OTHER}'"]),
    "role may skip keys": ("may-skip-keys", ["GRANT SET ON PARAMETER session_replication_role TO @app"]),
    "view": ("view-bypasses", ["CREATE VIEW v AS SELECT * FROM artifacts", "GRANT SELECT ON v TO @app"]),
    "view on a view": (
        "view-bypasses",
        [
            "CREATE VIEW v AS SELECT * FROM artifacts",
            "CREATE SCHEMA reports; CREATE VIEW reports.w AS SELECT name FROM v",
            "GRANT USAGE ON SCHEMA reports TO @app; GRANT SELECT ON reports.w TO @app",
        ],
    ),
    "materialised view": (
        "materialised-view",
        ["CREATE MATERIALIZED VIEW m AS SELECT * FROM artifacts", "GRANT SELECT ON m TO @app"],
    ),
    "security definer": (
        "definer-function",
        ["CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM artifacts'"],
    ),
    "security definer, new style body": (
        "definer-function",
        ["CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN (SELECT count(*) FROM artifacts)"],
    ),
    "security definer, dynamic": (
        "definer-function",
        [
            ("CREATE FUNCTION f(q text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS"
            " 'DECLARE r bigint; BEGIN EXECUTE q INTO r; RETURN r; END'")
        ],
    ),
    "leakproof function": (
        "leakproof-function",
        ["CREATE FUNCTION f(t text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS 'BEGIN RAISE NOTICE ''%'', t; RETURN true; END'"],
    ),
    "truncate": ("may-truncate", ["GRANT TRUNCATE ON artifacts TO @app"]),
    "truncate by everybody": ("may-truncate", ["GRANT TRUNCATE ON artifacts TO PUBLIC"]),
    "trigger privilege": ("may-trigger", ["GRANT TRIGGER ON artifacts TO @app"]),
    "delete tenants": ("may-delete-tenants", ["GRANT DELETE ON tenants TO @app"]),
    "unique oracle": ("unique-oracle", ["ALTER TABLE artifacts ADD UNIQUE (content_hash)"]),
    "unique index oracle": ("unique-oracle", ["CREATE UNIQUE INDEX u ON artifacts (lower(storage_path))"]),
    "exclusion oracle": (
        "exclusion-oracle",
        ["ALTER TABLE artifacts ADD EXCLUDE (content_hash WITH =)"],
    ),
    "crossing key": (
        "crossing-key",
        ["ALTER TABLE predictions DROP CONSTRAINT fk_predictions_tenant_id_project_id_projects"],
    ),
    "wrong default": ("wrong-default", [f"ALTER TABLE artifacts ALTER tenant_id SET DEFAULT '{OTHER}'"]),
    "nullable": ("nullable-column", ["ALTER TABLE artifacts ALTER tenant_id DROP NOT NULL"]),
    "no key": ("missing-key", ["ALTER TABLE artifacts DROP CONSTRAINT fk_artifacts_tenant_id_tenants"]),
    "no index": ("missing-index", ["DROP INDEX ix_artifacts_tenant_id"]),
    "trigger that copies": (
        "copied-rows",
        [
            "CREATE TABLE audit (row text); GRANT SELECT, INSERT ON audit TO @app",
            ("CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO audit VALUES (NEW::text); RETURN NEW; END'"),
            "CREATE TRIGGER log_it AFTER INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION log_it()",
        ],
    ),
    "rule that copies": (
        "copied-rows",
        [
            "CREATE TABLE audit (name text); GRANT SELECT, INSERT ON audit TO @app",
            "CREATE RULE r AS ON INSERT TO artifacts DO ALSO INSERT INTO audit VALUES (NEW.name)",
        ],
    ),
    "heir": ("heir-unguarded", ["CREATE TABLE old_artifacts () INHERITS (artifacts); GRANT SELECT ON old_artifacts TO @app"]),
    "orphans": (
        "orphaned-rows",
        ["SET session_replication_role = replica; DELETE FROM tenants WHERE slug = 'b'"],
    ),
}  # fmt: skip
LEAKS |= FAR_LEAKS


@pytest.mark.parametrize("leak", LEAKS)
def test_every_leak_is_found(copy: Isolated, leak: str, postgres_server: EmbeddedPostgres) -> None:
    kind, statements = LEAKS[leak]
    admin = replace(copy, url=postgres_server.admin_url.reveal())
    try:
        copy.run(*statements)
        found = copy.verify()
    finally:  # a role outlives its database
        undo = "ALTER ROLE @app NOSUPERUSER NOBYPASSRLS NOREPLICATION; ALTER ROLE @app RESET ALL"
        undo += "; REVOKE pg_read_server_files FROM @app"
        admin.run(undo, "REVOKE ALL ON PARAMETER session_replication_role FROM @app")
        copy.run("DROP OWNED BY @app_owner CASCADE; DROP ROLE @app_owner") if "@app_owner" in str(statements) else None
        copy.run("DROP OWNED BY @app_other") if "CREATE ROLE @app_other" in str(statements) else None
        admin.run("DROP ROLE IF EXISTS @app_other")
    assert kind in kinds(found), [str(finding) for finding in found.findings]
    assert not found.holds


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_harmless_is_no_finding(copy: Isolated, what: str) -> None:
    copy.run(HARMLESS[what])
    assert copy.verify().findings == ()


def test_a_partitions_own_unique_tells(database: str) -> None:
    made = Isolated(database, f"app_{secrets.token_hex(4)}", Tenancy())
    made.run(
        "CREATE ROLE @app",
        "CREATE TABLE events (id bigint, at date NOT NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE UNIQUE INDEX events_1_id ON events_1 (id)",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON events TO @app",
    )
    try:
        made = replace(made, tenancy=Tenancy(rls=Rls(role=made.role)))
        tenants.apply(database, made.tenancy, contract=True)
        assert kinds(made.verify()) == {"unique-oracle"}
        made = replace(made, tenancy=Tenancy(unique="per_tenant", rls=Rls(role=made.role)))
        tenants.apply(database, made.tenancy, contract=True)
        assert made.verify().findings == ()
    finally:
        made.run("DROP OWNED BY @app", "DROP ROLE @app")


def test_a_privilege_by_way_of_a_group_is_no_endless_run_but_a_finding(copy: Isolated) -> None:
    group = f"group_{secrets.token_hex(4)}"
    copy.run(f"CREATE ROLE {group}", f"GRANT DELETE, TRUNCATE ON tenants TO {group}", f"GRANT {group} TO @app")
    try:
        tenants.apply(copy.url, copy.tenancy, contract=True)
        assert "may-delete-tenants" in kinds(copy.verify())
    finally:
        copy.run(f"DROP OWNED BY {group}", f"DROP ROLE {group}")


SPELLINGS = [
    "tenant_id = current_setting('app.tenant_id')::uuid",
    "tenant_id::text = current_setting('app.tenant_id', true)",
    "(SELECT NULLIF(current_setting('app.tenant_id', true), ''))::uuid = artifacts.tenant_id",
    "current_setting('app.tenant_id', true) <> '' AND tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_policy_of_ones_own_that_holds_is_no_finding(copy: Isolated, spelling: str) -> None:
    copy.run(
        "DROP POLICY maestro_tenant ON artifacts",
        f"CREATE POLICY ours ON artifacts TO @app USING ({spelling}) WITH CHECK ({spelling})",
    )
    found = copy.verify(test_the_proof=True)
    assert found.findings == ()
    assert found.proof is not None
    assert found.proof.holds


def test_partitions_are_guarded_too(database: str, postgres_server: EmbeddedPostgres) -> None:
    role = f"app_{secrets.token_hex(4)}"
    made = Isolated(database, role, Tenancy(rls=Rls(role=role)))
    made.run(
        "CREATE ROLE @app",
        "CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE TABLE events_2 PARTITION OF events DEFAULT",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON events, events_1 TO @app",
    )
    tenants.apply(database, made.tenancy, contract=True)
    assert made.verify().findings == ()
    made.run("ALTER TABLE events_1 DISABLE ROW LEVEL SECURITY")
    assert "contract-unfinished" in kinds(made.verify()) or "row-security-off" in kinds(made.verify())
    made.run("DROP OWNED BY @app", "DROP ROLE @app")


def test_a_proof_without_access_to_the_role_proves_nothing(copy: Isolated, postgres_server: EmbeddedPostgres) -> None:
    owner = f"owner_{secrets.token_hex(4)}"
    copy.run(f"CREATE ROLE {owner} LOGIN PASSWORD 'x'")
    url = postgres_server.url_for(copy.url.rpartition("/")[2], owner, None).reveal()
    url = url.replace(url.split("://")[1].split("@")[0], f"{owner}:x")
    proof = tenants.prove_isolation(url, copy.tenancy)
    assert not proof.holds
    assert [finding.kind for finding in proof.findings] == ["not-proved"]
    copy.run(f"DROP ROLE {owner}")
