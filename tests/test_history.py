"""Runs over time: stored in SQLite and PostgreSQL, listed, compared; a broken store never costs the verdict."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro_cli.commands.history import PLAIN_BARS, sparkline
from maestro_cli.errors import ConfigurationError, OutOfReach, UsageError
from maestro_cli.formats.json_report import parse, render
from maestro_cli.history.connection import sqlite_file
from maestro_cli.history.difference import compare, evidence_changes
from maestro_cli.history.schema import HEAD, configuration, migrate
from maestro_cli.history.store import Store
from maestro_cli.model import CheckResult, Component, Evidence, Priority, Report, Status, Suite, Verdict, WaiverNote
from maestro_cli.redaction import Secret
from maestro_cli.scoring import GateRule, score

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def result(name: str, status: Status, observed: str = "x", **more: object) -> CheckResult:
    return dataclasses.replace(
        CheckResult(
            f"security.{name}",
            name,
            Suite.SECURITY,
            Component.SECURITY,
            Priority.HIGH,
            status,
            f"{name} is {status.value}",
            (Evidence("seen", observed),),
        ),
        **more,  # type: ignore[arg-type] # a test's own fields
    )


def report(*checks: CheckResult, day: int = 0, environment: str = "development", service: str = "shop") -> Report:
    outcome = score(checks, dict.fromkeys(Component, 1.0), GateRule(environment, 60))
    return Report(
        service=service,
        environment=environment,
        commit="a" * 40,
        started_at=BEGIN + timedelta(days=day),
        duration_s=1.0,
        score=outcome.score,
        coverage=outcome.coverage,
        verdict=outcome.verdict,
        gate=outcome.gate,
        components=outcome.components,
        checks=checks,
        counts=outcome.counts,
        maestro_version="0",
    )


def well(day: int = 0, **more: str) -> Report:
    return report(result("a", Status.PASS), result("b", Status.PASS), day=day, **more)


def half(day: int = 0, **more: str) -> Report:
    return report(result("a", Status.PASS), result("b", Status.FAIL), day=day, **more)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    if request.param == "sqlite":
        return Secret(f"sqlite:///{tmp_path}/history.db")
    return Secret(request.getfixturevalue("database"))


def test_a_run_comes_back_as_it_was(url: Secret, tmp_path: Path) -> None:
    with Store(url, tmp_path) as store:
        identifier = store.add(half(), render(half()))
    with Store(url, tmp_path) as store:
        (run,) = store.runs(10)
        assert (run.id, run.service, run.environment, run.verdict, run.commit) == (
            identifier,
            "shop",
            "development",
            Verdict.NOT_READY.value,
            "a" * 40,
        )
        assert run.started_at == BEGIN
        assert run.components["security"] == run.score == half().score
        assert run.components["testing"] is None
        assert parse(store.document(run)) == parse(render(half()))


def test_runs_are_listed_by_time_and_found_by_name(url: Secret, tmp_path: Path) -> None:
    with Store(url, tmp_path) as store:
        ids = {day: store.add(well(day), render(well(day))) for day in (3, 1, 2)}
        other = store.add(well(9, environment="production"), render(well(9)))
        assert [run.started_at.day for run in store.runs(10, environment="development")] == [2, 3, 4]
        assert [run.id for run in store.runs(2)] == [ids[3], other]
        assert store.runs(10, service="elsewhere") == []
        assert store.find("last").id == other
        assert store.find("last", environment="development").id == ids[3]
        assert store.find("last~2", environment="development").id == ids[1]
        assert store.find(ids[2][:7]).id == ids[2]
        for name in ("last~9", "last~x", "zzz", "", "%", "_"):
            with pytest.raises(UsageError):
                store.find(name)


def _add_many(arguments: tuple[str, str, int]) -> None:
    url, root, writer = arguments
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_history import Store, Secret, Path, well, render
with Store(Secret({url!r}), Path({root!r})) as store:
    for day in range(20):
        store.add(well(day, service="writer-{writer}"), render(well(day)))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_many_writers_at_once_lose_nothing_from_the_first_run_on(url: Secret, tmp_path: Path) -> None:
    """Also the tables are created by whoever comes first, once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(_add_many, [(url.reveal(), str(tmp_path), writer) for writer in range(3)]))
    with Store(url, tmp_path) as store:
        for writer in range(3):
            assert len(store.runs(100, service=f"writer-{writer}")) == 20


def test_the_schema_is_at_the_scripts_head_and_goes_down_and_up_again(url: Secret, tmp_path: Path) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    from maestro_cli.history.schema import _engine

    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD
    with Store(url, tmp_path) as store:
        store.add(well(), render(well()))
        with _engine(store.connection) as engine, engine.connect() as live:
            command.downgrade(configuration(live), "base")
        assert not store.connection.has_table("maestro_runs")
        migrate(store.connection)
        assert store.runs(10) == []


def test_a_store_of_a_newer_maestro_is_left_alone(url: Secret, tmp_path: Path) -> None:
    with Store(url, tmp_path) as store:
        store.connection.write("update maestro_history_version set version_num = :new", {"new": "9999"})
    with pytest.raises(OutOfReach, match="newer maestro"):
        Store(url, tmp_path)


def test_a_plain_file_needs_no_sqlalchemy(tmp_path: Path) -> None:
    assert sqlite_file(Secret("sqlite:///history.db"), tmp_path) == tmp_path / "history.db"
    assert sqlite_file(Secret("sub/history.db"), tmp_path) == tmp_path / "sub" / "history.db"
    assert sqlite_file(Secret("sqlite:////srv/absolute.db"), tmp_path) == Path("/srv/absolute.db")
    assert sqlite_file(Secret("postgresql://u:p@h/d"), tmp_path) is None


def test_urls_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store(Secret("nonsense://user:planted@host/x"), tmp_path)
    assert "planted" not in str(caught.value)
    with pytest.raises(OutOfReach) as unreachable:
        Store(Secret("postgresql://user:planted@127.0.0.1:1/x"), tmp_path)
    assert "planted" not in str(unreachable.value)
    with pytest.raises(OutOfReach, match="cannot be used"):
        Store(Secret("sqlite:///missing/folder/x.db"), tmp_path)


def test_difference() -> None:
    waived = WaiverNote("known", "ops", "2027-01-01")
    before = report(
        result("stays", Status.PASS),
        result("worse", Status.PASS),
        result("warns", Status.PASS),
        result("error-to-fail", Status.ERROR),
        result("better", Status.FAIL),
        result("evidence", Status.PASS, "12 ms"),
        result("waived", Status.PASS),
        result("gone", Status.FAIL),
    )
    after = report(
        result("stays", Status.PASS),
        result("worse", Status.ERROR),
        result("warns", Status.WARN),
        result("error-to-fail", Status.FAIL),
        result("better", Status.PASS),
        result("evidence", Status.PASS, "14 ms"),
        result("waived", Status.FAIL, waiver=waived),
        result("new-bad", Status.FAIL),
        result("new-good", Status.PASS),
    )
    difference = compare(before, after)

    def names(changes: object) -> set[str]:
        return {change.id.removeprefix("security.") for change in changes}  # type: ignore[attr-defined] # changes

    assert names(difference.regressed) == {"worse", "warns", "waived"}
    assert names(difference.fixed) == {"better"}
    assert names(difference.new) == {"new-bad", "new-good"}
    assert names(difference.gone) == {"gone"}
    assert names(difference.changed) == {"error-to-fail", "evidence"}
    assert names(difference.regressions) == {"worse", "new-bad"}
    (change,) = [change for change in difference.changed if change.id.endswith("evidence")]
    assert list(evidence_changes(change)) == [("seen", "12 ms", "14 ms")]
    assert difference.components[Component.SECURITY] == (before.score, after.score)
    same = compare(before, before)
    assert not any((same.regressed, same.fixed, same.new, same.gone, same.changed, same.components))


def test_sparklines() -> None:
    assert sparkline([88.4, 89.1, 91.5, 95.6, 95.0]) == "▄▄▅▇▇"  # 88 to 95 can be seen
    assert sparkline([100.0, 100.0, None]) == "██ "
    assert sparkline([None, None]) == "  "
    assert sparkline([0, 50, 100, None, 12.5]) == "▁▅█ ▂"
    assert sparkline([0, 99.9, 100], PLAIN_BARS) == "_##"


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "maestro.yaml").write_text(
        "service: {name: shop}\nhistory: sqlite:///.maestro/history.db\n"
        "checks:\n"
        "  - {id: health.one, file: one, component: infrastructure}\n"
        "  - {id: health.two, file: two, component: configuration}\n"
    )
    (project / "one").touch()
    return project


def maestro(folder: Path, *words: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding=encoding,
        timeout=60,
        check=False,
    )


def test_runs_are_kept_and_shown(shop: Path) -> None:
    assert maestro(shop, "history").stdout == "No run is stored yet.\n"
    assert maestro(shop, "readiness").returncode == 1
    assert (shop / ".maestro" / ".gitignore").read_text() == "*\n"
    (shop / "two").touch()
    second = maestro(shop, "readiness", "--json")
    assert [point["score"] for point in json.loads(second.stdout)["trend"]] == [50.0]
    shown = maestro(shop, "history")
    lines = shown.stdout.splitlines()
    assert lines[0].split() == [
        "RUN",
        "WHEN",
        "(UTC)",
        "SERVICE",
        "ENVIRONMENT",
        "COMMIT",
        "SCORE",
        "CHANGE",
        "VERDICT",
    ]
    assert "+50.0" in lines[1]
    assert any("Configuration" in line and "0.0 → 100.0" in line for line in lines)
    assert "maestro diff" in shown.stderr
    rows = json.loads(maestro(shop, "history", "--json").stdout)
    assert [row["score"] for row in rows] == [50.0, 100.0]
    changed = maestro(shop, "diff")
    assert "Fixed (1)\n  health.two  fail → pass" in changed.stdout
    assert maestro(shop, "diff", "last", "last~1", "--exit-code").returncode == 1
    as_json = json.loads(maestro(shop, "diff", rows[0]["id"], rows[1]["id"], "--json").stdout)
    assert as_json["fixed"][0]["evidence"][0] == {"name": "exists", "before": "false", "after": "true"}


def test_a_baseline_forgives_what_was_there(shop: Path) -> None:
    saved = maestro(shop, "readiness", "--json")
    assert saved.returncode == 1
    (shop / "baseline.json").write_text(saved.stdout)
    for name in ("baseline.json", "last"):
        again = maestro(shop, "readiness", "--baseline", name, "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["baseline"]["regressions"] == []
    (shop / "one").unlink()
    worse = maestro(shop, "readiness", "--baseline", "baseline.json", "--json")
    assert worse.returncode == 1
    assert json.loads(worse.stdout)["baseline"]["regressions"] == ["health.one"]
    assert "1 regression, 0 fixed" in worse.stderr
    assert "health.one  pass → fail" in worse.stderr
    for name, code in (("missing.json", 2), ("zzzz", 2), ("maestro.yaml", 2)):
        assert maestro(shop, "readiness", "--baseline", name).returncode == code


@pytest.mark.parametrize(
    "damage", [b"this is not a database, and long enough to be looked at" * 40, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_corrupt_store_is_said_and_the_verdict_still_comes(shop: Path, damage: bytes) -> None:
    (shop / "two").touch()
    (shop / ".maestro").mkdir()
    (shop / ".maestro" / "history.db").write_bytes(damage)
    done = maestro(shop, "readiness", "--json", "--quiet")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "ready"
    assert "note: this run was not stored: the history in " in done.stderr
    listed = maestro(shop, "history")
    assert listed.returncode == 3
    assert "Move the file away" in listed.stderr
    assert (shop / ".maestro" / "history.db").read_bytes() == damage


def test_a_damaged_row_is_said(shop: Path) -> None:
    maestro(shop, "readiness")
    with sqlite3.connect(shop / ".maestro" / "history.db") as connection:
        connection.execute("update maestro_runs set document = x'00'")
    connection.close()
    done = maestro(shop, "diff", "last", "last")
    assert done.returncode == 3
    assert "its report is damaged" in done.stderr


def test_without_a_history(project: Path) -> None:
    (project / "maestro.yaml").write_text("checks: [{id: health.one, file: maestro.yaml}]\n")
    done = maestro(project, "history")
    assert done.returncode == 2
    assert "history: sqlite:///.maestro/history.db" in done.stderr
    assert "was not stored" not in maestro(project, "readiness").stderr
    assert not (project / ".maestro").exists()


def test_no_secret_is_stored(project: Path) -> None:
    (project / "maestro.yaml").write_text(
        "env_file: .env\nhistory: sqlite:///history.db\n"
        "checks: [{id: health.leak, command: {run: [echo, '${APP_SECRET_KEY}'], stdout: nothing}}]\n"
    )
    (project / ".env").write_text("APP_SECRET_KEY=planted-secret-value\n")
    maestro(project, "readiness")
    with Store(Secret("sqlite:///history.db"), project) as store:
        text = store.document(store.find("last"))
    assert "health.leak" in text
    assert "planted-secret-value" not in text
    assert "planted-secret-value" not in maestro(project, "checks", "explain", "health.leak").stdout
    assert b"planted-secret-value" not in (project / "history.db").read_bytes()
