"""Every check can fail, and none cries wolf: each planted fault turns exactly the checks red that the tables name."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis
from fault_tables import (
    COMBINED,
    DATABASE,
    ELSEWHERE,
    POSTGRES_TLS,
    REFERENCE,
    RESTARTED,
    SLOW,
    TABLES,
    TLS,
    UNSEEN,
    VALKEY,
    Outside,
)
from other_service import FAULTS as OTHER_FAULTS
from probed_platform import ProbedPlatform, start_probed
from reference_platform import ReferencePlatform

from maestro_cli.api import Check
from maestro_cli.config import without_file
from maestro_cli.demo.plants import all_plants
from maestro_cli.demo.service import fault_names
from maestro_cli.discovery import discover
from maestro_cli.model import Component
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

pytestmark = pytest.mark.timeout(60)


@functools.cache
def built_in() -> tuple[Check, ...]:
    return tuple(discover(without_file(Path.cwd()), plugins=False).checks.values())


def asking(*, bursts: bool = True) -> list[Check]:
    """Those that ask the service; no other one can notice a fault in it."""
    return [check for check in built_in() if check.requests and (bursts or not check.bursts)]


def concerned(fault: str) -> list[Check]:
    """All of them; the bursts, which only count and never look at an answer's content, where a limit or health is off."""
    return asking(bursts=fault.startswith(("rate-limit", "health", "anonymous", "header-missing-hsts")))


def looking_at_servers() -> list[Check]:
    """Those that look at the database or at Redis, without the bursts."""
    ids = {row for outside in (*DATABASE.values(), *VALKEY.values()) for row in outside.turns.as_statuses()}
    others = {"health.postgres-answers", "health.query", "health.redis-answers", "readiness.redis-durability"}
    others |= {"readiness.connections", "readiness.tenant-indexes", "health.postgres-up", "health.redis-up"}
    return [check for check in built_in() if check.id in ids | others]


@pytest.fixture(scope="module")
def probed(reference_platform: ReferencePlatform) -> Iterator[ProbedPlatform]:
    running = start_probed(reference_platform)
    try:
        yield running
    finally:
        running.stop()


def statuses(probed: ProbedPlatform, checks: list[Check], *, max_latency_ms: float | None = None) -> dict[str, str]:
    """Check → status, of those that did not pass and were not left out."""
    report = probed.run(checks, max_latency_ms=max_latency_ms)
    assert {row.id for row in report.checks} == {check.id for check in checks}
    return {row.id: f"{row.status}" for row in report.checks if row.status not in ("pass", "skip")}


def test_the_healthy_service_has_no_finding(probed: ProbedPlatform) -> None:
    probed.plant()
    report = probed.run(asking())
    assert {row.id: row.message for row in report.checks if row.status != "pass"} == {}


@pytest.mark.parametrize("fault", REFERENCE)
def test_a_fault_of_the_service_turns_its_checks_red_and_no_other(probed: ProbedPlatform, fault: str) -> None:
    probed.plant(fault)
    assert statuses(probed, concerned(fault)) == REFERENCE[fault].as_statuses()


@pytest.mark.parametrize("fault", SLOW)
def test_a_fault_that_only_a_budget_of_latency_sees(probed: ProbedPlatform, fault: str) -> None:
    probed.plant(fault)
    checks = [check for check in asking(bursts=False) if check.suite == "health"]
    assert statuses(probed, checks) == {}
    assert statuses(probed, checks, max_latency_ms=1_400.0) == SLOW[fault].as_statuses()


@pytest.mark.parametrize("faults", COMBINED, ids="+".join)
def test_faults_do_not_hide_each_other(probed: ProbedPlatform, faults: tuple[str, ...]) -> None:
    probed.plant(*faults)
    assert statuses(probed, asking()) == COMBINED[faults].as_statuses()


@pytest.mark.parametrize("fault", RESTARTED)
def test_a_fault_that_needs_a_start_of_its_own(probed: ProbedPlatform, fault: str) -> None:
    with probed.platform.start(fault) as service:
        own = ProbedPlatform(probed.platform, probed.process, int(service.url.rpartition(":")[2]), hashes={})
        checks = [check for check in asking() if ".tenant-" in check.id or "-login" in check.id]
        assert statuses(own, checks) == RESTARTED[fault].as_statuses()


@pytest.fixture
def in_database(probed: ProbedPlatform, request: pytest.FixtureRequest) -> Iterator[Outside]:
    fault: Outside = DATABASE[request.param]
    probed.plant()
    name = probed.platform.environment["DATABASE_URL"].rpartition("/")[2]
    connection = psycopg2.connect(probed.platform.postgres.url_for(name).reveal())
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            try:
                for statement in fault.plant:
                    cursor.execute(statement)
                yield fault
            finally:
                for statement in fault.undo:
                    cursor.execute(statement)
    finally:
        connection.close()


@pytest.mark.parametrize("in_database", DATABASE, indirect=True)
def test_a_fault_of_the_database(probed: ProbedPlatform, in_database: Outside) -> None:
    assert statuses(probed, looking_at_servers()) == in_database.turns.as_statuses()


@pytest.mark.parametrize("fault", VALKEY)
def test_a_fault_of_valkey(probed: ProbedPlatform, fault: str) -> None:
    probed.plant()
    outside = VALKEY[fault]
    with redis.Redis.from_url(probed.platform.valkey.admin_url.reveal()) as client:
        try:
            for command in outside.plant:
                client.execute_command(*command.split())
            assert statuses(probed, looking_at_servers()) == outside.turns.as_statuses()
        finally:
            for command in outside.undo:
                client.execute_command(*command.split())


def test_the_servers_are_as_they_were(probed: ProbedPlatform) -> None:
    probed.plant()
    assert statuses(probed, looking_at_servers()) == {}


PLANTED = {*REFERENCE, *RESTARTED, *SLOW, *DATABASE, *VALKEY, *OTHER_FAULTS, *TLS, *POSTGRES_TLS}


def test_every_fault_of_the_service_is_looked_for_or_said_not_to_be() -> None:
    looked_for = {*REFERENCE, *RESTARTED, *SLOW}
    assert not looked_for & set(UNSEEN)
    assert looked_for | set(UNSEEN) == set(fault_names())


def test_a_check_names_the_faults_that_the_matrix_proves() -> None:
    red = {fault: row.red for fault, row in {**REFERENCE, **RESTARTED, **SLOW}.items()}
    red |= {fault: outside.turns.red for fault, outside in {**DATABASE, **VALKEY}.items()}
    wrong = [
        f"{check.id} claims {fault}, which does not turn it red"
        for check in built_in()
        for fault in check.faults
        if fault in red and check.id not in red[fault] and fault not in OTHER_FAULTS
    ]
    assert wrong == []


@pytest.mark.parametrize("check", [pytest.param(check, id=check.id) for check in built_in()])
def test_every_check_has_two_faults_that_are_planted(check: Check) -> None:
    assert len(check.faults) >= 2, "seen to fail in one way only, it may not look at the other"
    known = PLANTED | set(all_plants()) | set(ELSEWHERE) | written_out()
    assert set(check.faults) <= known, "named, but planted nowhere: plant it, or say in fault_tables.ELSEWHERE where"


def test_where_faults_are_planted_elsewhere() -> None:
    for place in set(ELSEWHERE.values()):
        file, _, test = place.partition("::")
        assert f"def {test}(" in (Path(__file__).parent / file).read_text(), place
    named = {fault for check in built_in() for fault in check.faults}
    assert set(ELSEWHERE) <= named, "no check names it any more"


@functools.cache
def written_out() -> frozenset[str]:
    """Names of faults that other tests write out where they plant them."""
    text = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    return frozenset(fault for check in built_in() for fault in check.faults if f'"{fault}"' in text)


def test_there_are_more_than_a_hundred() -> None:
    assert len(PLANTED | set(all_plants())) > 100


def test_no_check_sends_more_requests_than_it_announces(probed: ProbedPlatform) -> None:
    probed.plant()
    for check in asking():
        ctx = probed.context()
        run([check], ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0), deadlines={check.id: 60.0}))
        ctx.close()
        assert ctx.http.requests <= check.requests, f"{check.id} sends {ctx.http.requests}, announces {check.requests}"


def test_after_a_run_the_services_data_are_as_before(probed: ProbedPlatform) -> None:
    probed.plant()
    before = stored(probed)
    probed.run(asking())
    assert stored(probed) == before


def stored(probed: ProbedPlatform) -> dict[str, int]:
    """Rows of each table, and the keys in Valkey that are no counters and no revoked tokens (those end by themselves)."""
    name = probed.platform.environment["DATABASE_URL"].rpartition("/")[2]
    connection = psycopg2.connect(probed.platform.postgres.url_for(name).reveal())
    counts: dict[str, int] = {}
    try:
        with connection.cursor() as cursor:
            for table in (*TABLES, "users", "tenants"):
                cursor.execute(f"SELECT count(*) FROM {table}")
                counts[table] = int(cursor.fetchall()[0][0])
    finally:
        connection.close()
    with redis.Redis.from_url(probed.platform.valkey.admin_url.reveal(), decode_responses=True) as client:
        keys = {str(key).rpartition(":")[0] for key in client.scan_iter("*") if not str(key).startswith("rate:")}
        for kind in keys - {"token:blacklist"}:
            counts[kind] = sum(1 for _ in client.scan_iter(f"{kind}:*"))
    return counts
