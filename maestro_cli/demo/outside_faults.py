"""Faults outside the service: in its files, its database, its Valkey, its git repository."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

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
                client.execute_command(*command)
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
    """Another value of a secret that nothing but the checks reads."""
    return _substitute(".env", rf"^{name}=.*$", f"{name}={value}")


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


AfterStart = Callable[[str, Action], Plant]

OUTSIDE: dict[str, Plant] = {
    # Files
    "env-file-readable": Plant("The .env file can be read by everybody.", after_start=_mode(".env", 0o644)),
    "env-file-tracked": Plant("The .env file is tracked by git.", after_start=_git("add", "-f", ".env")),
    "secret-placeholder": Plant(
        "A secret is a placeholder.", after_start=_secret("API_SECRET_KEY", "changeme-changeme-changeme-changeme")
    ),
    "secret-short": Plant("A secret is shorter than its class.", after_start=_secret("API_SECRET_KEY", "f3b1c9d27a")),
    "key-readable": Plant("The private key can be read by everybody.", after_start=_mode("certs/key.pem", 0o644)),
    "certificate-expired": Plant("The certificate file has expired.", after_start=_expired_certificate),
    "todo-in-critical-file": Plant(
        "A critical file has an open TODO.", after_start=_append("service/tokens.py", "\n# TODO: check the signature\n")
    ),
    "tests-failing": Plant(
        "A test of the service fails.",
        after_start=_substitute("reports/junit.xml", r'failures="0"', 'failures="1"'),
    ),
    "junit-missing": Plant("There is no JUnit file.", after_start=_remove("reports/junit.xml")),
    "junit-stale": Plant("The JUnit file is a week old.", after_start=_older("reports/junit.xml", 168)),
    "coverage-missing": Plant("There is no coverage file.", after_start=_remove("reports/coverage.xml")),
    "documentation-missing": Plant("There is no README.", after_start=_remove("README.md")),
    "pipeline-missing": Plant("There is no CI pipeline.", after_start=_remove(".github/workflows/ci.yml")),
    "waiver-expired": Plant(
        "A waiver is past its date.",
        after_start=_substitute(
            "maestro.yaml",
            r"^waivers: .*$",
            "waivers: [{check: security.cors, reason: planted, owner: demo@example.test, expires: 2025-10-05}]",
        ),
    ),
    # Database
    "rls-off": Plant(
        "Row-level security is off on one table.",
        after_start=_sql("ALTER TABLE projects DISABLE ROW LEVEL SECURITY"),
    ),
    "rls-not-forced": Plant(
        "Row-level security is not forced on one table.",
        after_start=_sql("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY"),
    ),
    "tenant-index-missing": Plant(
        "An index of the tenant column is missing.", after_start=_sql("DROP INDEX ix_projects_tenant_id_start_date")
    ),
    "tenant-column-nullable": Plant(
        "The tenant column of one table may be NULL.",
        after_start=_sql("ALTER TABLE artifacts ALTER COLUMN tenant_id DROP NOT NULL"),
    ),
    "default-tenant-inactive": Plant(
        "The default tenant is not active.",
        after_start=_sql("UPDATE tenants SET is_active = false WHERE slug = 'default'"),
    ),
    "app-role-bypasses-rls": Plant(
        "The application's role bypasses row-level security.",
        after_start=_sql("ALTER ROLE maestro_app BYPASSRLS", superuser=True),
    ),
    # Valkey
    "redis-evicts": Plant(
        "Redis evicts keys when memory runs short.",
        after_start=_valkey(("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")),
    ),
}
"""Fault → how it is planted. `found_by` is filled in from the checks themselves."""
