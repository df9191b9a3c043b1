"""health: PostgreSQL and Redis, well and not so well."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from check_support import (
    application_role,
    at_port,
    context,
    delaying,
    expect,
    free_port,
    listening,
    role_of,
    run_check,
    run_sql,
    saying,
    valkey_admin,
)
from small_api import Asked, Said, serving

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.observe.health_report import words
from maestro_cli.redaction import Secret

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def with_database(folder: Path, url: str, *, max_ms: float = 2000, now: datetime = NOW, more: str = "") -> Context:
    return context(folder, f"database: {{url: '{url}', max_latency_ms: {max_ms}}}\n{more}", now=now)


@pytest.fixture
def role_url(postgres_server: EmbeddedPostgres, database: str) -> Iterator[str]:
    with application_role(postgres_server, database) as url:
        yield url


def test_postgres_up_is_seen_by_its_own_protocol(project: Path, database: str) -> None:
    expect(run_check("health.postgres-up", with_database(project, database)), "pass", "asks for a login")


def test_postgres_up_with_another_server_on_the_port_fails(project: Path) -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        result = run_check("health.postgres-up", with_database(project, f"postgresql://a:b@127.0.0.1:{port}/x"))
    expect(result, "fail", "not PostgreSQL", "HTTP/1.1 400")


def test_postgres_up_that_is_starting_fails(project: Path) -> None:
    fields = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    refusal = b"N" + b"E" + struct.pack("!i", 4 + len(fields)) + fields
    with saying(refusal) as port:
        result = run_check("health.postgres-up", with_database(project, f"postgresql://a:b@127.0.0.1:{port}/x"))
    expect(result, "fail", "starting up", "57P03")


@pytest.mark.parametrize("check_id", ["health.postgres-up", "health.postgres-answers", "health.query"])
def test_without_a_server_postgres_checks_are_errors_and_say_why_once(project: Path, check_id: str) -> None:
    ctx = with_database(project, f"postgresql://a:b@127.0.0.1:{free_port()}/x")
    result = expect(run_check(check_id, ctx), "error", "needs PostgreSQL, which is unreachable")
    assert result.needs == "PostgreSQL"
    assert "connection refused" in ctx.down["PostgreSQL"]


def test_postgres_up_over_a_server_that_says_nothing_is_an_error(project: Path) -> None:
    with saying(b"") as port:
        result = run_check("health.postgres-up", with_database(project, f"postgresql://a:b@127.0.0.1:{port}/x"))
    expect(result, "fail", "closed the connection")


def test_postgres_answers(project: Path, role_url: str) -> None:
    expect(run_check("health.postgres-answers", with_database(project, role_url)), "pass", "server version")


def test_postgres_answers_takes_an_async_url(project: Path, role_url: str) -> None:
    url = role_url.replace("postgresql://", "postgresql+asyncpg://")
    expect(run_check("health.postgres-answers", with_database(project, url)), "pass")


def test_postgres_slow(project: Path, role_url: str, postgres_server: EmbeddedPostgres) -> None:
    with delaying(postgres_server.port, 0.06) as port:
        result = run_check("health.postgres-answers", with_database(project, at_port(role_url, port), max_ms=50))
    expect(result, "fail", "round trip", "at most 50 ms")


def test_postgres_read_only(project: Path, role_url: str, database: str) -> None:
    run_sql(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET default_transaction_read_only = on")
    expect(run_check("health.postgres-answers", with_database(project, role_url)), "fail", "read-only")


def test_postgres_past_its_last_fix(project: Path, role_url: str) -> None:
    ctx = with_database(project, role_url, now=datetime(2039, 1, 1, tzinfo=UTC))
    expect(run_check("health.postgres-answers", ctx), "fail", "no fixes since")
    ctx = with_database(project, role_url, now=datetime(2030, 10, 1, tzinfo=UTC))
    expect(run_check("health.postgres-answers", ctx), "warn", "last fixes on 2030-11-14")


def test_query_reads_the_tables_that_the_role_may_read(project: Path, role_url: str, database: str) -> None:
    role = role_of(role_url)
    run_sql(database, "CREATE TABLE projects (id int)", f"GRANT SELECT ON projects TO {role}")
    expect(run_check("health.query", with_database(project, role_url)), "pass", "projects")


def test_query_with_nothing_to_read_fails(project: Path, role_url: str, database: str) -> None:
    run_sql(database, "CREATE TABLE projects (id int)")
    expect(run_check("health.query", with_database(project, role_url)), "fail", "no table")


TENANCY = "tenancy: {tables: {projects: {}, artifacts: {}}, rls: {role: app}}\n"


def test_query_reads_every_tenant_table_behind_row_level_security(project: Path, role_url: str, database: str) -> None:
    role = role_of(role_url)
    for table in ("projects", "artifacts"):
        run_sql(
            database,
            f"CREATE TABLE {table} (tenant_id uuid)",
            f"INSERT INTO {table} VALUES ('371191e4-9748-4b2a-9c7f-2d986463afa7')",
            f"GRANT SELECT ON {table} TO {role}",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY p ON {table} USING (tenant_id = current_setting('app.tenant_id')::uuid)",
        )
    ctx = with_database(project, role_url, more=TENANCY)
    expect(run_check("health.query", ctx), "pass", "projects", "artifacts")
    run_sql(database, f"REVOKE SELECT ON artifacts FROM {role}")
    ctx = with_database(project, role_url, more=TENANCY)
    expect(run_check("health.query", ctx), "fail", "artifacts", "permission denied")
    run_sql(database, "DROP TABLE artifacts")
    ctx = with_database(project, role_url, more=TENANCY)
    expect(run_check("health.query", ctx), "fail", "artifacts", "does not exist")


def test_query_on_a_locked_table_fails_in_bounded_time(project: Path, role_url: str, database: str) -> None:
    role = role_of(role_url)
    run_sql(database, "CREATE TABLE projects (id int)", f"GRANT SELECT ON projects TO {role}")
    holder = psycopg2.connect(database)
    try:
        holder.cursor().execute("LOCK TABLE projects")
        expect(run_check("health.query", with_database(project, role_url)), "fail", "lock")
    finally:
        holder.close()


def with_redis(folder: Path, url: str, *, max_ms: float = 2000) -> Context:
    return context(folder, f"redis: {{url: '{url}', max_latency_ms: {max_ms}}}\n")


def test_redis_up_and_answers(project: Path, valkey_server: EmbeddedValkey) -> None:
    url = valkey_server.url.reveal()
    expect(run_check("health.redis-up", with_redis(project, url)), "pass", "NOAUTH")
    expect(run_check("health.redis-answers", with_redis(project, url)), "pass", "round trip")


def test_redis_up_with_another_server_on_the_port_fails(project: Path) -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        result = run_check("health.redis-up", with_redis(project, f"redis://127.0.0.1:{port}/0"))
    expect(result, "fail", "not Redis")


def test_redis_that_is_loading_fails(project: Path) -> None:
    with saying(b"-LOADING Redis is loading the dataset in memory\r\n") as port:
        result = run_check("health.redis-up", with_redis(project, f"redis://127.0.0.1:{port}/0"))
    expect(result, "fail", "loading its data")


@pytest.mark.parametrize("check_id", ["health.redis-up", "health.redis-answers"])
def test_without_a_server_redis_checks_are_errors(project: Path, check_id: str) -> None:
    result = run_check(check_id, with_redis(project, f"redis://127.0.0.1:{free_port()}/0"))
    assert expect(result, "error").needs == "Redis"


def test_redis_slow(project: Path, valkey_server: EmbeddedValkey) -> None:
    with delaying(valkey_server.port, 0.06) as port:
        url = at_port(valkey_server.url.reveal(), port)
        expect(run_check("health.redis-answers", with_redis(project, url, max_ms=50)), "fail", "at most 50 ms")


@contextlib.contextmanager
def claiming(*lines: str) -> Iterator[int]:
    """A server that speaks Redis's protocol and says these lines of itself."""
    told = "\r\n".join(["# Server", *lines, ""]).encode()

    def serve(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while length := stream.readline():
            words = [stream.readline() and stream.readline().strip().upper() for _ in range(int(length[1:]))]
            known = {b"INFO": b"$%d\r\n%s\r\n" % (len(told), told), b"PING": b"+PONG\r\n", b"CLIENT": b"+OK\r\n"}
            if not lines[0].startswith("redis_version:5"):
                known[b"HELLO"] = b"%1\r\n$5\r\nproto\r\n:3\r\n"
            connection.sendall(known.get(words[0], b"-ERR unknown command `%s`\r\n" % words[0]))

    with listening(serve) as port:
        yield port


@pytest.mark.parametrize(
    ("line", "now", "status", "word"),
    [
        ("redis_version:5.0.14", datetime(2026, 11, 1, tzinfo=UTC), "fail", "no fixes since"),
        ("redis_version:7.0.15", datetime(2026, 11, 1, tzinfo=UTC), "warn", "got its makers' last fixes"),
        ("redis_version:7.0.15", datetime(2028, 1, 1, tzinfo=UTC), "fail", "2024-07-29"),
        ("redis_version:8.6.1", datetime(2026, 11, 1, tzinfo=UTC), "pass", "supported"),
        ("redis_version:7.2.4\r\nvalkey_version:8.0.6", datetime(2027, 8, 1, tzinfo=UTC), "warn", "gets its makers'"),
    ],
)
def test_redis_past_its_last_fix(project: Path, line: str, now: datetime, status: str, word: str) -> None:
    with claiming(line) as port:
        ctx = with_redis(project, f"redis://127.0.0.1:{port}/0")
        ctx.now = now
        expect(run_check("health.redis-answers", ctx), status, word)


def test_redis_with_a_wrong_password_is_an_error(project: Path, valkey_server: EmbeddedValkey) -> None:
    url = valkey_server.url_for("app", Secret("not the password")).reveal()
    ctx = with_redis(project, url)
    assert expect(run_check("health.redis-answers", ctx), "error").needs == "Redis"
    assert "password is refused" in ctx.down["Redis"]


def test_redis_user_who_may_not_ping(project: Path, valkey_server: EmbeddedValkey) -> None:
    with valkey_admin(valkey_server) as admin:
        admin("ACL", "SETUSER", "mute", "on", ">muted-password", "~*", "+@read", "-ping")
        try:
            url = valkey_server.url_for("mute", Secret("muted-password")).reveal()
            expect(run_check("health.redis-answers", with_redis(project, url)), "fail", "no permissions")
        finally:
            admin("ACL", "DELUSER", "mute")


AUTH = "auth: {login: {path: /login}, protected: /things, accounts: [{username: a, password: a-password}]}"


class Reporting:
    """A service with one database connection; its health report asks, lies, or says nothing of it."""

    def __init__(self, url: str, health: str, *, works: bool = True) -> None:
        self.connection = psycopg2.connect(url)
        self.health, self.works = health, works

    def ask(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        self.connection.commit()

    def __call__(self, asked: Asked) -> Said:
        if asked.path == "/health":
            if self.health == "asks":
                self.ask()
            return Said(200, b'{"status": "ok"}' if self.health == "silent" else b'{"checks": {"postgresql": "ok"}}')
        if self.works:
            self.ask()
        return Said(200, b'{"access_token": "a-token-of-some-length"}')


@pytest.mark.parametrize(
    ("health", "works", "status", "word"),
    [
        ("asks", True, "pass", "asks the database"),
        ("lies", True, "fail", "postgresql is well without asking"),
        ("lies", False, "error", "cannot be seen at work"),
        ("silent", True, "skip", "says nothing of a database"),
    ],
)
def test_a_health_report_and_what_it_rests_on(
    project: Path, role_url: str, health: str, works: bool, status: str, word: str
) -> None:
    service = Reporting(role_url, health, works=works)
    try:
        with serving(service) as port:
            api = f"api: {{url: 'http://127.0.0.1:{port}', {AUTH}}}\n"
            expect(run_check("health.dependencies", with_database(project, role_url, more=api)), status, word)
    finally:
        service.connection.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: connection refused", "ill"),
        ("ok (3 ms)", "well"),
        ("Down - no route to host", "ill"),
        ("out of service", "ill"),
        ("errors are counted elsewhere", None),
        ("15.4 (Debian)", None),
    ],
)
def test_a_word_of_health_may_be_explained(said: str, kind: str | None) -> None:
    found = [meaning for _, _, meaning in words({"status": "ok", "database": said})]
    assert found == ["well", *([] if kind is None else [kind])]
