"""Schemas that nobody made for this: MLflow's, and one with the odd things that real schemas have."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_migrate_apply import dump, run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Rls, Tenancy
from maestro_cli.demo.servers import EmbeddedPostgres

MLFLOW = Path(__file__).parent / "schemas" / "mlflow.sql"

ODD = """
CREATE TYPE mood AS ENUM ('fine', 'so so');
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1900 AND 2200);
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE language (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name character(20) NOT NULL);
CREATE TABLE film (
    film_id serial PRIMARY KEY, title varchar(255) NOT NULL, made year NOT NULL, mood mood NOT NULL,
    language_id smallint NOT NULL REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT, original smallint REFERENCES language,
    fulltext tsvector NOT NULL, features text[] NOT NULL, price numeric(5, 2) CHECK (price > 0) NOT NULL,
    taxed numeric GENERATED ALWAYS AS (price * 1.2) STORED, "order" int);
CREATE UNIQUE INDEX film_title ON film (lower(title), made) WHERE mood = 'fine';
CREATE INDEX film_text ON film USING gist (fulltext);
CREATE FUNCTION film_fulltext() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.fulltext := to_tsvector(NEW.title); RETURN NEW; END';
CREATE TRIGGER film_fulltext BEFORE INSERT OR UPDATE ON film FOR EACH ROW EXECUTE FUNCTION film_fulltext();
CREATE TABLE actor (id uuid PRIMARY KEY, mail email NOT NULL UNIQUE, boss uuid REFERENCES actor ON DELETE SET NULL, ip inet NOT NULL);
CREATE TABLE film_actor (
    actor uuid REFERENCES actor ON DELETE CASCADE, film int REFERENCES film, PRIMARY KEY (actor, film));
CREATE TABLE booking (
    film int NOT NULL REFERENCES film, during tstzrange NOT NULL, code char(4) NOT NULL,
    CONSTRAINT code_is_upper CHECK (code ~ '^[A-Z]{4}$'));
CREATE TABLE note (body text);
CREATE TABLE payment (id bigint, at timestamptz NOT NULL, actor uuid NOT NULL, amount money NOT NULL, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE payment_2026 PARTITION OF payment FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE payment_rest PARTITION OF payment DEFAULT;
ALTER TABLE payment_2026 ADD FOREIGN KEY (actor) REFERENCES actor;
CREATE VIEW nice_film AS SELECT * FROM film WHERE mood = 'fine';
INSERT INTO language (name) VALUES ('English');
INSERT INTO film (title, made, mood, language_id, features, price) VALUES ('A', 2020, 'fine', 1, '{}', 3), ('B', 2021, 'so so', 1, '{a}', 4);
INSERT INTO actor VALUES (gen_random_uuid(), 'a@b', NULL, '127.0.0.1');
INSERT INTO film_actor SELECT id, 1 FROM actor;
INSERT INTO booking VALUES (1, '[2026-01-01, 2026-02-01)', 'ABCD');
INSERT INTO payment SELECT i, '2026-05-05'::timestamptz + i * interval '90 days', id, 1 FROM actor, generate_series(1, 20) i;
"""


@pytest.mark.parametrize("schema", ["mlflow", "odd"])
def test_plan_apply_verify_rollback(database: str, postgres_server: EmbeddedPostgres, role: str, schema: str) -> None:
    run(database, MLFLOW.read_text() if schema == "mlflow" else ODD)
    run(
        database,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "REVOKE ALL ON nice_film FROM PUBLIC" if schema == "odd" else "SELECT 1",
        f"REVOKE ALL ON nice_film FROM {role}" if schema == "odd" else "SELECT 1",
    )
    plain = Tenancy()
    whole = Tenancy(composite_keys=True, unique="per_tenant", rls=Rls(role=role))
    before = dump(postgres_server, database)
    count = len(tenants.plan(database, plain).tables)
    assert count == {"mlflow": 70, "odd": 7}[schema]
    tenants.apply(database, plain)
    assert tenants.verify(database, plain).findings == ()
    tenants.rollback(database, plain)
    assert dump(postgres_server, database) == before

    tenants.apply(database, whole, contract=True)
    found = tenants.verify(database, whole)
    assert [str(finding) for finding in found.findings if finding.severity == "error"] == []
    assert found.proof is not None
    assert found.proof.holds
    assert len(found.proof.tables) == count
    forward = dump(postgres_server, database)
    tenants.rollback(database, whole)
    assert dump(postgres_server, database) == before
    tenants.apply(database, whole, contract=True)
    assert dump(postgres_server, database) == forward
