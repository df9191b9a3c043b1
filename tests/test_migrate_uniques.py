"""Uniques per tenant where they are awkward: partitioned tables, comments, REPLICA IDENTITY, two of a kind, heirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_migrate_apply import dump, run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import DefaultTenant, Rls, Tenancy
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.errors import MaestroError

PARTITIONED = """
CREATE TABLE account (id bigint PRIMARY KEY);
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY, at date NOT NULL, slug text NOT NULL, account bigint NOT NULL REFERENCES account,
    PRIMARY KEY (id, at, slug), CONSTRAINT event_slug UNIQUE (slug, at) DEFERRABLE INITIALLY DEFERRED) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-07-01') TO ('2027-01-01') PARTITION BY LIST (slug);
CREATE TABLE event_2a PARTITION OF event_2 FOR VALUES IN ('a', 'b');
CREATE TABLE event_2b PARTITION OF event_2 DEFAULT;
CREATE UNIQUE INDEX event_lower ON event (at, lower(slug), slug) WHERE slug <> '';
CREATE UNIQUE INDEX event_1_own ON event_1 (slug) WHERE slug <> 'x';
COMMENT ON CONSTRAINT event_slug ON event IS 'the ''old'' one';
COMMENT ON INDEX event_2a_slug_at_key IS 'of a partition';
CREATE TABLE note (
    id bigint PRIMARY KEY, event bigint, at date, slug text,
    FOREIGN KEY (event, at, slug) REFERENCES event ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE);
INSERT INTO account VALUES (1);
INSERT INTO event (at, slug, account) VALUES ('2026-02-02', 'a', 1), ('2026-08-08', 'a', 1), ('2026-08-08', 'z', 1);
INSERT INTO note SELECT id, id, at, slug FROM event;
"""

AWKWARD = """
CREATE TABLE person (
    id bigint PRIMARY KEY, mail varchar(99), boss bigint REFERENCES person ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    state varchar(9) NOT NULL, CONSTRAINT "Mail, once" UNIQUE (mail));
COMMENT ON CONSTRAINT "Mail, once" ON person IS 'said';
CREATE UNIQUE INDEX person_mail_again ON person (mail);
COMMENT ON INDEX person_mail_again IS 'said again';
CREATE UNIQUE INDEX person_busy ON person (mail, boss) WHERE state IN ('busy', 'it''s');
CREATE TABLE published (id bigint PRIMARY KEY, number int NOT NULL, other int);
CREATE UNIQUE INDEX published_number ON published (number);
ALTER TABLE published REPLICA IDENTITY USING INDEX published_number;
CREATE UNIQUE INDEX published_other ON published (other);
ALTER TABLE published CLUSTER ON published_other;
CREATE TABLE code (id int PRIMARY KEY, code text UNIQUE NOT NULL);
CREATE TABLE use (
    id int PRIMARY KEY, code text, CONSTRAINT "uses a code" FOREIGN KEY (code) REFERENCES code (code) MATCH FULL ON UPDATE CASCADE,
    CONSTRAINT again FOREIGN KEY (code) REFERENCES code (code) ON DELETE CASCADE DEFERRABLE);
COMMENT ON CONSTRAINT "uses a code" ON use IS 'why';
INSERT INTO code VALUES (1, 'c'); INSERT INTO use VALUES (1, 'c'), (2, NULL);
CREATE TABLE animal (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE dog (bark text, PRIMARY KEY (id)) INHERITS (animal);
INSERT INTO person VALUES (1, 'a', NULL, 'busy'), (2, 'b', 1, 'idle');
INSERT INTO published VALUES (1, 1, 1);
INSERT INTO animal (name) VALUES ('cat'); INSERT INTO dog (name) VALUES ('rex');
"""

QUOTED = Tenancy(
    column="Org Id",
    type="bigint",
    tenants_table="Orgs",
    default_tenant=DefaultTenant(id="7", name="D", slug="d"),
    unique="per_tenant",
    composite_keys=True,
)


def whole(role: str) -> Tenancy:
    return Tenancy(unique="per_tenant", composite_keys=True, rls=Rls(role=role))


def there_and_back(server: EmbeddedPostgres, database: str, tenancy: Tenancy) -> None:
    """Forward, back and forward: the schema is what it was, and then what it became."""
    before = dump(server, database)
    tenants.apply(database, tenancy, contract=True)
    forward = dump(server, database)
    assert tenants.plan(database, tenancy, contract=True).steps == ()
    tenants.rollback(database, tenancy)
    assert dump(server, database) == before
    tenants.apply(database, tenancy, contract=True)
    assert dump(server, database) == forward


@pytest.mark.parametrize("schema", [PARTITIONED, AWKWARD], ids=["partitioned", "awkward"])
def test_forward_back_forward(database: str, postgres_server: EmbeddedPostgres, role: str, schema: str) -> None:
    run(database, schema, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    run(database, f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    there_and_back(postgres_server, database, whole(role))
    found = tenants.verify(database, whole(role), test_the_proof=True)
    assert [str(finding) for finding in found.findings] == []


@pytest.mark.parametrize("schema", [PARTITIONED, AWKWARD], ids=["partitioned", "awkward"])
def test_forward_back_forward_with_names_that_need_quotes(
    database: str, postgres_server: EmbeddedPostgres, schema: str
) -> None:
    run(database, schema)
    there_and_back(postgres_server, database, QUOTED)


def test_two_tenants_may_have_the_same_in_a_partition(database: str, role: str) -> None:
    run(database, PARTITIONED)
    tenants.apply(database, whole(role), contract=True)
    other = "INSERT INTO tenants (id, name, slug) VALUES ('11111111-1111-4111-8111-111111111111', 'B', 'b')"
    run(database, other, "INSERT INTO account (id, tenant_id) VALUES (2, '11111111-1111-4111-8111-111111111111')")
    columns = "INSERT INTO event (tenant_id, at, slug, account) VALUES"
    same = f"{columns} ('11111111-1111-4111-8111-111111111111', '2026-08-08', 'a', 2)"
    run(database, same)
    with pytest.raises(Exception, match="duplicate key"):
        run(database, same)
    names = run(database, "SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND NOT indisvalid")
    assert names == []
    with pytest.raises(MaestroError, match="tenants besides the default one"):
        tenants.rollback(database, whole(role))


@pytest.mark.parametrize("stop_after", range(1, 60, 6))
def test_interrupted_anywhere_a_partitioned_unique_is_finished(
    database: str, postgres_server: EmbeddedPostgres, stop_after: int
) -> None:
    run(database, PARTITIONED)
    tenancy = Tenancy(unique="per_tenant", composite_keys=True)
    left = stop_after

    class StoppedError(Exception):
        pass

    def stopping(progress: object) -> None:
        nonlocal left
        if getattr(progress, "state", "") == "done":
            left -= 1
            if left == 0:
                raise StoppedError

    before = dump(postgres_server, database)
    with pytest.raises(StoppedError):
        tenants.apply(database, tenancy, contract=True, on_progress=stopping)
    tenants.apply(database, tenancy, contract=True)
    forward = dump(postgres_server, database)
    left = stop_after
    try:
        tenants.rollback(database, tenancy, on_progress=stopping)
    except StoppedError:
        tenants.rollback(database, tenancy)
    assert dump(postgres_server, database) == before
    tenants.apply(database, tenancy, contract=True)
    assert dump(postgres_server, database) == forward


def test_a_composite_key_defers_and_cascades_as_the_plain_one(database: str) -> None:
    run(database, PARTITIONED, AWKWARD)
    tenants.apply(database, Tenancy(composite_keys=True))
    keys = dict(
        run(
            database,
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND array_length(conkey, 1) > 1"
            " AND conrelid IN ('person'::regclass, 'note'::regclass) AND conname LIKE 'fk%' AND conparentid = 0",
        )
    )
    assert keys["fk_person_tenant_id_boss_person"].endswith(" DEFERRABLE INITIALLY DEFERRED")
    note = keys["fk_note_tenant_id_event_at_slug_event"]
    assert note.endswith("ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE")
    run(
        database,
        "BEGIN; INSERT INTO person VALUES (4, 'd', 5, 'idle'); INSERT INTO person VALUES (5, 'e', NULL, 'x'); COMMIT",
    )
    run(database, "DELETE FROM person WHERE id = 5")
    assert run(database, "SELECT boss, tenant_id IS NOT NULL FROM person WHERE id = 4") == [(None, True)]


def test_a_unique_that_a_foreign_key_needs_goes_where_a_composite_key_stands_for_it(database: str) -> None:
    run(database, AWKWARD)
    keeping = Tenancy(unique="per_tenant")
    notes = {(note.kind, note.object) for note in tenants.plan(database, keeping).notes}
    assert ("unique-needed", "code_code_key") in notes
    tenants.apply(database, keeping, contract=True)
    assert run(database, "SELECT count(*) FROM pg_constraint WHERE conname = 'code_code_key'") == [(1,)]
    tenants.apply(database, Tenancy(unique="per_tenant", composite_keys=True), contract=True)
    assert run(database, "SELECT count(*) FROM pg_constraint WHERE conname = 'code_code_key'") == [(0,)]
    with pytest.raises(Exception, match="violates foreign key constraint"):
        run(database, "INSERT INTO use (id, code, tenant_id) SELECT 3, 'nowhere', id FROM tenants")


def test_privileges_that_the_contract_step_takes_are_given_back(
    database: str, postgres_server: EmbeddedPostgres, role: str
) -> None:
    run(database, PARTITIONED, "CREATE TABLE tenants (id uuid PRIMARY KEY, name text, slug text)")
    run(database, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", "GRANT SELECT, TRIGGER ON note TO PUBLIC")
    run(database, f"GRANT TRUNCATE ON account TO {role} WITH GRANT OPTION")
    before = dump(postgres_server, database)
    tenancy = whole(role)
    tenants.apply(database, tenancy, contract=True)
    assert not {f.kind for f in tenants.verify(database, tenancy).findings} & {
        "may-truncate",
        "may-trigger",
        "may-reference",
    }
    forward = dump(postgres_server, database)
    tenants.rollback(database, tenancy)
    assert dump(postgres_server, database) == before
    tenants.apply(database, tenancy, contract=True)
    assert dump(postgres_server, database) == forward


def test_the_script_is_clean_and_does_the_same(
    database: str, postgres_server: EmbeddedPostgres, role: str, tmp_path: Path
) -> None:
    run(database, PARTITIONED, AWKWARD)
    tenancy, file = whole(role), tmp_path / "migration.sql"
    file.write_text(tenants.script(database, tenancy, contract=True))
    squawk = Path(sys.executable).with_name("squawk")
    linted = subprocess.run([squawk, "--reporter", "json", file], capture_output=True, text=True, check=False)
    assert linted.stdout.strip() in {"", "[]"}, linted.stdout
    psql: list[str | Path] = [
        postgres_server.programs / "psql",
        database,
        "-q",
        "--set",
        "ON_ERROR_STOP=1",
        "--file",
        file,
    ]
    subprocess.run(psql, check=True, capture_output=True)
    assert tenants.plan(database, tenancy, contract=True).steps == ()
