"""Every built-in check: documented, with faults, and silent where nothing is configured."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from check_support import checkout, context, load_check

from maestro_cli.api import Check, Context
from maestro_cli.config import load
from maestro_cli.discovery import discover
from maestro_cli.model import Status
from maestro_cli.runner import execute
from maestro_cli.scoring import WEIGHTS

PACKAGE = importlib.import_module("maestro_cli.checks")
MODULES = sorted(module.name for module in pkgutil.iter_modules(PACKAGE.__path__))
CHECKS = [
    value
    for name in MODULES
    for value in vars(importlib.import_module(f"maestro_cli.checks.{name}")).values()
    if isinstance(value, Check)
]
IDS = sorted(check.id for check in CHECKS)

SEED = [
    "health.postgres-up",
    "health.postgres-answers",
    "health.redis-up",
    "health.redis-answers",
    "health.query",
    "security.secrets",
    "security.env-file",
    "security.password-hashing",
    "security.tls-certificates",
    "security.database-password",
    "security.multi-tenancy",
    "security.cors",
    "security.rate-limit",
    "readiness.settings-load",
    "readiness.required-variables",
    "readiness.environment",
    "readiness.migrations",
    "readiness.models-match",
    "readiness.tenant-indexes",
    "readiness.authentication",
    "readiness.token-settings",
    "readiness.https",
    "readiness.connections",
    "readiness.redis-durability",
    "readiness.test-suite",
    "readiness.no-todo",
    "readiness.documentation",
]
"""The seed's five, eight and fourteen."""


def test_the_seeds_twenty_seven_are_there() -> None:
    assert len(SEED) == 5 + 8 + 14
    assert not set(SEED) - set(IDS)


def test_ids_are_unique_and_every_file_is_named_after_its_one_check() -> None:
    assert len(IDS) == len(set(IDS))
    assert {check_id.replace(".", "_").replace("-", "_") for check_id in IDS} == set(MODULES)


@pytest.mark.parametrize("check_id", IDS)
def test_a_check_is_documented_and_can_fail(check_id: str) -> None:
    check = load_check(check_id)
    for label in ("why", "fails_when", "fix", "source"):
        text = getattr(check.documentation, label)
        assert len(text) > 10, f"{check_id} does not say its {label}"
    assert check.faults, f"{check_id} names no fault that turns it red"
    assert all(re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", fault) for fault in check.faults)
    assert len(set(check.faults)) == len(check.faults)
    assert check.title
    assert not check.title.endswith(".")
    # A deadline beyond the usual one is a promise of its own; a minute is the most that anybody waits.
    assert check.deadline_s is None or 10 < check.deadline_s <= 60


def full(folder: Path) -> Path:
    """A folder with everything in it that a careless check might look at by itself."""
    for name in ("README.md", "alembic.ini", ".github/workflows/ci.yml", "reports/junit.xml", "reports/coverage.xml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    (folder / ".env").write_text("JWT_SECRET_KEY=changeme\nENVIRONMENT=production\nDEBUG=1\n")
    (folder / "certs").mkdir()
    (folder / "certs" / "cert.pem").write_text("x")
    checkout(folder)
    return folder


@pytest.mark.parametrize("check_id", IDS)
def test_with_an_empty_configuration_nothing_is_measured(project: Path, check_id: str) -> None:
    ctx = context(full(project), "", environ={"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "DEBUG": "1"})
    result = execute(load_check(check_id), ctx)
    ctx.close()
    assert result.status is Status.SKIP, result.message
    assert re.search(r"(is|are|not) configured", result.message)


@pytest.mark.parametrize("check_id", IDS)
def test_with_empty_sections_nothing_passes(project: Path, check_id: str) -> None:
    sections = "api: {}\ndatabase: {}\nredis: {}\nsecrets: {}\ntenancy: {}\nreadiness: {evidence: {}, project: {}}\n"
    ctx = context(full(project), sections)
    result = execute(load_check(check_id), ctx)
    ctx.close()
    assert result.status in {Status.SKIP, Status.ERROR}, f"{result.status}: {result.message}"


POSTGRESQL = [
    name for name in IDS if any(word in name for word in ("postgres", "health.query", "database", "migration"))
]


@pytest.mark.parametrize("check_id", POSTGRESQL)
def test_sqlite_is_no_postgresql(project: Path, check_id: str) -> None:
    hashes = "password_hashes: {table: users, column: hash}"
    ctx = context(full(project), f"database: {{url: 'sqlite:///x.db', alembic_ini: alembic.ini, {hashes}}}\n")
    result = execute(load_check(check_id), ctx)
    ctx.close()
    assert result.status is Status.SKIP, result.message


EXAMPLE_VARIABLES = {
    "JWT_SECRET_KEY": "canary",
    "PROBE_A_PASSWORD": "canary",
    "PROBE_B_PASSWORD": "canary",
    "DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/d",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with maestro.yaml.example as its configuration, and nobody at its addresses."""
    example = (Path(__file__).parent.parent / "maestro.yaml.example").read_text()
    (tmp_path / "maestro.yaml").write_text(example)
    (tmp_path / ".env").write_text("")
    (tmp_path / "checks").mkdir()
    return tmp_path


def test_no_built_in_check_takes_an_id_that_the_example_declares(example: Path) -> None:
    catalogue = discover(load(example / "maestro.yaml", environ=EXAMPLE_VARIABLES))
    catalogue.close()
    assert {catalogue.checks[name].plugin for name in ("health.disk", "health.docs")} == {"maestro.yaml"}


def test_the_example_leaves_room_for_the_coverage_that_its_gate_asks_for(example: Path) -> None:
    """What needs further keys is skipped; with what depends on the place it must stay under a tenth of the weight."""
    ctx = Context(
        load(example / "maestro.yaml", environ=EXAMPLE_VARIABLES), now=datetime.now(UTC), environ=EXAMPLE_VARIABLES
    )
    # A PostgreSQL on this machine without a standby and without row-level security, behind an API of another machine.
    skipped = {"security.postgres-tls", "health.replication-lag", "security.tenant-rls", "readiness.graceful-shutdown"}
    try:
        skipped |= {check.id for check in CHECKS if execute(check, ctx).status is Status.SKIP}
    finally:
        ctx.close()
    weight = {check.id: WEIGHTS[check.priority] for check in CHECKS}
    assert sum(weight[name] for name in skipped) < 0.1 * sum(weight.values()), sorted(skipped)
