"""The report on readiness for Citus, and its script: the part that plain PostgreSQL knows is run here."""

from __future__ import annotations

from tenants_schema import ROWS, SEED, TABLES
from test_migrate_apply import run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.tenants.citus import report


def test_what_is_in_the_way_is_named(database: str) -> None:
    run(database, SEED, "ALTER TABLE projects ADD UNIQUE (name)")
    tenants.apply(database, Tenancy(tables=TABLES, shared=("users",)))
    found = report(database, Tenancy(tables=TABLES, shared=("users",)))
    assert not found.ready
    errors = {(finding.kind, finding.object) for finding in found.findings if finding.severity == "error"}
    assert ("key-without-tenant", "artifacts") in errors
    assert ("unique-without-tenant", "projects.projects_name_key") in errors
    assert ("plain-key", "predictions.predictions_project_id_fkey") in errors


def test_the_order_of_the_hand_over(database: str) -> None:
    run(database, SEED, ROWS)
    tenancy = Tenancy(tables=TABLES, shared=("users",), composite_keys=True, unique="per_tenant")
    tenants.apply(database, tenancy, contract=True)
    found = report(database, tenancy)
    lines = found.script.splitlines()
    assert found.script.count("create_distributed_table_concurrently") == 6
    assert found.script.count("colocate_with => 'public.projects'") == 5
    first = [next(i for i, line in enumerate(lines) if word in line) for word in
             ("DROP CONSTRAINT", "PRIMARY KEY", "create_reference_table", "create_distributed", "ADD CONSTRAINT fk_")]  # fmt: skip
    assert first == sorted(first)
    # Without the calls of the extension the script is plain SQL: it leaves every key with the tenant in it.
    plain = "\n".join(line for line in lines if "EXTENSION" not in line and not line.startswith("SELECT"))
    run(database, plain)
    after = report(database, tenancy)
    assert after.ready, [str(finding) for finding in after.findings]
    orphans = "INSERT INTO team_members (tenant_id, project_id) SELECT gen_random_uuid(), id FROM projects LIMIT 1"
    import psycopg2
    import pytest

    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run(database, orphans)
