"""What is found, what is chosen, and what nobody asked for is not even imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maestro_cli.config import load, without_file
from maestro_cli.discovery import Choice, discover, select
from maestro_cli.errors import ConfigurationError, UsageError


def test_every_built_in_check_is_named_after_its_file() -> None:
    """That is what lets a run leave most of them unread: the ids are the same either way."""
    everything = discover(without_file(Path.cwd()), plugins=False)
    nothing = discover(without_file(Path.cwd()), plugins=False, choice=Choice(only=("no.such",)))
    assert nothing.checks == {}
    assert nothing.unread == everything.checks.keys()
    assert everything.ids == nothing.ids


def test_a_choice_reads_just_what_it_needs(project: Path) -> None:
    code = """
import sys
from pathlib import Path
from maestro_cli.config import without_file
from maestro_cli.discovery import Choice, discover
found = discover(without_file(Path.cwd()), plugins=False, choice=Choice(only=("readiness.waivers",)))
print(*found.checks, *sorted(name for name in sys.modules if name.startswith("maestro_cli.checks.")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["readiness.waivers", "maestro_cli.checks.readiness_waivers"]


def test_waivers_and_patterns_of_unread_checks_are_known(project: Path) -> None:
    (project / "maestro.yaml").write_text(
        "waivers: [{check: security.cors, reason: r, owner: o, environments: [production], expires: 2099-01-01}]\nrun: {deadlines: {health.query: 5}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli", "validate", "--only", "readiness.waivers", "--without", "health.*"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_choice_by_suites_and_patterns() -> None:
    choice = Choice(("security",), ("security.jwt-*", "health.*"), ("*-time",))
    assert "security.jwt-alg-none" in choice
    for name in ("security.jwt-time", "security.cors", "health.query"):
        assert name not in choice


def test_a_typing_error_does_not_make_a_run_pass() -> None:
    catalogue = discover(without_file(Path.cwd()), plugins=False, choice=Choice(only=("security.cros",)))
    with pytest.raises(UsageError, match=r"did you mean security.cors\?"):
        select(catalogue, only=("security.cros",))


def test_a_plugin_may_not_take_a_built_in_id_even_of_an_unread_check(project: Path) -> None:
    (project / "maestro.yaml").write_text("checks: [{id: health.query, file: x}]\n")
    loaded = load(project / "maestro.yaml", environ={})
    for choice in (None, Choice(only=("readiness.waivers",))):
        with pytest.raises(ConfigurationError, match=r"health.query is defined twice: by builtin and by maestro.yaml"):
            discover(loaded, choice=choice)


def test_a_plugin_folder_that_is_not_there_is_a_mistake_with_its_line(project: Path) -> None:
    (project / "maestro.yaml").write_text("version: 1\nplugins:\n  - ./nowhere\n")
    with pytest.raises(ConfigurationError, match=r"maestro.yaml:3: plugins\[0\]: there is no folder ./nowhere"):
        discover(load(project / "maestro.yaml", environ={}))
