"""What is proposed where maestro.yaml names no table: not what frameworks and migration tools keep."""

from __future__ import annotations

import secrets

from test_migrate_apply import run

from maestro_cli import tenants
from maestro_cli.commands.migrate_view import plan_table
from maestro_cli.config.tenancy_settings import Rls, Tenancy

FRAMEWORKS = """
CREATE TABLE my_versions (version_num varchar(32) PRIMARY KEY);
CREATE TABLE migrations (id int PRIMARY KEY, migration text, batch int);
CREATE TABLE django_migrations (id int PRIMARY KEY);
CREATE TABLE django_content_type (id int PRIMARY KEY);
CREATE TABLE django_session (session_key text PRIMARY KEY);
CREATE TABLE auth_permission (id int PRIMARY KEY);
CREATE TABLE people (id int PRIMARY KEY);
CREATE TABLE people_groups (id int PRIMARY KEY, user_id int REFERENCES people);
CREATE TABLE django_admin_log (id int PRIMARY KEY, user_id int NOT NULL REFERENCES people);
CREATE TABLE ab_user (id int PRIMARY KEY);
CREATE TABLE version_info (id int PRIMARY KEY CHECK (id = 1), version int);
CREATE TABLE single (id boolean PRIMARY KEY DEFAULT true CHECK (id));
CREATE TABLE orders (id int PRIMARY KEY CHECK (id > 0));
"""

UNGUESSABLE = """
CREATE TABLE study (id int PRIMARY KEY);
CREATE TABLE attribute (id int PRIMARY KEY, study int REFERENCES study, key text, UNIQUE (study, key));
CREATE TABLE link (
    id int PRIMARY KEY, one int NOT NULL REFERENCES study, two int NOT NULL REFERENCES study, CHECK (one <> two));
CREATE TABLE run (id int PRIMARY KEY, state int);
CREATE TABLE state (id int PRIMARY KEY, run int UNIQUE REFERENCES run);
ALTER TABLE run ADD FOREIGN KEY (state) REFERENCES state, ADD UNIQUE (state);
"""


def test_frameworks_tables_are_proposed_as_shared_with_a_reason(database: str) -> None:
    run(database, FRAMEWORKS)
    plan = tenants.plan(database, Tenancy())
    assert plan.tables == ("django_admin_log", "orders")
    assert set(plan.shared) == {
        "ab_user",
        "auth_permission",
        "django_content_type",
        "django_session",
        "people",
        "people_groups",
        "single",
        "version_info",
    }
    reasons = {note.object: note.message for note in plan.notes if note.kind == "proposed-shared"}
    assert set(reasons) == set(plan.shared)
    assert "one row only" in reasons["version_info"]
    assert "before a tenant is known" in reasons["people"]
    assert "shared: [ab_user, auth_permission," in plan_table(plan)
    named = tenants.plan(database, Tenancy(shared=("people",)))
    assert "people" not in named.shared
    tenants.apply(database, Tenancy())
    assert run(
        database, "SELECT count(*) FROM pg_attribute WHERE attname = 'tenant_id' AND attrelid = 'people'::regclass"
    ) == [(0,)]


def test_rows_are_planted_where_keys_are_unique_may_be_empty_or_must_differ(database: str) -> None:
    role = f"app_{secrets.token_hex(4)}"
    run(database, UNGUESSABLE, f"CREATE ROLE {role}")
    run(database, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    try:
        tenancy = Tenancy(unique="per_tenant", composite_keys=True, rls=Rls(role=role))
        tenants.apply(database, tenancy, contract=True)
        found = tenants.verify(database, tenancy, test_the_proof=True)
        assert [str(finding) for finding in found.findings] == []
        assert found.proof is not None
        assert len(found.proof.tables) == 5
    finally:
        run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_what_cannot_be_planted_is_said_without_a_row_of_anybodys(database: str) -> None:
    role = f"app_{secrets.token_hex(4)}"
    run(database, "CREATE TABLE person (id int PRIMARY KEY, mail text UNIQUE CHECK (mail = 'ann@example.org'))")
    run(database, "INSERT INTO person VALUES (1, 'ann@example.org')", f"CREATE ROLE {role}")
    run(database, f"GRANT SELECT, INSERT, UPDATE, DELETE ON person TO {role}")
    try:
        tenancy = Tenancy(rls=Rls(role=role))
        tenants.apply(database, tenancy, contract=True)
        found = [finding for finding in tenants.verify(database, tenancy).findings if finding.kind == "not-proved"]
        said = " ".join(finding.message for finding in found)
        assert "no row could be planted" in said
        assert "ann@" not in said
    finally:
        run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
