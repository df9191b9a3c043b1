"""Every fault that the demo plants outside the service turns its checks red, on a demo that is green without it.

The service's own faults have the fault matrix. Here one demo is planted with one fault after the other, and put back
between them: the folder from a copy, the database from a template, the roles and Valkey as they were set up.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from maestro_cli.api import Check, Context, Status
from maestro_cli.config import without_file
from maestro_cli.demo.outside_faults import DATABASE, OUTSIDE, VALKEY
from maestro_cli.demo.plants import catalogue
from maestro_cli.demo.service import provision
from maestro_cli.demo.session import SERVERS, Demo
from maestro_cli.discovery import discover
from maestro_cli.model import CheckResult
from maestro_cli.redaction import Secret
from maestro_cli.runner import execute

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("demo-faults")]

BEFORE_START = {"database-password-default"}
"""Needs a service that starts with it; `maestro demo --fault` is tried with it below."""


class Workshop:
    """A demo, and how to put it back."""

    def __init__(self, demo: Demo, copy: Path) -> None:
        self.demo, self.copy = demo, copy
        self.checks: dict[str, Check] = discover(without_file(copy), plugins=False).checks
        shutil.copytree(demo.directory, copy, symlinks=True, ignore=shutil.ignore_patterns(SERVERS, "service.log"))
        self._administer("CREATE DATABASE pristine TEMPLATE maestro_ml")

    def run(self, names: tuple[str, ...]) -> dict[str, CheckResult]:
        ctx = Context(self.demo.loaded, now=datetime.now(UTC), environ=self.demo.environ, probe_production=True)
        try:
            return {name: execute(self.checks[name], ctx) for name in names}
        finally:
            ctx.close()

    def put_back(self, fault: str) -> None:
        if fault in DATABASE:
            self._administer(
                "DROP DATABASE maestro_ml WITH (FORCE)",
                "CREATE DATABASE maestro_ml TEMPLATE pristine OWNER maestro_owner",
                "ALTER ROLE maestro_app RESET ALL",
                "REVOKE pg_execute_server_program FROM maestro_app",
            )
            environment = self.demo.environment
            provision(
                self.demo.postgres.admin_url,
                owner_password=Secret(environment["POSTGRES_OWNER_PASSWORD"]),
                app_password=Secret(environment["POSTGRES_PASSWORD"]),
            )
        elif fault == "wal-archive-failing":
            self._administer("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
            self.demo.postgres.archive_now()
        elif fault in VALKEY:
            self.demo.valkey.restart()
        else:
            for path in self.demo.directory.iterdir():
                if path.name not in (SERVERS, "service.log"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self.copy, self.demo.directory, symlinks=True, dirs_exist_ok=True)

    def _administer(self, *statements: str) -> None:
        with closing(psycopg2.connect(self.demo.postgres.admin_url.reveal())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'maestro_ml'")
                for statement in statements:
                    cursor.execute(statement)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    base = tmp_path_factory.mktemp("faults")
    with Demo(base / "demo", datetime.now(UTC)) as demo:
        yield Workshop(demo, base / "copy")


@pytest.mark.parametrize("fault", sorted(set(OUTSIDE) - BEFORE_START))
def test_a_fault_outside_the_service_is_found_by_each_check_that_claims_it(fault: str, workshop: Workshop) -> None:
    plant = catalogue()[fault]
    assert plant.found_by
    plant.after_start(workshop.demo)
    try:
        planted = workshop.run(plant.found_by)
    finally:
        workshop.put_back(fault)
    assert {row.id: (row.status, row.message) for row in planted.values() if row.status is not Status.FAIL} == {}
    healthy = workshop.run(plant.found_by)
    assert {row.id: (row.status, row.message) for row in healthy.values() if row.status is not Status.PASS} == {}
