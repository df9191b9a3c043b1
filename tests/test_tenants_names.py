"""Names, quoting, literals and URLs: the small pure parts that everything else stands on."""

from __future__ import annotations

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.errors import ConfigurationError, UsageError
from maestro_cli.tenants import names, sql
from maestro_cli.tenants.spec import _assign, _constant
from maestro_cli.tenants.urls import is_postgres, is_sqlite, libpq_url, shown, sqlite_path


@given(
    st.lists(st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text and text.isprintable()), min_size=1)
)
def test_a_name_never_exceeds_what_postgresql_keeps(parts: list[str]) -> None:
    made = names.name("ix", *parts)
    assert len(made.encode()) <= names.LIMIT
    assert made == names.name("ix", *parts)
    made.encode().decode()


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert names.index_name("t", ["a" * 70, "x"]) != names.index_name("t", ["a" * 70, "y"])
    assert names.index_name("artifacts", ["tenant_id", "created_at"]) == "ix_artifacts_tenant_id_created_at"
    assert names.foreign_key_name("artifacts", ["tenant_id"], "tenants") == "fk_artifacts_tenant_id_tenants"
    assert names.unique_name("projects", ["tenant_id", "name"]) == "uq_projects_tenant_id_name"


WORDS = [
    "plain",
    "user",
    "Order",
    'a"b',
    "select",
    "a b",
    "ünïcode",
    "100%",
    "a'b",
    "a\\b",
    "timestamp",
    "1st",
    "offset",
]


def test_the_server_reads_back_every_name_and_literal(database: str) -> None:
    connection = psycopg2.connect(database)
    with connection.cursor() as cursor:
        for word in WORDS:
            cursor.execute(f"SELECT 1 AS {sql.identifier(word)}")
            assert cursor.description is not None
            assert cursor.description[0].name == word
            cursor.execute(f"CREATE TEMP TABLE {sql.identifier(word)} ({sql.identifier(word)} int)")
            cursor.execute(f"SELECT {sql.literal(word)}")
            assert cursor.fetchone() == (word,)
        cursor.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
        assert {row[0] for row in cursor.fetchall()} <= sql._RESERVED
    connection.close()


@pytest.mark.parametrize(
    ("assign", "type_", "constant"),
    [
        ("AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA", "uuid", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"),
        ("'it''s'", "text", "it's"),
        ("7", "bigint", "7"),
        ("region", "text", None),
        ("project_id → projects", "uuid", None),
        ("7", "text", None),
    ],
)
def test_a_constant_is_told_from_an_expression(assign: str, type_: str, constant: str | None) -> None:
    assert _constant(assign, type_) == constant


def test_a_path_is_told_from_an_expression() -> None:
    assert str(_assign("project_id->projects")) == "JoinPath(column='project_id', parent='projects')"
    assert str(_assign("meta ->> 'tenant'")) == "Expression(sql=\"meta ->> 'tenant'\")"
    assert str(_assign("meta->>'tenant'")).startswith("Expression")
    assert str(_assign("meta->'tenant'")).startswith("Expression")
    assert str(_assign('"My Column" → "My Table"')) == "JoinPath(column='My Column', parent='My Table')"
    assert str(_assign("(meta -> 'a' ->> 'b')::uuid")).startswith("Expression")


@pytest.mark.parametrize(("value", "type_"), [("x", "uuid"), ("1.5", "bigint"), ("1; DROP TABLE t", "bigint")])
def test_a_tenant_of_the_wrong_type_is_refused(value: str, type_: str) -> None:
    with pytest.raises(ConfigurationError):
        sql.tenant_literal(value, type_)


@pytest.mark.parametrize(
    ("url", "libpq"),
    [
        ("postgresql+asyncpg://u:p@h/d?ssl=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgres://u@h:5/d", "postgresql://u@h:5/d"),
        ("postgresql+psycopg://u@/d?host=/tmp/x", "postgresql://u@/d?host=%2Ftmp%2Fx"),
        ("postgresql://u@h/d?options=-c%20work_mem%3D8MB", "postgresql://u@h/d?options=-c%20work_mem%3D8MB"),
    ],
)
def test_urls_become_libpqs(url: str, libpq: str) -> None:
    assert is_postgres(url)
    assert not is_sqlite(url)
    assert libpq_url(url) == libpq


def test_urls_that_are_not_ours() -> None:
    with pytest.raises(UsageError, match="neither PostgreSQL nor SQLite"):
        libpq_url("mysql://u:secret@h/d")
    with pytest.raises(UsageError, match="can't be read"):
        libpq_url("postgresql://u:secret@[::1/d")
    with pytest.raises(UsageError, match="in memory"):
        sqlite_path("sqlite://")
    assert sqlite_path("sqlite+aiosqlite:////var/a%20b.db") == "/var/a b.db"
    assert sqlite_path("sqlite:///a.db") == "a.db"


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@h/d", "postgresql://h/d?user=u&password=secret", "postgresql://u:s:e@cret@h/d"]
)
def test_a_shown_url_has_no_password(url: str) -> None:
    assert "secret" not in shown(url)
    assert "cret" not in shown(url)
    assert "h/d" in shown(url)
