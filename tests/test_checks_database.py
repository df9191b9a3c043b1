"""Stored hashes, the database's password, connections to spare, and what Redis keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import psycopg2
import pytest
from check_support import application_role, context, expect, free_port, role_of, run_check, run_sql, valkey_admin

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.redaction import Secret

STRONG = "kT7vQ2mXc9RzL4pWb6HsJd8F"


@pytest.fixture
def role_url(postgres_server: EmbeddedPostgres, database: str) -> Iterator[str]:
    with application_role(postgres_server, database) as url:
        yield url


def hashed(rounds: int) -> str:
    return bcrypt.hashpw(b"a password", bcrypt.gensalt(rounds)).decode()


TWELVE = "$2b$12$" + hashed(4)[7:]
"""As good as twelve rounds to anybody who only looks at it."""
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8"


def stored(folder: Path, url: str, *hashes: str | None) -> Context:
    run_sql(url, "DROP TABLE IF EXISTS users", "CREATE TABLE users (password_hash text)")
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO users VALUES (%s)", [(value,) for value in hashes])
    connection.close()
    keys = "password_hashes: {table: users, column: password_hash, min_rounds: 12}"
    return context(folder, f"database: {{url: '{url}', {keys}}}\n")


GOOD = [
    TWELVE,
    TWELVE.replace("$12$", "$14$"),
    ARGON2,
    "argon2" + ARGON2,
    "pbkdf2_sha256$1000000$salt$c2FsdA==",
    "$pbkdf2-sha512$210000$c2FsdA$c2FsdA",
    "scrypt:131072:8:1$salt$c2FsdA",
    "scrypt$16384$salt$8$5$c2FsdA==",
    "$scrypt$ln=16,r=8,p=2$c2FsdA$c2FsdA",
    "pbkdf2:sha256:1000000$salt$c2FsdA",
    "{bcrypt}" + TWELVE,
    "{argon2@SpringSecurity_v5_8}" + ARGON2,
]


def test_slow_hashes_pass_and_none_is_shown(project: Path, database: str) -> None:
    result = run_check("security.password-hashing", stored(project, database, *GOOD, None, "", "!unusable"))
    expect(result, "pass", "All 12 stored passwords", "bcrypt 12 2", "argon2id m=65536,t=3,p=4 3")
    assert not any(value[-20:] in repr(result) for value in GOOD)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (hashed(4), "1 as bcrypt 04"),
        (TWELVE.replace("$12$", "$11$"), "bcrypt 11"),
        (TWELVE[:-1], "no known hash"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "plain digest of 128 bits"),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "crypt $1"),
        ("$6$rounds=5000$salt$abc", "crypt $6"),
        ("md5$salt$0123", "md5"),
        ("{SSHA}abcdef", "LDAP SSHA"),
        ("correct horse battery staple", "no known hash"),
        ("hunter2", "no known hash"),
        ("pbkdf2_sha256$29000$salt$c2FsdA==", "pbkdf2-sha256 29000"),
        (ARGON2.replace("m=65536,t=3", "m=1024,t=1"), "argon2id m=1024,t=1,p=4"),
        (ARGON2.replace("argon2id", "argon2i"), "argon2i"),
        ("pbkdf2:sha256:150000$salt$c2FsdA", "pbkdf2-sha256 150000"),
        ("pbkdf2_sha1$1000000$salt$c2FsdA==", "pbkdf2-sha1 1000000"),
        ("scrypt:8192:8:1$salt$c2FsdA", "scrypt N=8192,r=8,p=1"),
        ("gAAAAA" + "B" * 94 + "==", "Fernet, which can be decrypted"),
    ],
    # Hashes are salted anew in each worker process, and workers must agree on the names of tests.
    ids=lambda value: value if " " in value and len(value) < 30 else "",
)
def test_one_weak_password_among_many_fails(project: Path, database: str, value: str, word: str) -> None:
    result = run_check("security.password-hashing", stored(project, database, *GOOD, value))
    expect(result, "fail", "1 of 13", word)
    assert value not in repr(result)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("scrypt:32768:8:1$salt$c2FsdA", "scrypt N=32768,r=8,p=1"),
        ("pbkdf2_sha256$390000$salt$c2FsdA==", "pbkdf2-sha256 390000"),
        # ASP.NET Core Identity: a byte of 1, then the hash function (2: SHA-512), iterations and length, big-endian.
        ("AQAAAAIAAYagAAAAE" + "A" * 67, "pbkdf2-sha512 100000"),
    ],
)
def test_what_frameworks_hash_by_default_is_a_warning(project: Path, database: str, value: str, word: str) -> None:
    result = run_check("security.password-hashing", stored(project, database, *GOOD, value))
    expect(result, "warn", "less so than OWASP asks for", word)
    assert value not in repr(result)


def test_a_hash_of_an_unknown_format_is_no_verdict(project: Path, database: str) -> None:
    own = "v1:" + "0123456789abcdef" * 4 + ":" + "fedcba98" * 8
    result = run_check("security.password-hashing", stored(project, database, *GOOD, own))
    expect(result, "error", "1 of 13", "format that is not known")
    result = run_check("security.password-hashing", stored(project, database, *GOOD, own, "hunter2"))
    expect(result, "fail", "no known hash")


@pytest.mark.parametrize("open_to", ["own", "all"])
def test_behind_row_level_security_every_tenants_passwords_are_counted(
    project: Path, database: str, role_url: str, open_to: str
) -> None:
    one, other = "371191e4-9748-4b2a-9c7f-2d986463afa7", "5c0c6a3e-6a0e-4d5d-8f43-0d1e6f6a7b21"
    shown = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid" if open_to == "own" else "true"
    run_sql(
        database,
        "CREATE TABLE tenants (id uuid PRIMARY KEY, is_active bool)",
        f"INSERT INTO tenants VALUES ('{one}', true), ('{other}', true)",
        "CREATE TABLE users (tenant_id uuid REFERENCES tenants, password_hash text)",
        f"INSERT INTO users VALUES ('{one}', '{TWELVE}'), ('{other}', '{TWELVE}'), ('{other}', '{hashed(4)}')",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON users USING ({shown})",
        "GRANT SELECT ON tenants, users TO PUBLIC",
    )
    keys = "password_hashes: {table: users, column: password_hash}"
    yaml = f"database: {{url: '{role_url}', {keys}}}\ntenancy: {{tables: {{users: {{}}}}, rls: {{role: anybody}}}}\n"
    expect(run_check("security.password-hashing", context(project, yaml)), "fail", "1 of 3", "1 as bcrypt 04")
    run_sql(database, "REVOKE SELECT ON tenants FROM PUBLIC")
    expect(run_check("security.password-hashing", context(project, yaml)), "pass", "All 1 stored")


def test_hashes_that_cannot_be_observed(project: Path, database: str, role_url: str) -> None:
    expect(run_check("security.password-hashing", stored(project, database)), "error", "nothing to observe")
    ctx = stored(project, database, None)
    expect(run_check("security.password-hashing", ctx), "error", "nothing to observe")
    keys = "password_hashes: {table: users, column: password_hash}"
    ctx = context(project, f"database: {{url: '{role_url}', {keys}}}\n")
    expect(run_check("security.password-hashing", ctx), "error", "permission denied")
    ctx = context(project, f"database: {{url: '{database}', {keys.replace('users', 'people')}}}\n")
    expect(run_check("security.password-hashing", ctx), "error", "does not exist")
    ctx = context(project, f"database: {{url: 'postgresql://a:b@127.0.0.1:{free_port()}/x', {keys}}}\n")
    assert expect(run_check("security.password-hashing", ctx), "error").needs == "PostgreSQL"


def with_password(folder: Path, server: EmbeddedPostgres, database: str, role: str, password: str) -> Context:
    run_sql(database, f"ALTER ROLE {role} PASSWORD '{password}'")
    url = server.url_for(database.rpartition("/")[2], role, Secret(password)).reveal()
    (folder / ".env").write_text(f"DATABASE_URL={url}\n")
    return context(folder, "env_file: .env\ndatabase: {url: '${DATABASE_URL}'}\n")


def test_a_strong_password(project: Path, database: str, role_url: str, postgres_server: EmbeddedPostgres) -> None:
    ctx = with_password(project, postgres_server, database, role_of(role_url), STRONG)
    result = run_check("security.database-password", ctx)
    expect(result, "pass", "strong", "default logins tried 3")
    assert STRONG not in repr(result)


@pytest.mark.parametrize("password", ["maestro", "postgres", "password123", "maestro-ml-2025", "Summer2025!"])
def test_a_weak_password(
    project: Path, database: str, role_url: str, postgres_server: EmbeddedPostgres, password: str
) -> None:
    ctx = with_password(project, postgres_server, database, role_of(role_url), password)
    result = run_check("security.database-password", ctx)
    expect(result, "fail")
    assert password not in result.message


def test_a_password_that_is_the_role(
    project: Path, database: str, role_url: str, postgres_server: EmbeddedPostgres
) -> None:
    role = role_of(role_url)
    expect(
        run_check("security.database-password", with_password(project, postgres_server, database, role, role)),
        "fail",
        "a default",
    )


def test_a_default_login_of_another_role(
    project: Path, database: str, role_url: str, postgres_server: EmbeddedPostgres
) -> None:
    run_sql(database, "CREATE ROLE maestro LOGIN PASSWORD 'maestro'")
    try:
        ctx = with_password(project, postgres_server, database, role_of(role_url), STRONG)
        expect(run_check("security.database-password", ctx), "fail", "default login of maestro works")
    finally:
        run_sql(database, "DROP ROLE maestro")


@contextlib.contextmanager
def trusting(server: EmbeddedPostgres) -> Iterator[None]:
    """The server asks nobody for a password."""
    url = server.admin_url.reveal()
    file = Path(run_sql(url, "SHOW hba_file")[0][0])
    before = file.read_text()
    file.write_text("host all all 127.0.0.1/32 trust\n")
    run_sql(url, "SELECT pg_reload_conf(), pg_sleep(0.3)")
    try:
        yield
    finally:
        file.write_text(before)
        run_sql(url, "SELECT pg_reload_conf(), pg_sleep(0.3)")


def test_a_server_that_trusts_everybody(
    project: Path, database: str, role_url: str, postgres_server: EmbeddedPostgres
) -> None:
    ctx = with_password(project, postgres_server, database, role_of(role_url), STRONG)
    bare = role_url.replace(f":{role_url.split(':')[2].split('@', maxsplit=1)[0]}@", "@")
    with trusting(postgres_server):
        expect(run_check("security.database-password", ctx), "fail", "accepts any password")
        ctx = context(project, f"database: {{url: '{bare}'}}\n")
        expect(run_check("security.database-password", ctx), "fail", "asks for no password")


@pytest.mark.parametrize("check_id", ["security.database-password", "readiness.connections"])
def test_with_the_database_down(project: Path, check_id: str) -> None:
    ctx = context(project, f"database: {{url: 'postgresql://a:b@127.0.0.1:{free_port()}/x'}}\n")
    assert expect(run_check(check_id, ctx), "error").needs == "PostgreSQL"


def test_connections_to_spare(project: Path, role_url: str) -> None:
    expect(run_check("readiness.connections", context(project, f"database: {{url: '{role_url}'}}\n")), "pass", "of 97")


@pytest.mark.parametrize(("limit", "status"), [(4, "fail"), (5, "warn"), (40, "pass")])
def test_connections_of_a_role_that_has_a_limit(
    project: Path, role_url: str, database: str, limit: int, status: str
) -> None:
    run_sql(database, f"ALTER ROLE {role_of(role_url)} CONNECTION LIMIT {limit}")
    held = [psycopg2.connect(role_url) for _ in range(3)]
    try:
        result = run_check("readiness.connections", context(project, f"database: {{url: '{role_url}'}}\n"))
    finally:
        for connection in held:
            connection.close()
    expect(result, status, f"4 of {limit}")


def test_connections_of_a_database_that_has_a_limit(project: Path, role_url: str, database: str) -> None:
    run_sql(database, f"ALTER DATABASE {database.rpartition('/')[2]} CONNECTION LIMIT 1")
    result = run_check("readiness.connections", context(project, f"database: {{url: '{role_url}'}}\n"))
    expect(result, "fail", "of this database", "1 of 1")


def durable(folder: Path, server: EmbeddedValkey, *, user: str = "", now: datetime | None = None) -> Context:
    url = server.admin_url.reveal() if user == "admin" else server.url.reveal()
    return context(folder, f"redis: {{url: '{url}'}}\n", now=now)


def test_redis_that_keeps_what_it_is_given(project: Path, valkey_server: EmbeddedValkey) -> None:
    expect(
        run_check("readiness.redis-durability", durable(project, valkey_server)), "pass", "noeviction", "append-only"
    )


@contextlib.contextmanager
def configured(server: EmbeddedValkey, **settings: str) -> Iterator[None]:
    with valkey_admin(server) as admin:
        before = {name: admin("CONFIG", "GET", name.replace("_", "-"))[name.replace("_", "-")] for name in settings}
        try:
            for name, value in settings.items():
                admin("CONFIG", "SET", name.replace("_", "-"), value)
            yield
        finally:
            for name, value in before.items():
                admin("CONFIG", "SET", name.replace("_", "-"), value)


@pytest.mark.parametrize(
    ("settings", "status", "word"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "fail", "evicts keys"),
        ({"maxmemory_policy": "volatile-ttl"}, "fail", "evicts keys"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, "warn", "no memory limit yet"),
        ({"maxmemory": "900000"}, "fail", "of its memory"),
    ],
)
def test_redis_that_forgets(
    project: Path, valkey_server: EmbeddedValkey, settings: dict[str, str], status: str, word: str
) -> None:
    with configured(valkey_server, **settings):
        expect(run_check("readiness.redis-durability", durable(project, valkey_server)), status, word)


def test_redis_that_writes_nothing(project: Path, valkey_server: EmbeddedValkey) -> None:
    with configured(valkey_server, appendonly="no", save=""), valkey_admin(valkey_server) as admin:
        admin("SET", "maestro:x", "1", "EX", "60")
        ctx = durable(project, valkey_server, user="admin")
        expect(run_check("readiness.redis-durability", ctx), "fail", "in memory only")
        later = datetime.now(UTC) + timedelta(hours=3)
        result = run_check("readiness.redis-durability", durable(project, valkey_server, now=later))
        expect(result, "fail", "in memory only since")
    with configured(valkey_server, appendonly="no", save="900 1"):
        expect(run_check("readiness.redis-durability", durable(project, valkey_server, user="admin")), "pass")


def test_redis_that_tells_nothing(project: Path, valkey_server: EmbeddedValkey) -> None:
    with valkey_admin(valkey_server) as admin:
        admin("ACL", "SETUSER", "blind", "on", ">blind-password", "~*", "+ping", "+client|setname", "+client|setinfo")
        try:
            url = valkey_server.url_for("blind", Secret("blind-password")).reveal()
            ctx = context(project, f"redis: {{url: '{url}'}}\n")
            expect(run_check("readiness.redis-durability", ctx), "error", "+info")
        finally:
            admin("ACL", "DELUSER", "blind")
    ctx = context(project, f"redis: {{url: 'redis://127.0.0.1:{free_port()}/0'}}\n")
    assert expect(run_check("readiness.redis-durability", ctx), "error").needs == "Redis"
