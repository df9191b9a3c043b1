"""Faults outside the service: in its files, its database, its Valkey, its git repository."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

from maestro_cli.demo.operation_faults import OPERATION
from maestro_cli.demo.plants import Action, Plant

if TYPE_CHECKING:
    from maestro_cli.demo.session import Demo


def _sql(*statements: str, superuser: bool = False) -> Action:
    """Statements as the owner of the tables (or as the superuser), each committed by itself."""

    def plant(demo: Demo) -> None:
        import psycopg2

        url = demo.postgres.url_for("maestro_ml").reveal() if superuser else demo.environment["ADMIN_DATABASE_URL"]
        connection = psycopg2.connect(url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    return plant


def _valkey(*commands: tuple[str, ...]) -> Action:
    """Commands as Valkey's administrator."""

    def plant(demo: Demo) -> None:
        import redis

        client = redis.Redis.from_url(demo.valkey.admin_url.reveal())
        try:
            for command in commands:
                client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py
        finally:
            client.close()

    return plant


def _mode(path: str, mode: int) -> Action:
    return lambda demo: (demo.directory / path).chmod(mode)


def _write(path: str, content: str) -> Action:
    def plant(demo: Demo) -> None:
        file = demo.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    return plant


def _append(path: str, content: str) -> Action:
    def plant(demo: Demo) -> None:
        with (demo.directory / path).open("a") as stream:
            stream.write(content)

    return plant


def _remove(path: str) -> Action:
    return lambda demo: (demo.directory / path).unlink()


def _substitute(path: str, pattern: str, replacement: str) -> Action:
    def plant(demo: Demo) -> None:
        file = demo.directory / path
        before = file.read_text()
        after = re.sub(pattern, replacement, before, flags=re.MULTILINE)
        if after == before:
            raise ValueError(f"nothing in {path} matches {pattern}")
        mode = file.stat().st_mode & 0o777
        file.write_text(after)
        file.chmod(mode)

    return plant


def _secret(name: str, value: str) -> Action:
    """Another value of a secret that the running service has read already."""
    return _substitute(".env", rf"^{name}=.*$", f"{name}={value}")


def _database_password(word: str) -> Action:
    """Another password of the application's role, in the server and in .env, before the service starts."""

    def plant(demo: Demo) -> None:
        old = demo.environment["POSTGRES_PASSWORD"]
        _sql(f"ALTER ROLE maestro_app PASSWORD '{word}'", superuser=True)(demo)
        file = demo.directory / ".env"
        file.write_text(file.read_text().replace(old, word))
        demo.environment = demo.project.environment()

    return plant


def _reused_secret(demo: Demo) -> None:
    _secret("API_SECRET_KEY", demo.environment["ENCRYPTION_KEY"])(demo)


def _older(path: str, hours: float) -> Action:
    def plant(demo: Demo) -> None:
        then = (demo.now - timedelta(hours=hours)).timestamp()
        os.utime(demo.directory / path, (then, then))

    return plant


def _git(*arguments: str) -> Action:
    def plant(demo: Demo) -> None:
        identity = ("-c", "user.name=maestro demo", "-c", "user.email=demo@example.test", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=demo.directory, check=True, capture_output=True)

    return plant


def _both(*actions: Action) -> Action:
    def plant(demo: Demo) -> None:
        for action in actions:
            action(demo)

    return plant


def _expired_certificate(demo: Demo) -> None:
    """The same names under the same CA, a year too old. The service has the good pair; the file is what is looked at."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    folder = demo.directory / "certs"
    old = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=old.serial_number,
        not_valid_before=demo.now - dt.timedelta(days=400),
        not_valid_after=demo.now - dt.timedelta(days=3),
        extensions=list(old.extensions),
    )
    new = builder.sign(ca_key, hashes.SHA256())  # type: ignore[arg-type] # a CA key that can sign
    (folder / "cert.pem").write_bytes(new.public_bytes(serialization.Encoding.PEM))


FILES: dict[str, Plant] = {
    "env-file-readable": Plant("The .env file can be read by everybody.", after_start=_mode(".env", 0o644)),
    "env-file-tracked": Plant("The .env file is tracked by git.", after_start=_git("add", "-f", ".env")),
    "env-file-not-ignored": Plant("Git does not ignore the .env file.", after_start=_write(".gitignore", "certs/\n")),
    "env-file-in-history": Plant(
        "The .env file was committed once and removed again.",
        after_start=_both(
            _git("add", "-f", ".env"),
            _git("commit", "-q", "-m", "Settings"),
            _git("rm", "-q", "--cached", ".env"),
            _git("commit", "-q", "-m", "Remove settings"),
        ),
    ),
    "secret-placeholder": Plant(
        "A secret is a placeholder.", after_start=_secret("API_SECRET_KEY", "changeme-changeme-changeme-changeme")
    ),
    "secret-guessable": Plant(
        "A secret is made of words.", after_start=_secret("API_SECRET_KEY", "sunshine-password-welcome-dragon-monkey")
    ),
    "secret-short": Plant("A secret is shorter than its class.", after_start=_secret("API_SECRET_KEY", "f3b1c9d27a")),
    "secret-reused": Plant("Two secrets have the same value.", after_start=_reused_secret),
    "secret-missing": Plant(
        "A required secret is missing.", after_start=_substitute(".env", r"^API_SECRET_KEY=.*$", "# no key")
    ),
    "variable-empty": Plant("A required variable is empty.", after_start=_secret("API_SECRET_KEY", "")),
    "setting-missing": Plant(
        "The application misses a setting that it needs to start.",
        after_start=_substitute(".env", r"^ENCRYPTION_KEY=.*$", "# no key"),
    ),
    "debug-on": Plant("Debugging is switched on in production.", after_start=_append(".env", "DEBUG=true\n")),
    "key-readable": Plant("The private key can be read by everybody.", after_start=_mode("certs/key.pem", 0o644)),
    "certificate-expired": Plant("The certificate file has expired.", after_start=_expired_certificate),
    "todo-in-critical-file": Plant(
        "A critical file has an open end.", after_start=_append("service/tokens.py", "\n# TODO: check the signature\n")
    ),
    "tests-failing": Plant(
        "A test of the service fails.",
        after_start=_substitute("reports/junit.xml", r"<testcase ([^>]*?)/>", r"<testcase \1><failure/></testcase>"),
    ),
    "tests-none-ran": Plant(
        "No test of the service ran.",
        after_start=_write("reports/junit.xml", '<testsuites><testsuite tests="0"/></testsuites>'),
    ),
    "junit-missing": Plant("There is no JUnit file.", after_start=_remove("reports/junit.xml")),
    "junit-stale": Plant("The JUnit file is a week old.", after_start=_older("reports/junit.xml", 168)),
    "coverage-missing": Plant("There is no coverage file.", after_start=_remove("reports/coverage.xml")),
    "coverage-stale": Plant("The coverage file is a week old.", after_start=_older("reports/coverage.xml", 168)),
    "documentation-missing": Plant("There is no README.", after_start=_remove("README.md")),
    "readme-link-broken": Plant(
        "A link of the README leads nowhere.", after_start=_append("README.md", "\nSee [the manual](docs/manual.md).\n")
    ),
    "pipeline-missing": Plant("There is no CI pipeline.", after_start=_remove(".github/workflows/ci.yml")),
    "pipeline-without-gate": Plant(
        "The CI pipeline does not run the gate.",
        after_start=_substitute(".github/workflows/ci.yml", r"maestro readiness.*$", "echo ready"),
    ),
    "migration-pending": Plant(
        "A migration of the application has not been run.",
        after_start=_write("migrations/versions/0002_pending.py", 'revision = "0002"\ndown_revision = "0001"\n'),
    ),
    "waiver-expired": Plant(
        "A waiver is past its date.",
        after_start=_substitute(
            "maestro.yaml",
            r"^waivers: .*$",
            "waivers: [{check: security.cors, reason: planted, owner: demo@example.test, environments: [production], "
            "expires: 2025-10-05}]",
        ),
    ),
}

DATABASE: dict[str, Plant] = {
    "rls-off": Plant(
        "Row-level security is off on one table.", after_start=_sql("ALTER TABLE projects DISABLE ROW LEVEL SECURITY")
    ),
    "rls-disabled": Plant(
        "Row-level security is off on one table.", after_start=_sql("ALTER TABLE artifacts DISABLE ROW LEVEL SECURITY")
    ),
    "rls-not-forced": Plant(
        "Row-level security is not forced on one table.",
        after_start=_sql("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY"),
    ),
    "rls-policy-too-wide": Plant(
        "A second policy lets everybody see every row of one table.",
        after_start=_sql("CREATE POLICY everybody ON projects USING (true)"),
    ),
    "tenant-index-missing": Plant(
        "An index of the tenant column is missing.", after_start=_sql("DROP INDEX ix_projects_tenant_id_start_date")
    ),
    "tenant-column-nullable": Plant(
        "The tenant column of one table may be NULL.",
        after_start=_sql("ALTER TABLE artifacts ALTER COLUMN tenant_id DROP NOT NULL"),
    ),
    "tenant-key-missing": Plant(
        "The tenant column of one table has no foreign key.",
        after_start=_sql("ALTER TABLE predictions DROP CONSTRAINT fk_predictions_tenant_id_tenants"),
    ),
    "tenant-unique-oracle": Plant(
        "A unique constraint over all tenants tells one what another has.",
        after_start=_sql("ALTER TABLE projects ADD CONSTRAINT uq_projects_name UNIQUE (name)"),
    ),
    "tenant-row-crosses": Plant(
        "A row of one tenant refers to a row of another.",
        after_start=_sql(
            # As a restore or a replica does it, which check no foreign key.
            "SET session_replication_role = replica;"
            " UPDATE artifact_usage SET tenant_id = (SELECT id FROM tenants WHERE slug = 'second')"
            " WHERE id = (SELECT id FROM artifact_usage LIMIT 1)",
            superuser=True,
        ),
    ),
    "default-tenant-inactive": Plant(
        "The default tenant is not active.",
        after_start=_sql("UPDATE tenants SET is_active = false WHERE slug = 'default'"),
    ),
    "viewer-promoted": Plant(
        "An account that should only read is an administrator.",
        after_start=_sql("UPDATE users SET role = 'admin' WHERE email = 'viewer@example.test'"),
    ),
    "inactive-account-active": Plant(
        "An account that was deactivated is active again.",
        after_start=_sql("UPDATE users SET is_active = true WHERE email = 'inactive@example.test'"),
    ),
    "app-role-bypasses-rls": Plant(
        "The application's role bypasses row-level security.",
        after_start=_sql("ALTER ROLE maestro_app BYPASSRLS", superuser=True),
    ),
    "postgres-superuser": Plant(
        "The application's role is a superuser.", after_start=_sql("ALTER ROLE maestro_app SUPERUSER", superuser=True)
    ),
    "postgres-create-on-public": Plant(
        "The application's role may create tables.",
        after_start=_sql("GRANT CREATE ON SCHEMA public TO maestro_app", superuser=True),
    ),
    "postgres-server-programs": Plant(
        "The application's role may run programs on the database's machine.",
        after_start=_sql("GRANT pg_execute_server_program TO maestro_app", superuser=True),
    ),
    "postgres-read-only": Plant(
        "The application's role can only read.",
        after_start=_sql("ALTER ROLE maestro_app SET default_transaction_read_only = on", superuser=True),
    ),
    "table-unreadable": Plant(
        "The application's role may not read one of its tables.",
        after_start=_sql("REVOKE SELECT ON team_members FROM maestro_app"),
    ),
    "database-changed-by-hand": Plant(
        "The database has a column that the models do not know.",
        after_start=_sql("ALTER TABLE projects ADD COLUMN by_hand text"),
    ),
    "database-password-default": Plant(
        "The application's role has the password that the seed had.", before_start=_database_password("maestro")
    ),
    "password-legacy-hash": Plant(
        "An account's password is hashed with MD5.",
        after_start=_sql(
            "INSERT INTO users (email, password_hash, tenant_id) SELECT 'old@example.test',"
            " '$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/', id FROM tenants WHERE slug = 'default'",
            superuser=True,
        ),
    ),
}

VALKEY: dict[str, Plant] = {
    "redis-evicts": Plant(
        "Redis evicts keys when memory runs short.",
        after_start=_valkey(("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")),
    ),
    "redis-forgets": Plant(
        "Redis writes nothing to disk.",
        after_start=_valkey(("CONFIG", "SET", "appendonly", "no"), ("CONFIG", "SET", "save", "")),
    ),
    "redis-no-password": Plant(
        "Redis lets everybody in.", after_start=_valkey(("ACL", "SETUSER", "default", "on", "nopass", "~*", "+@all"))
    ),
    "redis-user-may-config": Plant(
        "The application's Redis user may change the server's configuration.",
        after_start=_valkey(("ACL", "SETUSER", "app", "+config")),
    ),
    "redis-user-may-everything": Plant(
        "The application's Redis user may do everything.",
        after_start=_valkey(("ACL", "SETUSER", "app", "~*", "&*", "+@all")),
    ),
    "redis-ping-denied": Plant(
        "The application's Redis user may not PING.", after_start=_valkey(("ACL", "SETUSER", "app", "-ping"))
    ),
}

OUTSIDE: dict[str, Plant] = {**FILES, **DATABASE, **VALKEY, **OPERATION}
"""Fault → how it is planted. `found_by` is filled in from the checks themselves."""
