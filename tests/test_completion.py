"""What the shell offers behind <TAB>, asked as bash, zsh and fish ask it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from maestro_cli.commands import completion
from maestro_cli.config import without_file
from maestro_cli.discovery import discover


def complete(folder: Path, line: str) -> list[str]:
    """The words that bash is offered for the last word of a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli"],
        cwd=folder,
        env={
            **os.environ,
            "_MAESTRO_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_the_ids_that_are_offered_are_those_that_exist(tmp_path: Path) -> None:
    checks = discover(without_file(tmp_path), plugins=False).checks
    assert completion.check_ids("") == sorted(checks)
    assert completion.fixable_ids("") == sorted(name for name, check in checks.items() if check.fix is not None)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("maestro vali", ["validate"]),
        ("maestro validate --only security.jwt-alg", ["security.jwt-alg-none"]),
        ("maestro validate --without security.jwt-alg", ["security.jwt-alg-none"]),
        ("maestro validate hea", ["health"]),
        ("maestro validate --fail-on cr", ["critical"]),
        ("maestro readiness --format ju", ["junit"]),
        ("maestro checks explain readiness.migr", ["readiness.migrations"]),
        ("maestro checks list --component infra", ["infrastructure"]),
        ("maestro fix security.env", ["security.env-file"]),
        ("maestro --env stag", ["staging"]),
        ("maestro demo --fault cors-any", ["cors-any-origin"]),
    ],
)
def test_each_word_is_completed(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert complete(tmp_path, line) == offered


def test_a_project_s_own_checks_are_offered_and_its_code_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "backup.py").write_text(
        'from pathlib import Path\nPath("ran").touch()\n@check("health.backup-age", component="deployment")\ndef age(ctx): ...\n'
    )
    (tmp_path / "maestro.yaml").write_text(
        'plugins:\n  - ./checks\nchecks:\n  - {id: health.backup-port, tcp: "localhost:1"}\n  - id: health.backup-file\n    file: x\n'
    )
    expected = ["health.backup-age", "health.backup-file", "health.backup-port"]
    assert complete(tmp_path, "maestro checks explain health.backup") == expected
    assert not (tmp_path / "ran").exists()
    (tmp_path / "maestro.yaml").rename(tmp_path / "other.yaml")
    assert complete(tmp_path, "maestro --config other.yaml checks explain health.backup") == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes_with_the_script_that_maestro_prints(tmp_path: Path) -> None:
    # `maestro` on the PATH, as an installation puts it there
    (tmp_path / "maestro").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maestro_cli "$@"\n')
    (tmp_path / "maestro").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "_MAESTRO_COMPLETE": "source_bash"}
    script = subprocess.run(["maestro"], env=environ, capture_output=True, text=True, check=True).stdout
    (tmp_path / "completion.sh").write_text(script)
    del environ["_MAESTRO_COMPLETE"]
    program = """
source completion.sh
COMP_WORDS=(maestro validate --only security.jwt-alg); COMP_CWORD=3
_maestro_completion maestro security.jwt-alg --only
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["security.jwt-alg-none"], done.stderr


def installed(folder: Path, shell: str) -> dict[str, str]:
    """`maestro` on the PATH as an installation puts it there, and its script for a shell in the file `script`."""
    (folder / "maestro").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maestro_cli "$@"\n')
    (folder / "maestro").chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb"}
    source = {**environ, "_MAESTRO_COMPLETE": f"source_{shell}"}
    (folder / "script").write_bytes(subprocess.run(["maestro"], env=source, capture_output=True, check=True).stdout)
    return environ


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed; apt-get install fish")
def test_fish_itself_completes_with_the_script_that_maestro_prints(tmp_path: Path) -> None:
    program = """
source script
complete --do-complete 'maestro validate --only security.jwt-alg'
complete --do-complete 'maestro checks explain health.postgres-u'
complete --do-complete 'maestro readiness --format ju'
"""
    done = subprocess.run(
        ["fish", "--no-config", "--command", program],
        cwd=tmp_path,
        env=installed(tmp_path, "fish"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["security.jwt-alg-none", "health.postgres-up", "junit"], done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed; apt-get install zsh")
def test_zsh_itself_completes_with_the_script_that_maestro_prints(tmp_path: Path) -> None:
    """An interactive zsh on a terminal of its own; `zpty -r` waits until the pattern has been seen."""
    program = r"""
zmodload zsh/zpty
zpty shell env COLUMNS=200 zsh -f -i
zpty -w shell 'stty columns 200; autoload -Uz compinit; compinit -u -d dump; source ./script; PS1="REA""DY> "'
zpty -r shell seen '*READY> *'
zpty -n -w shell $'maestro validate --only security.jwt-alg\t'
zpty -r shell seen '*security.jwt-alg-none*' && print completed
zpty -d shell
"""
    done = subprocess.run(
        ["zsh", "-f", "-c", program],
        cwd=tmp_path,
        env=installed(tmp_path, "zsh"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.split()[-1:] == ["completed"], done.stdout + done.stderr
