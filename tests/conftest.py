"""Real servers for tests: a PostgreSQL and a Valkey per test process (so per xdist worker), a fresh database per test.

Ask for `database` where one empty database is enough; ask for `postgres_server` to make roles or several databases.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference_platform import ReferencePlatform, build_platform

from maestro_cli.demo.preloader import Preloader
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.demo.service import RunningService

INSTALLED = os.environ.get("MAESTRO_TEST_POSTGRES")
"""Folder with the programs of another PostgreSQL than the embedded one: /usr/lib/postgresql/15/bin."""


class InstalledPostgres(EmbeddedPostgres):
    """The same server from other programs, so that older versions can be tried, too."""

    @property
    def programs(self) -> Path:
        return Path(str(INSTALLED))

    @staticmethod
    def _usable_by_all(_programs: Path) -> bool:
        return True


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL: `.admin_url` (a Secret; superuser), `.url_for(database, user, password)`, `.restart()`."""
    kind = InstalledPostgres if INSTALLED else EmbeddedPostgres
    with kind(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A Valkey: `.url` (application user), `.admin_url`, both Secrets; `.restart()`. Tests choose keys of their own."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL (superuser) of an empty database of this test's own; dropped afterwards, open connections or not."""
    import psycopg2

    name = f"test_{secrets.token_hex(6)}"
    connection = psycopg2.connect(postgres_server.admin_url.reveal())
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            yield postgres_server.url_for(name).reveal()
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        connection.close()


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """Name of a role without rights and without login, for the application in that database; dropped afterwards."""
    from check_support import run_sql

    name = f"app_{secrets.token_hex(4)}"
    run_sql(database, f"CREATE ROLE {name}")
    yield name
    run_sql(database, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def reference_platform(
    postgres_server: EmbeddedPostgres, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReferencePlatform]:
    """The reference service's project, migrated to tenants, with accounts and certificates; `.start(*faults)` runs it."""
    folder = tmp_path_factory.mktemp("reference")
    with Preloader(folder / "preloader.log") as preloader:
        yield build_platform(folder, postgres_server, valkey_server, preloader)


@pytest.fixture(scope="session")
def reference_service(reference_platform: ReferencePlatform) -> Iterator[RunningService]:
    """The reference service, running, with every safeguard on."""
    with reference_platform.start() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder
