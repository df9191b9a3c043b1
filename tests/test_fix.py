"""`maestro fix` from the outside: each remedy on the real thing, nothing without leave, nothing lost."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest

IDS = ("security.env-file", "security.secrets", "security.tls-certificates")


def maestro(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )


def fixed(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    done = maestro(folder, "fix", *words, "--json")
    assert done.stdout, done.stderr
    return {row["id"]: row for row in json.loads(done.stdout)}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "maestro.yaml").write_text(
        "env_file: .env\n"
        "secrets: {required: {APP_SECRET_KEY: 256, OTHER_SECRET_KEY: 256}}\n"
        "certs: {directory: certs, hosts: [localhost], key_type: ec-p256}\n"
    )
    return project


def test_everything_that_is_missing_is_made_once(shop: Path) -> None:
    plan = maestro(shop, "fix", *IDS, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "would make .env at mode 0600, with APP_SECRET_KEY, OTHER_SECRET_KEY" in plan.stdout
    assert "would make a CA and a certificate for localhost in certs/" in plan.stdout
    assert sorted(path.name for path in shop.iterdir()) == ["maestro.yaml"]
    done = maestro(shop, "fix", *IDS, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert mode(shop / ".env") == 0o600
    assert mode(shop / "certs" / "key.pem") == 0o600
    assert f"undo: rm {shop}/.env {shop}/.env.example {shop}/.env.meta.json\n" in done.stdout
    text = (shop / ".env").read_text()
    again = maestro(shop, "fix", *IDS, "--yes")
    assert (again.returncode, again.stdout) == (0, "Nothing to fix: no check that offers a fix needs it.\n")
    assert (shop / ".env").read_text() == text
    for name in ("APP_SECRET_KEY", "OTHER_SECRET_KEY"):
        value = next(line.partition("=")[2] for line in text.splitlines() if line.startswith(name))
        assert value.strip("'\"") not in plan.stdout + done.stdout + done.stderr


def test_a_secret_that_is_there_is_kept_and_only_the_missing_one_added(shop: Path) -> None:
    (shop / ".env").write_text("# mine\nAPP_SECRET_KEY=kq8Zt3vXw9LmN2pR7sYb4cD6fG1hJ5kQ0uVxWzAaBbE\n")
    (shop / ".env").chmod(0o600)
    row = fixed(shop, "security.secrets", "--yes")["security.secrets"]
    assert row["applied"]
    assert row["plan"] == ["add to .env: OTHER_SECRET_KEY"]
    assert row["undo"].endswith(f"; rm {shop}/.env.example {shop}/.env.meta.json")
    assert (
        (shop / ".env").read_text().startswith("# mine\nAPP_SECRET_KEY=kq8Zt3vXw9LmN2pR7sYb4cD6fG1hJ5kQ0uVxWzAaBbE\n")
    )


def test_modes_and_gitignore_and_their_undo(shop: Path) -> None:
    subprocess.run(["git", "init", "-q", str(shop)], check=True)
    maestro(shop, "fix", "security.secrets", "--yes")
    (shop / ".env").chmod(0o644)
    (shop / ".gitignore").write_text("build/\n")
    row = fixed(shop, "security.env-file", "--yes")["security.env-file"]
    assert (row["before"], row["after"]) == ("fail", "pass")
    assert row["plan"] == ["chmod 600 .env (it is 0644)", f"add .env to {shop.name}/.gitignore"]
    assert mode(shop / ".env") == 0o600
    assert (shop / ".gitignore").read_text().startswith("build/\n")
    assert subprocess.run(["git", "-C", str(shop), "check-ignore", "-q", ".env"], check=False).returncode == 0
    undo = row["undo"].split("; ")[0]
    subprocess.run(undo.split(), check=True)
    assert mode(shop / ".env") == 0o644


def test_a_tracked_file_is_left_to_a_person(shop: Path) -> None:
    maestro(shop, "fix", "security.secrets", "--yes")
    git = ["git", "-C", str(shop), "-c", "user.name=x", "-c", "user.email=x@example.test"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-f", ".env"], check=True)
    done = maestro(shop, "fix", "security.env-file", "--yes")
    assert "its fix has nothing to do" in done.stderr
    assert (
        subprocess.run([*git, "ls-files", "--error-unmatch", ".env"], check=False, capture_output=True).returncode == 0
    )


def test_a_key_that_others_can_read_and_a_certificate_that_ends_soon(shop: Path) -> None:
    maestro(shop, "fix", "security.tls-certificates", "--yes")
    key = shop / "certs" / "key.pem"
    key.chmod(0o644)
    row = fixed(shop, "security.tls-certificates", "--yes")["security.tls-certificates"]
    assert (row["after"], mode(key)) == ("pass", 0o600)


def test_a_certificate_that_ends_soon_is_renewed_and_the_old_one_kept(shop: Path) -> None:
    made = maestro(shop, "certs", "generate", "--days", "20")
    assert made.returncode == 0, made.stderr
    old = (shop / "certs" / "cert.pem").read_bytes()
    row = fixed(shop, "security.tls-certificates", "--yes")["security.tls-certificates"]
    assert (row["before"], row["after"]) == ("warn", "pass")
    assert row["plan"][0].startswith("renew certs/cert.pem (it ends ")
    assert (shop / "certs" / "cert.pem").read_bytes() != old
    assert (shop / "certs" / "cert.pem.previous").read_bytes() == old
    assert "cert.pem.previous" in row["undo"]


def test_nothing_without_leave(shop: Path) -> None:
    asked = maestro(shop, "fix", "security.secrets")
    assert asked.returncode == 2
    assert "no terminal to ask on; nothing was changed" in asked.stderr
    assert "would make .env" in asked.stderr
    production = maestro(shop, "--env", "production", "fix", "security.secrets")
    assert production.returncode == 2
    assert "the environment is production; nothing was changed" in production.stderr
    assert not (shop / ".env").exists()
    assert maestro(shop, "--env", "production", "fix", "security.secrets", "--yes").returncode == 0


@pytest.mark.parametrize(("answer", "code", "made"), [("n\n", 130, False), ("y\n", 0, True)])
def test_at_a_terminal_it_asks(shop: Path, answer: str, code: int, made: bool) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", "fix", "security.secrets"],
        cwd=shop,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(follower)
    time.sleep(0.2)
    os.write(leader, answer.encode())
    _, stderr = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == code, stderr
    assert "Make this change?" in stderr
    assert (shop / ".env").exists() is made


def test_what_offers_no_fix_says_where_to_read(shop: Path) -> None:
    done = maestro(shop, "fix", "readiness.waivers")
    assert done.returncode == 2
    assert "maestro checks explain readiness.waivers" in done.stderr
    assert maestro(shop, "fix", "security.no-such").returncode == 2
    (shop / "maestro.yaml").unlink()
    assert "maestro init" in maestro(shop, "fix").stderr


def test_a_fix_that_fails_is_said_and_the_others_are_done(shop: Path) -> None:
    (shop / "checks").mkdir()
    (shop / "checks" / "bad.py").write_text(
        "import os\nfrom maestro_cli.api import *\n"
        '@check("health.bad", component="infrastructure", priority="low",\n'
        '       fix=Fix("never works", lambda ctx: ["try"], lambda ctx: os._exit(3)))\n'
        "def bad(ctx):\n"
        '    """It cannot be mended."""\n'
        '    return failed("still bad")\n'
    )
    with (shop / "maestro.yaml").open("a") as file:
        file.write("plugins: [checks]\n")
    done = maestro(shop, "fix", "health.bad", "security.secrets", "--yes")
    assert done.returncode == 1
    assert "not done: the check ended its process instead of reporting (exit code 3)" in done.stdout
    assert "still: still bad" in done.stdout
    assert (shop / ".env").exists()


@pytest.fixture
def tenancy(project: Path, database: str) -> Path:
    (project / "maestro.yaml").write_text(
        f"database: {{url: '{database}'}}\ntenancy: {{tables: {{projects: {{indexes: [[tenant_id], [tenant_id, name]]}}}}}}\n"
    )
    with _connected(database) as cursor:
        cursor.execute("create table projects (id int primary key, name text)")
        cursor.execute("insert into projects values (1, 'a'), (2, 'a')")
    done = maestro(project, "migrate", "apply")
    assert done.returncode == 0, done.stderr
    return project


class _connected:  # noqa: N801 - reads as a phrase
    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def __enter__(self) -> Any:
        return self.connection.cursor()

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def test_the_default_tenant_is_inserted_or_activated(tenancy: Path, database: str) -> None:
    with _connected(database) as cursor:
        cursor.execute("update tenants set is_active = false")
    row = fixed(tenancy, "security.multi-tenancy", "--yes")["security.multi-tenancy"]
    assert (row["before"], row["after"], row["undo"]) == ("fail", "pass", "maestro tenants deactivate default")
    with _connected(database) as cursor:
        cursor.execute("delete from projects")
        cursor.execute("delete from tenants")
    row = fixed(tenancy, "security.multi-tenancy", "--yes")["security.multi-tenancy"]
    assert (row["after"], row["plan"][0].startswith("insert the default tenant")) == ("pass", True)


def test_an_invalid_index_is_rebuilt_online(tenancy: Path, database: str) -> None:
    with _connected(database) as cursor:
        cursor.execute("select indexname from pg_indexes where tablename = 'projects' and indexdef like '%name)'")
        (name,) = cursor.fetchone()
        cursor.execute("update pg_index set indisvalid = false where indexrelid = %s::regclass", (name,))
    row = fixed(tenancy, "readiness.tenant-indexes", "--yes")["readiness.tenant-indexes"]
    assert (row["before"], row["after"]) == ("fail", "pass")
    assert row["plan"] == [f"REINDEX INDEX CONCURRENTLY {name} (of projects)"]


def test_a_database_that_is_down_is_said_and_changes_nothing(tenancy: Path) -> None:
    text = (tenancy / "maestro.yaml").read_text().split("@")
    (tenancy / "maestro.yaml").write_text(text[0] + "@127.0.0.1:1/x'}\n" + text[1].partition("\n")[2])
    done = maestro(tenancy, "fix", "security.multi-tenancy", "--yes")
    assert done.returncode == 0
    assert "Nothing to fix" in done.stdout
    assert "what its fix would do cannot be told" in done.stderr
