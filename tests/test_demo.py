"""`maestro demo` as a newcomer runs it, and `maestro readiness` beside it while its parts are stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from maestro_cli.formats.json_report import schema

WEIGHTS = {"critical": 8, "high": 4, "medium": 2, "low": 1}
CREDITS = {"pass": Fraction(1), "warn": Fraction(1, 2), "fail": Fraction(0), "error": Fraction(0)}

NOT_IN_THE_DEMO = {
    "health.replication-lag",
    "readiness.dependencies",
    "readiness.load-test",
    "readiness.static-analysis",
    "security.postgres-tls",
}

pytestmark = pytest.mark.timeout(240)


@dataclass
class Staying:
    """A demo that stays, in a folder."""

    process: subprocess.Popen[str]
    folder: Path
    told: str

    def pid(self, pattern: str) -> int:
        found = re.search(pattern, self.told)
        assert found is not None, self.told
        return int(found.group(1))

    def readiness(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = maestro(self.folder, "readiness", "--json", *arguments)
        report = json.loads(done.stdout)
        jsonschema.validate(report, schema())
        assert score_of(report) == pytest.approx(report["score"], abs=1e-6)
        return done.returncode, report


def maestro(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *arguments],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def score_of(report: Mapping[str, Any]) -> float | None:
    """The score from the report's checks and components alone, as the README says it."""
    weighted, whole = Fraction(0), Fraction(0)
    for component in report["components"]:
        rows = [row for row in report["checks"] if row["component"] == component["id"] and row["status"] != "skip"]
        weight = sum(WEIGHTS[row["priority"]] for row in rows)
        if not weight:
            assert component["score"] is None
            continue
        points = sum((WEIGHTS[row["priority"]] * CREDITS[row["status"]] for row in rows), Fraction(0))
        exact = 100 * points / weight
        assert component["score"] == pytest.approx(float(exact), abs=1e-6)
        weighted += exact * Fraction(component["weight"])
        whole += Fraction(component["weight"])
    return float(weighted / whole) if whole else None


def status_of(report: Mapping[str, Any], name: str) -> str:
    (row,) = [row for row in report["checks"] if row["id"] == name]
    return str(row["status"])


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", "demo", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    told = ""
    assert process.stderr is not None
    for line in process.stderr:
        told += line
        if text in line:
            return told
    raise AssertionError(f"the demo ended with {process.wait()}:\n{told}")


@pytest.fixture(scope="module")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staying]:
    base = tmp_path_factory.mktemp("demo")
    process = start(base, "--keep", "kept", "--stay")
    try:
        told = read_until(process, "Ctrl-C stops everything.")
        yield Staying(process, base / "kept", told)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_healthy_service_meets_the_production_gate_with_nothing_skipped(staying: Staying) -> None:
    code, report = staying.readiness()
    short = {
        row["id"]: (row["status"], row["message"]) for row in report["checks"] if row["status"] not in ("pass", "skip")
    }
    assert (code, report["verdict"], report["environment"], short) == (0, "ready", "production", {})
    # No scanner, no load test and no standby belongs to the demo; the seed's own checks are all measured.
    assert {row["id"] for row in report["checks"] if row["status"] == "skip"} <= NOT_IN_THE_DEMO
    assert report["coverage"] >= 90
    # A second run within the same rate-limit window is as good as the first.
    assert staying.readiness()[0] == 0


def test_probes_leave_nothing_behind(staying: Staying) -> None:
    before = rows(staying.folder)
    assert staying.readiness()[0] == 0
    assert rows(staying.folder) == before


TABLES = ("projects", "artifacts", "artifact_usage", "team_members", "process_metrics", "predictions")


def rows(folder: Path) -> dict[str, int]:
    """Rows per tenant and table, seen as the application's role with each tenant set in turn."""
    import psycopg2
    from psycopg2 import sql

    from maestro_cli.config.environment_file import read_environment_file

    found = {}
    connection = psycopg2.connect(read_environment_file(folder / ".env")["DATABASE_URL"])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id::text FROM tenants")
            for (tenant,) in cursor.fetchall():
                cursor.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
                for table in TABLES:
                    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
                    found[f"{tenant} {table}"] = int((cursor.fetchone() or (0,))[0])
    finally:
        connection.close()
    assert len(found) == 12
    assert sum(found.values()) >= 1200
    return found


def test_no_secret_of_the_project_in_any_output(staying: Staying) -> None:
    from maestro_cli.config.environment_file import read_environment_file
    from maestro_cli.config.interpolation import is_secret_name

    values = read_environment_file(staying.folder / ".env")
    secrets = [value for name, value in values.items() if is_secret_name(name) and len(value) > 12]
    assert len(secrets) >= 6
    files = {name: staying.folder / f"said.{name}" for name in ("json", "html", "sarif", "junit", "markdown")}
    wanted = [word for name, path in files.items() for word in ("--format", name, "--output", str(path))]
    done = maestro(staying.folder, "readiness", "--verbose", "--traceback", "--format", "rich", *wanted)
    said = {"the terminal": done.stdout + done.stderr, **{name: path.read_text() for name, path in files.items()}}
    assert all(len(text) > 1_000 for text in said.values()), "each says something"
    assert [place for place, text in said.items() if any(value in text for value in secrets)] == []
    assert not [value for value in secrets if value in staying.told]


def test_the_api_stopped_is_seen_and_never_passes(staying: Staying) -> None:
    pid = staying.pid(r"the service: pid (\d+)")
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.perf_counter()
        code, report = staying.readiness()
        took = time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (code, report["verdict"]) == (1, "not_ready")
    assert status_of(report, "health.api") == "error"
    assert status_of(report, "security.cors") == "error"
    assert took < 120  # the run's own deadline
    assert any("The API is unreachable" in note for note in report["notes"])


def test_valkey_stopped_makes_its_checks_errors(staying: Staying) -> None:
    os.kill(staying.pid(r"kill (\d+) +# stop Redis"), signal.SIGTERM)
    time.sleep(1)
    code, report = staying.readiness()
    assert (code, report["verdict"]) == (1, "not_ready")
    assert status_of(report, "health.redis-up") == "error"
    assert status_of(report, "health.redis-answers") == "error"
    assert status_of(report, "health.postgres-answers") == "pass"
    assert [note for note in report["notes"] if note.startswith("Redis is unreachable: connection refused")]


def test_a_fault_is_named_by_its_finding(tmp_path: Path) -> None:
    done = maestro(tmp_path, "demo", "--fault", "cors-any-origin", "--json")
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    assert (done.returncode, report["verdict"]) == (1, "not_ready")
    red = [row for row in report["checks"] if row["status"] == "fail"]
    assert red
    assert all("cors-any-origin" in row["faults"] for row in red)
    assert report["fault"]["name"] == "cors-any-origin"
    assert report["fault"]["found_by"] == [row["id"] for row in red]
    assert "Found by: security.cors" in done.stderr
    assert leftovers(tmp_path) == []


def test_a_fault_that_does_not_exist_and_a_folder_that_is_not_empty_cost_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    unknown = maestro(tmp_path, "demo", "--fault", "cors-any-orign")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean cors-any-origin?" in unknown.stderr
    full = maestro(tmp_path, "demo", "--keep", "mine")
    assert full.returncode == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_every_listed_fault_has_a_description_and_a_check(tmp_path: Path) -> None:
    listed = json.loads(maestro(tmp_path, "demo", "--list-faults", "--json").stdout)
    assert len(listed) >= 60
    assert all(row["description"].endswith(".") and row["found_by"] for row in listed)
    shown = maestro(tmp_path, "demo", "--list-faults").stdout.split()
    assert {name for row in listed for name in (row["name"], *row["found_by"])} <= set(shown), "no name is folded"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_at_any_step_stops_everything(how: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "--keep", "kept")
    read_until(process, "PostgreSQL and Valkey")
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert leftovers(tmp_path) == []


def leftovers(folder: Path) -> list[str]:
    """Command lines of processes that still run out of the folder, when they have had seconds to end on a busy machine."""
    end = time.monotonic() + 10
    time.sleep(0.5)
    while (found := running_in(folder)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def running_in(folder: Path) -> list[str]:
    """Command lines of processes that run out of the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            home = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in command or home.startswith(str(folder)):
            found.append(command)
    return found
