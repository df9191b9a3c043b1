"""`maestro checks` from the outside, and the kit that authors of checks test with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.testing import check_in, checks_in, expect, run, turns_red


def maestro(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", "checks", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_list_names_every_check_once_in_columns(project: Path) -> None:
    (project / "maestro.yaml").write_text("env_file: .env\nchecks: [{id: health.mine, file: x, priority: low}]\n")
    done = maestro(project, "list")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert rows[0] == ["ID", "COMPONENT", "PRIORITY", "PLUGIN"]
    ids = [row[0] for row in rows[1:]]
    assert ids == sorted(set(ids))
    assert ["health.mine", "infrastructure", "low", "maestro.yaml"] in rows
    assert "readiness.waivers" in ids
    assert "maestro checks explain" in done.stderr


def test_the_list_as_json_with_costs_and_by_suite(project: Path) -> None:
    rows = json.loads(maestro(project, "list", "security", "--json").stdout)
    assert {row["suite"] for row in rows} == {"security"}
    assert all(row["why"] and row["fails_when"] and row["fix"] for row in rows)
    cost = maestro(project, "list", "--cost", "--component", "security").stdout.splitlines()
    assert cost[0].split()[-4:] == ["REQUESTS", "WRITES", "BURSTS", "DEADLINE"]
    assert all("security" in line for line in cost[1:])
    wrong = maestro(project, "list", "safety")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_explain_renders_the_docstring(project: Path) -> None:
    done = maestro(project, "explain", "readiness.waivers")
    for words in ("Why: ", "Fails when: ", "Fix: ", "Source: ", "Faults that turn it red: waiver-expired"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    unknown = maestro(project, "explain", "readiness.waiver")
    assert unknown.returncode == 2
    assert "did you mean readiness.waivers?" in unknown.stderr
    several = json.loads(maestro(project, "explain", "security.jwt-*", "--json").stdout)
    assert len(several) > 3


def test_a_broken_plugin_is_told_beside_the_list(project: Path) -> None:
    (project / "checks").mkdir()
    (project / "checks" / "bad.py").write_text("raise RuntimeError('planted')")
    (project / "maestro.yaml").write_text("plugins: [checks]\n")
    done = maestro(project, "list")
    assert done.returncode == 0
    assert "could not be loaded: RuntimeError: planted" in done.stderr


def test_a_new_check_passes_as_written_and_its_fault_turns_it_red(project: Path) -> None:
    (project / "maestro.yaml").write_text("plugins: [./checks]\n")
    made = maestro(project, "new", "health.backup-age", "--component", "deployment", "--priority", "low")
    assert made.stdout.splitlines() == ["wrote checks/backup_age.py", "wrote checks/test_backup_age.py"]
    assert "plugins:" not in made.stderr
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "checks"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in tests.stdout, tests.stdout
    validate = [sys.executable, "-m", "maestro_cli", "validate", "--only", "health.backup-age", "--json"]
    done = subprocess.run(validate, cwd=project, capture_output=True, text=True, check=False)
    (row,) = json.loads(done.stdout)["checks"]
    assert (row["status"], row["component"], row["priority"]) == ("pass", "deployment", "low")
    (project / "maestro.yaml").chmod(0o666)
    assert subprocess.run(validate, cwd=project, capture_output=True, check=False).returncode == 1
    for tool in (["ruff", "check", "--select", "E,F,I,B,UP"], ["ruff", "format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", *tool, "checks"], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_a_new_check_whose_folder_nobody_reads_puzzles_nobody(project: Path) -> None:
    validate = [sys.executable, "-m", "maestro_cli", "validate", "--only", "readiness.changelog", "--json"]
    (project / "maestro.yaml").write_text("# mine\nversion: 1\n")
    assert maestro(project, "new", "changelog").returncode == 0
    for command in (validate, [sys.executable, "-m", "maestro_cli", "checks", "explain", "readiness.changelog"]):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "checks/changelog.py defines readiness.changelog" in done.stderr
        assert "plugins: [./checks]" in done.stderr
    made = maestro(project, "new", "another", "--register")
    assert made.stdout.splitlines()[-1] == "wrote maestro.yaml"
    assert (project / "maestro.yaml").read_text() == "# mine\nversion: 1\nplugins:\n  - ./checks\n"
    assert subprocess.run(validate, cwd=project, capture_output=True, check=False).returncode == 0
    done = subprocess.run([*validate, "--no-plugins"], cwd=project, capture_output=True, text=True, check=False)
    assert "Leave out --no-plugins" in done.stderr
    assert "maestro.yaml" not in maestro(project, "new", "third", "--register").stdout  # it is there already
    (project / "maestro.yaml").unlink()
    assert maestro(project, "new", "fourth", "--register").returncode == 2
    assert not (project / "checks" / "fourth.py").exists()


def test_new_overwrites_nothing_and_refuses_odd_names(project: Path) -> None:
    assert maestro(project, "new", "backup-age").returncode == 0
    written = (project / "checks" / "backup_age.py").read_text()
    assert '"readiness.backup-age"' in written
    (project / "checks" / "backup_age.py").write_text("mine")
    again = maestro(project, "new", "backup-age")
    assert (again.returncode, (project / "checks" / "backup_age.py").read_text()) == (1, "mine")
    assert maestro(project, "new", "backup-age", "--force").returncode == 0
    assert "plugins: [./checks]" in again.stderr + maestro(project, "new", "another").stderr
    for name in ("Backup", "health.", "nowhere.x", "../x", "health.a b"):
        assert maestro(project, "new", name).returncode == 2, name
    for name in ("class", "9-lives", "test-this"):
        assert maestro(project, "new", name).returncode == 0, name
    checks_in(project / "checks" / "check_class.py")


@check("health.kit", component="infrastructure", priority="low")
def kit(ctx: Context) -> Finding:
    """The file is there."""
    there = ctx.path("subject").exists()
    seen = Evidence("subject", str(there))
    return passed("there", seen) if there else failed("gone", seen)


def test_the_kit_tells_a_check_that_cannot_fail(tmp_path: Path) -> None:
    (tmp_path / "subject").touch()
    assert turns_red(kit, tmp_path, (tmp_path / "subject").unlink, "gone").message == "gone"
    with pytest.raises(AssertionError, match=r"health.kit is fail: gone"):
        turns_red(kit, tmp_path, lambda: None)
    (tmp_path / "subject").touch()
    with pytest.raises(AssertionError, match=r"health.kit is pass: there"):
        turns_red(kit, tmp_path, lambda: None)
    with pytest.raises(AssertionError, match="'other' is not in"):
        expect(run(kit, tmp_path), "pass", "other")


def test_the_kit_wants_one_check_in_a_module(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1")
    with pytest.raises(AssertionError, match=r"none.py defines no check"):
        check_in(tmp_path / "none.py")
