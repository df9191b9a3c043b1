"""`maestro secrets` as a whole process: what it says, how it exits, and that no value gets out."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from maestro_cli.secrets import parse_dotenv

CONFIGURATION = """\
service: {name: shop}
env_file: .env
database: {url: "${DATABASE_URL}"}
secrets:
  required: {JWT_SECRET_KEY: 256, POSTGRES_PASSWORD: 192}
"""


def maestro(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *arguments],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "maestro.yaml").write_text(CONFIGURATION)
    return folder


def held(folder: Path) -> dict[str, str]:
    return dict(parse_dotenv((folder / ".env").read_text(errors="surrogateescape")))


def test_generate_works_before_the_file_exists_that_the_configuration_needs(shop: Path) -> None:
    result = maestro(shop, "secrets", "generate")
    assert result.returncode == 0, result.stderr
    assert ".env: created, mode 0600" in result.stdout
    assert "JWT_SECRET_KEY, POSTGRES_PASSWORD" in result.stdout
    assert result.stderr.endswith("Next: maestro secrets audit\n")
    assert stat.S_IMODE((shop / ".env").stat().st_mode) == 0o600
    assert "certs/*key*.pem" in (shop / ".gitignore").read_text()
    assert maestro(shop, "config", "show").returncode == 0


def test_without_a_configuration_the_seeds_secrets_are_made(tmp_path: Path) -> None:
    result = maestro(tmp_path, "secrets", "generate", "--json", "--set", "POSTGRES_HOST=db")
    told = json.loads(result.stdout)
    assert (told["created"], told["file"], len(told["made"])) == (True, ".env", 6)
    assert "@db:15432/" in held(tmp_path)["DATABASE_URL"]
    audit = maestro(tmp_path, "secrets", "audit")
    assert audit.returncode == 0
    assert audit.stdout == ".env: 6 secrets judged, 0 failures, 0 warnings\n"


def test_an_example_in_the_folder_is_the_template(shop: Path) -> None:
    (shop / ".env.example").write_text(
        "# ours\nMODE=on\nJWT_SECRET_KEY=\nURL=x://u:${POSTGRES_PASSWORD}@h\nPOSTGRES_PASSWORD=\n"
    )
    assert maestro(shop, "secrets", "generate").returncode == 0
    text = (shop / ".env").read_text()
    assert text.startswith("# ours\nMODE=on\nJWT_SECRET_KEY=")
    assert held(shop)["URL"] == f"x://u:{held(shop)['POSTGRES_PASSWORD']}@h"


def test_audit_fails_with_places_and_next_commands(shop: Path) -> None:
    maestro(shop, "secrets", "generate")
    (shop / ".env").chmod(0o644)
    text = re.sub(
        "^JWT_SECRET_KEY=.*", "JWT_SECRET_KEY=your-256-bit-secret", (shop / ".env").read_text(), flags=re.MULTILINE
    )
    (shop / ".env").write_text(text)
    result = maestro(shop, "secrets", "audit")
    assert result.returncode == 1
    assert "fail  mode" in result.stdout
    assert "→ chmod 600 .env" in result.stdout
    assert re.search(r"fail  published +\.env:\d+: JWT_SECRET_KEY is public: jwt\.io", result.stdout)
    assert "→ maestro secrets rotate JWT_SECRET_KEY" in result.stdout
    told = json.loads(maestro(shop, "secrets", "audit", "--json").stdout)
    assert told["counts"]["fail"] == 3
    assert {finding["rule"] for finding in told["files"][0]["findings"]} == {
        "mode",
        "published",
        "too-short",
        "age-unknown",
    }


def test_audit_compares_environments(shop: Path) -> None:
    maestro(shop, "secrets", "generate")
    shutil.copy(shop / ".env", shop / ".env.production")
    result = maestro(shop, "secrets", "audit")
    assert result.returncode == 1
    assert "JWT_SECRET_KEY has the same value as JWT_SECRET_KEY in .env.production" in result.stdout


def test_audit_of_a_missing_file_is_out_of_reach(shop: Path) -> None:
    result = maestro(shop, "secrets", "audit")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "error: .env does not exist.\nMake it: maestro secrets generate\n"


def test_rotate_says_what_is_left_to_do(shop: Path) -> None:
    maestro(shop, "secrets", "generate")
    before = held(shop)
    dry = maestro(shop, "secrets", "rotate", "--dry-run")
    assert dry.stdout.startswith("would rotate\n")
    assert held(shop) == before
    result = maestro(shop, "secrets", "rotate", "POSTGRES_PASSWORD", "JWT_SECRET_KEY")
    assert result.returncode == 0, result.stderr
    assert re.search(r"JWT_SECRET_KEY_PREVIOUS until \d{4}-\d\d-\d\d", result.stdout)
    assert "DATABASE_URL" in result.stdout
    assert "POSTGRES_PASSWORD: the server must be told too" in result.stderr
    after = held(shop)
    assert after["JWT_SECRET_KEY_PREVIOUS"] == before["JWT_SECRET_KEY"]
    idle = maestro(shop, "secrets", "rotate", "--older-than", "90d")
    assert (idle.returncode, idle.stdout.startswith("nothing is due")) == (0, True)
    assert held(shop) == after


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rotate", "NOWHERE"], "there is no NOWHERE to rotate"),
        (["rotate", "--older-than", "soon"], "takes an age"),
        (["generate", "--set", "API_TOKEN=abc"], "does not belong on a command line"),
        (["generate", "--set", "=abc"], "takes NAME=VALUE"),
        (["export"], "nothing to write"),
        (["export", "--k8s-secret", "s.yaml", "--k8s-name", "Not_A_Name"], "not a valid Kubernetes name"),
    ],
)
def test_usage_errors(shop: Path, arguments: list[str], said: str) -> None:
    maestro(shop, "secrets", "generate")
    result = maestro(shop, "secrets", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 2  # what is wrong, and what to do


def test_export_writes_private_files_that_git_ignores(shop: Path) -> None:
    maestro(shop, "secrets", "generate")
    result = maestro(shop, "secrets", "export", "--docker-secrets", "run", "--k8s-secret", "secret.yaml")
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE((shop / "secret.yaml").stat().st_mode) == 0o600
    assert (shop / "run" / "postgres_password").read_text() == held(shop)["POSTGRES_PASSWORD"]
    assert {"/run", "/secret.yaml"} <= set((shop / ".gitignore").read_text().split())
    assert "name: shop-secrets" in (shop / "secret.yaml").read_text()


def test_no_value_gets_out(shop: Path, tmp_path: Path) -> None:
    """Every command, its failures too, with all it can be asked to say; and the arguments of all it starts."""
    subprocess.run(["git", "init", "--quiet"], cwd=shop, check=True)
    real, log = shutil.which("git"), tmp_path / "arguments"
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    environ = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "PYTHONFAULTHANDLER": "1"}
    said: list[str] = []
    values: set[str] = set()

    def run(*arguments: str) -> None:
        result = maestro(shop, "--verbose", "--traceback", *arguments, environ=environ)
        said.extend((result.stdout, result.stderr))
        if (shop / ".env").is_file():
            values.update(value for name, value in held(shop).items() if "KEY" in name or "PASSWORD" in name)

    run("secrets", "generate")
    run("secrets", "generate", "--force", "--json")
    run("secrets", "rotate", "--json")
    run("secrets", "rotate")
    run("secrets", "export", "--docker-secrets", "run", "--k8s-secret", "secret.yaml")
    run("secrets", "audit", "--json")
    run("secrets", "rotate", "NOWHERE")
    (shop / "run" / "jwt_secret_key").chmod(0o600)
    (shop / "run" / "jwt_secret_key").write_text("else")
    run("secrets", "export", "--docker-secrets", "run")
    shutil.copy(shop / ".env", shop / ".env.production")
    run("secrets", "audit")
    run("config", "show")
    run("config", "show", "--json")
    text = (shop / ".env").read_text()
    (shop / ".env").write_text(text.replace("JWT_SECRET_KEY=", "JWT_SECRET_KEY='"))
    run("secrets", "audit")
    run("secrets", "rotate")
    (shop / ".env").write_bytes(text.encode() + b"\0\xff")
    run("secrets", "rotate", "POSTGRES_PASSWORD")
    (shop / ".env").unlink()
    (shop / ".env").mkdir()
    run("secrets", "generate")
    run("secrets", "audit")
    everything = "\n".join((*said, log.read_text()))
    assert len(values) >= 8
    assert "cat-file" in everything
    assert not [value for value in values if value in everything]
