"""Multi-tenancy and its indexes, looked at in a real database that maestro migrate has made multi-tenant."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from check_support import application_role, context, expect, free_port, role_of, run_check, run_sql
from tenants_schema import SEED, isolated

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.tenants.runner import apply

TABLES = """
tenancy:
  shared: [users]
  rls: {{role: {role}}}
  tables:
    projects: {{indexes: [[tenant_id], [tenant_id, start_date], [tenant_id, name]]}}
    artifacts: {{indexes: [[tenant_id], [tenant_id, created_at], [tenant_id, type], [tenant_id, is_active]]}}
    artifact_usage: {{indexes: [[tenant_id], [tenant_id, used_at]]}}
    team_members: {{indexes: [[tenant_id]]}}
    process_metrics: {{indexes: [[tenant_id], [tenant_id, timestamp], [tenant_id, metric_type]]}}
    predictions: {{indexes: [[tenant_id], [tenant_id, created_at]]}}
"""


@dataclass(frozen=True)
class Divided:
    """A multi-tenant database of this test's own: as its owner sees it, and as the application does."""

    owner: str
    application: str


@pytest.fixture(scope="module")
def template(postgres_server: EmbeddedPostgres) -> Iterator[Divided]:
    """A database that is wholly multi-tenant, to copy."""
    name = f"divided_{secrets.token_hex(6)}"
    run_sql(postgres_server.admin_url.reveal(), f"CREATE DATABASE {name} TEMPLATE template0")
    owner = postgres_server.url_for(name).reveal()
    try:
        with application_role(postgres_server, owner) as url:
            run_sql(owner, SEED)
            apply(owner, isolated(role_of(url)), contract=True)
            run_sql(owner, f"GRANT SELECT ON tenants TO {role_of(url)}")
            yield Divided(owner, url)
    finally:
        run_sql(postgres_server.admin_url.reveal(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def divided(template: Divided, postgres_server: EmbeddedPostgres) -> Iterator[Divided]:
    name, source = f"copy_{secrets.token_hex(6)}", template.owner.rpartition("/")[2]
    admin = postgres_server.admin_url.reveal()
    run_sql(admin, f"CREATE DATABASE {name} TEMPLATE {source}")
    yield Divided(*(f"{url.rpartition('/')[0]}/{name}" for url in (template.owner, template.application)))
    run_sql(admin, f"DROP DATABASE {name} WITH (FORCE)")


def tenancy(folder: Path, url: str) -> Context:
    return context(folder, f"database: {{url: '{url}'}}\n" + TABLES.format(role=role_of(url)))


def test_a_database_that_is_divided(project: Path, divided: Divided) -> None:
    result = run_check("security.multi-tenancy", tenancy(project, divided.application))
    expect(result, "pass", "All 6 tables", "present and active", "forced row-level security")
    expect(run_check("readiness.tenant-indexes", tenancy(project, divided.application)), "pass", "15 valid")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("DROP TABLE tenants CASCADE", "tenants: there is no such table"),
        ("ALTER TABLE projects DISABLE TRIGGER ALL; DELETE FROM tenants", "default tenant is missing"),
        ("UPDATE tenants SET is_active = false", "inactive"),
        ("DROP TABLE predictions", "predictions: there is no such table"),
        ("ALTER TABLE predictions DROP COLUMN tenant_id CASCADE", "no column tenant_id"),
        ("ALTER TABLE predictions ALTER tenant_id DROP NOT NULL", "may be NULL"),
        ("ALTER TABLE predictions DROP CONSTRAINT fk_predictions_tenant_id_tenants", "no foreign key to tenants"),
        (
            """ALTER TABLE predictions DROP CONSTRAINT fk_predictions_tenant_id_tenants,
            ADD CONSTRAINT fk FOREIGN KEY (tenant_id) REFERENCES tenants NOT VALID""",
            "not validated",
        ),
        ("ALTER TABLE predictions DISABLE ROW LEVEL SECURITY", "row-level security is off"),
        ("ALTER TABLE predictions NO FORCE ROW LEVEL SECURITY", "not forced"),
        (
            """DO $$ DECLARE p record; BEGIN FOR p IN SELECT policyname FROM pg_policies WHERE tablename = 'predictions'
            LOOP EXECUTE 'DROP POLICY ' || p.policyname || ' ON predictions'; END LOOP; END $$""",
            "no policy",
        ),
    ],
)
def test_a_database_that_is_not(project: Path, divided: Divided, fault: str, word: str) -> None:
    run_sql(divided.owner, fault)
    expect(run_check("security.multi-tenancy", tenancy(project, divided.application)), "fail", word)


def test_a_column_of_another_type(project: Path, divided: Divided) -> None:
    run_sql(
        divided.owner,
        "DROP TABLE predictions",
        "CREATE TABLE predictions (id uuid PRIMARY KEY, created_at date, tenant_id text NOT NULL)",
    )
    expect(run_check("security.multi-tenancy", tenancy(project, divided.application)), "fail", "it is text", "uuid")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("DROP INDEX ix_projects_tenant_id_name", "projects (tenant_id, name): no valid index"),
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_projects_tenant_id_name'::regclass", "invalid"),
        (
            "CREATE INDEX x ON artifacts (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'x'::regclass",
            "x",
        ),
        ("DROP TABLE predictions", "predictions (tenant_id): no such table"),
        (
            "ALTER TABLE team_members ADD CONSTRAINT later FOREIGN KEY (project_id) REFERENCES projects NOT VALID",
            "foreign key later",
        ),
    ],
)
def test_indexes_that_do_not_serve(project: Path, divided: Divided, fault: str, word: str) -> None:
    run_sql(divided.owner, fault)
    expect(run_check("readiness.tenant-indexes", tenancy(project, divided.application)), "fail", word)


def test_an_index_of_another_name_will_do(project: Path, divided: Divided) -> None:
    run_sql(divided.owner, "ALTER INDEX ix_projects_tenant_id_name RENAME TO mine")
    expect(run_check("readiness.tenant-indexes", tenancy(project, divided.application)), "pass")


def test_a_database_without_any_tenancy(project: Path, database: str) -> None:
    ctx = context(project, f"database: {{url: '{database}'}}\ntenancy: {{}}\n")
    expect(run_check("security.multi-tenancy", ctx), "fail", "no table")


@pytest.mark.parametrize("check_id", ["security.multi-tenancy", "readiness.tenant-indexes"])
def test_what_cannot_be_seen_is_an_error(project: Path, divided: Divided, check_id: str) -> None:
    ctx = context(project, f"database: {{url: 'postgresql://a:b@127.0.0.1:{free_port()}/x'}}\ntenancy: {{}}\n")
    assert expect(run_check(check_id, ctx), "error").needs == "PostgreSQL"
    run_sql(divided.owner, f"REVOKE ALL ON tenants FROM {role_of(divided.application)}")
    expect(run_check(check_id, tenancy(project, divided.application)), "error", "may not read tenants")
    ctx = context(project, f"database: {{url: '{divided.owner}'}}\n")
    expect(run_check(check_id, ctx), "skip", "tenancy is not configured")


@pytest.mark.parametrize(
    ("login", "status"),
    [
        ("{path: /login, body: {email: '{username}', password: '{password}'}}", "pass"),
        ("{path: '/{tenant}/login', body: {email: '{username}', password: '{password}'}}", "fail"),
    ],
    ids=["by-name-alone", "within-a-tenant"],
)
def test_a_name_that_a_user_is_found_by_cannot_repeat(project: Path, divided: Divided, login: str, status: str) -> None:
    run_sql(divided.owner, "ALTER TABLE team_members ADD COLUMN email text, ADD CONSTRAINT mail UNIQUE (email)")
    yaml = (
        f"api: {{url: 'https://localhost', auth: {{login: {login}}}}}\n"
        f"database: {{url: '{divided.application}', password_hashes: {{table: team_members, column: email}}}}\n"
    )
    ctx = context(project, yaml + TABLES.format(role=role_of(divided.application)))
    expect(run_check("security.tenant-constraints", ctx), status, "email")


def test_owning_a_table_is_no_way_around_its_policies_where_they_are_forced(project: Path, divided: Divided) -> None:
    role = role_of(divided.application)
    run_sql(divided.owner, f"ALTER TABLE predictions OWNER TO {role}")
    try:
        result = run_check("security.postgres-role", tenancy(project, divided.application))
        expect(result, "pass", "no right beyond its work", "neither owned nor truncated")
        run_sql(divided.owner, "ALTER TABLE predictions NO FORCE ROW LEVEL SECURITY")
        result = run_check("security.postgres-role", tenancy(project, divided.application))
        expect(result, "warn", "owns predictions, whose row-level security is not forced")
    finally:
        run_sql(divided.owner, "ALTER TABLE predictions OWNER TO CURRENT_USER")


def test_what_postgresql_refuses_is_said_to_be_its_refusal(project: Path, divided: Divided) -> None:
    role = role_of(divided.application)
    run_sql(divided.owner, f"ALTER ROLE {role} SET row_security = off")
    try:
        result = run_check("security.tenant-orphans", tenancy(project, divided.application))
    finally:
        run_sql(divided.owner, f"ALTER ROLE {role} RESET row_security")
    expect(result, "error", "PostgreSQL refused a statement", "row-level security", "(42501)")
    assert "crashed" not in result.message


@pytest.mark.parametrize(
    ("rule", "status", "words"),
    [
        ("FOR UPDATE USING ({own}) WITH CHECK (tenant_id IS NOT NULL)", "fail", "give a row to another tenant"),
        ("FOR UPDATE USING (name <> '') WITH CHECK ({own})", "fail", "change another's rows"),
        ("FOR DELETE USING (name IS NOT NULL)", "fail", "delete another's rows"),
        ("FOR UPDATE USING ({own}) WITH CHECK ({own})", "pass", "no row of another tenant"),
        ("FOR DELETE USING (name = CURRENT_USER)", "pass", "no row of another tenant"),
    ],
)
def test_a_policy_for_writing_that_asks_for_no_tenant(
    project: Path, divided: Divided, rule: str, status: str, words: str
) -> None:
    own = "tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid"
    role = role_of(divided.application)
    run_sql(divided.owner, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(divided.owner, f"CREATE POLICY further ON artifacts {rule.format(own=own)}")
    expect(run_check("security.tenant-rls", tenancy(project, divided.application)), status, words)


@pytest.mark.parametrize(
    ("index", "status", "words"),
    [
        ("(lower(name))", "fail", "projects (lower(name))"),
        ("(name) INCLUDE (tenant_id)", "fail", "projects (name)"),
        ("(tenant_id, lower(name))", "pass", "No unique constraint"),
    ],
)
def test_a_unique_index_over_expressions(project: Path, divided: Divided, index: str, status: str, words: str) -> None:
    run_sql(divided.owner, f"CREATE UNIQUE INDEX further ON projects {index}")
    expect(run_check("security.tenant-constraints", tenancy(project, divided.application)), status, words)


def test_keys_that_name_no_tenant_where_composite_ones_are_asked_for(project: Path, divided: Divided) -> None:
    yaml = f"database: {{url: '{divided.application}'}}\n" + TABLES.format(role=role_of(divided.application))
    asked = yaml.replace("tenancy:", "tenancy:\n  composite_keys: true", 1)
    run_sql(divided.owner, "ALTER TABLE predictions ADD COLUMN project uuid REFERENCES projects")
    expect(run_check("security.multi-tenancy", context(project, yaml)), "pass")
    found = expect(run_check("security.multi-tenancy", context(project, asked)), "fail", "another tenant's projects")
    assert [row.name for row in found.evidence] == ["predictions.project"]
    run_sql(
        divided.owner,
        "ALTER TABLE projects ADD UNIQUE (tenant_id, id)",
        "ALTER TABLE predictions ADD FOREIGN KEY (tenant_id, project) REFERENCES projects (tenant_id, id)",
    )
    expect(run_check("security.multi-tenancy", context(project, asked)), "pass")


@pytest.mark.parametrize(
    ("columns", "check", "status", "words"),
    [
        (
            "tenant_id uuid, amount int",
            "security.tenant-rls",
            "fail",
            "bills: read another's rows row-level security is off",
        ),
        ("project uuid REFERENCES projects", "security.multi-tenancy", "warn", "its rows hang on projects"),
        ("amount int", "security.multi-tenancy", "pass", "bound to their tenant"),
    ],
)
def test_a_table_that_nobody_thought_of(
    project: Path, divided: Divided, columns: str, check: str, status: str, words: str
) -> None:
    role = role_of(divided.application)
    run_sql(divided.owner, f"CREATE TABLE bills (id int PRIMARY KEY, {columns})")
    run_sql(divided.owner, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    expect(run_check(check, tenancy(project, divided.application)), status, words)


def test_rows_of_no_tenant_that_nobody_sees_are_not_ruled_out(project: Path, divided: Divided) -> None:
    role = role_of(divided.application)
    run_sql(divided.owner, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    expect(run_check("security.tenant-orphans", tenancy(project, divided.application)), "pass")
    run_sql(divided.owner, "ALTER TABLE predictions DROP CONSTRAINT fk_predictions_tenant_id_tenants")
    result = run_check("security.tenant-orphans", tenancy(project, divided.application))
    expect(result, "error", "cannot be ruled out in predictions")
