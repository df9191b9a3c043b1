"""The program as a whole process: what stands on stdout and stderr, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from maestro_cli.formats.json_report import schema

PLUGIN = """
from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
"""
CHECK = '''
@check("health.{name}", component="infrastructure", priority="{priority}"{options})
def {function}(ctx: Context) -> Finding:
    """It holds.

    Why: a test asks. Fails when: never. Fix: nothing.
    """
    {body}
'''


def plugin_check(name: str, body: str, *, priority: str = "high", options: str = "") -> str:
    return CHECK.format(name=name, function=name.replace("-", "_"), body=body, priority=priority, options=options)


def project(folder: Path, *checks: str, extra: str = "") -> Path:
    (folder / "checks").mkdir(exist_ok=True)
    (folder / "checks" / "sample.py").write_text(PLUGIN + "".join(checks))
    (folder / "maestro.yaml").write_text(f"plugins: [checks]\n{extra}")
    return folder


def maestro(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *arguments],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


GOOD = plugin_check("good", 'return passed("fine", Evidence("x", "y"))')
BAD = plugin_check("bad", 'return failed("broken", Evidence("x", "y", "z"))')


def test_version_and_help_import_nothing_heavy(tmp_path: Path) -> None:
    for arguments in (["--version"], ["--help"], ["readiness", "--help"], ["certs", "--help"], ["migrate", "--help"]):
        code = (
            "import sys, atexit, runpy; sys.argv[1:] = "
            f"{arguments!r}\n"
            "heavy = 'sqlalchemy alembic redis cryptography psycopg2 pydantic urllib3 yaml'.split()\n"
            "atexit.register(lambda: print([n for n in heavy if n in sys.modules], file=sys.stderr))\n"
            "runpy.run_module('maestro_cli', run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.strip() == "[]", arguments


def test_an_empty_configuration_measures_nothing_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECRET_KEY=changeme\n")
    (tmp_path / "README.md").write_text("# x\n")
    (tmp_path / "maestro.yaml").write_text("")
    done = maestro(tmp_path, "readiness", "--json")
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    assert (done.returncode, report["verdict"], report["score"], report["coverage"]) == (3, "unknown", None, 0)
    assert {row["status"] for row in report["checks"]} == {"skip"}
    assert len(report["checks"]) >= 27
    assert maestro(tmp_path, "validate").returncode == 3


def test_without_a_configuration_the_next_command_is_named(tmp_path: Path) -> None:
    done = maestro(tmp_path, "readiness")
    assert (done.returncode, done.stdout) == (2, "")
    assert "maestro init" in done.stderr


def test_exit_codes_by_gate_and_by_priority(tmp_path: Path) -> None:
    project(tmp_path, GOOD)
    assert maestro(tmp_path, "readiness", "--json").returncode == 0
    assert maestro(tmp_path, "validate", "--only", "health.good").returncode == 0
    project(tmp_path, GOOD, BAD)
    assert maestro(tmp_path, "readiness", "--json").returncode == 1
    assert maestro(tmp_path, "validate").returncode == 1
    assert maestro(tmp_path, "validate", "--fail-on", "critical").returncode == 0
    assert maestro(tmp_path, "validate", "security").returncode == 3
    assert maestro(tmp_path, "validate", "helth").returncode == 2
    assert maestro(tmp_path, "validate", "--only", "health.godo").returncode == 2


def test_stdout_stays_one_json_object_whatever_a_check_does(tmp_path: Path) -> None:
    loud = plugin_check(
        "loud",
        'import os, subprocess, sys; print("noise"); os.write(1, b"noise"); sys.stdout.flush(); '
        'subprocess.run(["echo", "noise"]); return passed("fine", Evidence("x", "y"))',
    )
    exits = plugin_check("exits", "import sys; sys.exit(0)")
    hangs = plugin_check("hangs", "import time; time.sleep(600)", options=", deadline_s=1")
    project(tmp_path, loud, exits, hangs, GOOD)
    started = time.perf_counter()
    done = maestro(tmp_path, "readiness", "--json")
    assert time.perf_counter() - started < 30
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    statuses = {row["id"]: row["status"] for row in report["checks"] if row["plugin"] == "checks"}
    assert statuses == {"health.loud": "pass", "health.exits": "error", "health.hangs": "error", "health.good": "pass"}
    assert "noise" not in done.stdout


def test_a_plugin_that_does_not_load_is_seen(tmp_path: Path) -> None:
    project(tmp_path, GOOD)
    (tmp_path / "checks" / "broken.py").write_text("import nothing_of_that_name\n")
    report = json.loads(maestro(tmp_path, "readiness", "--json").stdout)
    (row,) = [row for row in report["checks"] if row["status"] == "error"]
    assert "could not be loaded" in row["message"]
    assert "nothing_of_that_name" in row["message"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_at_once_with_130_and_the_partial_report_on_stderr(
    how: signal.Signals, tmp_path: Path
) -> None:
    flag = tmp_path / "running"
    hangs = plugin_check(
        "hangs", f'open({str(flag)!r}, "w").close(); import time; time.sleep(600)', options=", deadline_s=500"
    )
    project(tmp_path, hangs, GOOD)
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", "readiness", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not flag.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    started = time.perf_counter()
    process.send_signal(how)
    out, err = process.communicate(timeout=20)
    took = time.perf_counter() - started
    assert (process.returncode, out) == (130, "")
    report = json.loads(err)
    jsonschema.validate(report, schema())
    assert report["interrupted"] is True
    statuses = {row["id"]: row["status"] for row in report["checks"] if row["plugin"] == "checks"}
    assert statuses == {"health.hangs": "error", "health.good": "pass"}
    assert took < 5  # a bound against hanging; the second that is promised is measured in benchmarks/


def test_formats_and_outputs_pair_in_order(tmp_path: Path) -> None:
    project(tmp_path, GOOD, BAD)
    done = maestro(
        tmp_path, "readiness", "--format", "junit", "-o", "a.xml", "--format", "markdown", "-o", "b.md", "--json"
    )
    assert json.loads(done.stdout)["verdict"] == "not_ready"
    assert (tmp_path / "a.xml").read_text().startswith("<?xml")
    assert "health.bad" in (tmp_path / "b.md").read_text()
    both = maestro(tmp_path, "readiness", "--json", "--format", "junit")
    assert (both.returncode, both.stdout) == (2, "")
    unknown = maestro(tmp_path, "readiness", "--format", "jsno")
    assert unknown.returncode == 2
    assert "did you mean json?" in unknown.stderr
    nowhere = maestro(tmp_path, "readiness", "--json", "-o", "none/such.json")
    assert nowhere.returncode == 3
    assert "cannot be written" in nowhere.stderr


def test_common_options_stand_in_front_or_behind(tmp_path: Path) -> None:
    project(tmp_path, GOOD)
    (tmp_path / "maestro.yaml").rename(tmp_path / "other.yaml")
    for arguments in (
        ["-c", "other.yaml", "readiness", "--json", "--env", "staging"],
        ["--env=staging", "readiness", "--json", "--config", "other.yaml"],
    ):
        report = json.loads(maestro(tmp_path, *arguments).stdout)
        assert report["environment"] == "staging"
        assert report["gate"]["name"] == "staging"
    wrong = maestro(tmp_path, "-c", "other.yaml", "readiness", "--env", "prod")
    assert wrong.returncode == 2


def test_waivers_that_name_no_check_are_a_configuration_error(tmp_path: Path) -> None:
    waiver = (
        "waivers:\n  - {check: health.baad, reason: r, owner: o, environments: [production], expires: 2999-01-01}\n"
    )
    project(tmp_path, GOOD, BAD, extra=waiver)
    done = maestro(tmp_path, "readiness", "--json")
    assert done.returncode == 2
    assert (
        "maestro.yaml:3: waivers[0].check: no check is named 'health.baad'; did you mean \"health.bad\"?" in done.stderr
    )


def test_a_waiver_holds_until_its_date_and_in_its_environments(tmp_path: Path) -> None:
    def verdict(waiver: str) -> tuple[str, int]:
        gates = "readiness: {gates: {staging: {no_failed: [high]}}}\nservice: {environment: staging}\n"
        project(tmp_path, GOOD, BAD, extra=f"{gates}waivers:\n  - {waiver}\n")
        report = json.loads(maestro(tmp_path, "readiness", "--json").stdout)
        return report["verdict"], report["counts"]["waived"]

    assert verdict("{check: health.bad, reason: r, owner: o, environments: [staging], expires: 2999-01-01}") == (
        "ready",
        1,
    )
    assert verdict("{check: health.bad, reason: r, owner: o, environments: [staging], expires: 2001-01-01}") == (
        "not_ready",
        0,
    )
    other = "{check: health.bad, reason: r, owner: o, expires: 2999-01-01, environments: [development]}"
    assert verdict(other) == ("not_ready", 0)


def test_no_colour_in_a_pipe(tmp_path: Path) -> None:
    project(tmp_path, GOOD, BAD)
    for environ in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
        done = maestro(tmp_path, "readiness", environ=environ)
        assert "\x1b" not in done.stdout + done.stderr
        assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_secrets_reach_no_output(tmp_path: Path) -> None:
    leak = plugin_check(
        "leak",
        'import os; v = os.environ["CANARY_SECRET"]; print(v); os.write(2, b""); '
        'return failed(f"saw {v}", Evidence(v, v, v), fix=v, command=v)',
    )
    crash = plugin_check("crash", 'import os; raise ValueError(os.environ["CANARY_SECRET"])')
    project(tmp_path, leak, crash, extra="redis: {url: 'redis://:${CANARY_SECRET}@127.0.0.1:1/0'}\n")
    for flags in (["--json"], ["--verbose"], ["--traceback", "--verbose"], ["--format", "html"], ["--format", "sarif"]):
        done = maestro(tmp_path, "readiness", *flags, environ={"CANARY_SECRET": "canary-4711-xyzzy"})
        assert "4711" not in done.stdout + done.stderr, flags


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    project(tmp_path, GOOD)
    # The shell is there for its pipe.
    command = f"{sys.executable} -m maestro_cli readiness --json | head -c 10"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
