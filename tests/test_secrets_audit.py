"""What can be observed about a file of secrets, git and its whole history included."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro_cli.errors import OutOfReach
from maestro_cli.secrets import Audit, FileStore, audit_file, generate, parse_dotenv, rotate
from maestro_cli.secrets import git as git_module
from maestro_cli.secrets.audit import RULES, secrets_in
from maestro_cli.secrets.git import GitUnavailable, search_history

NOW = datetime(2025, 10, 5, 10, 15, tzinfo=UTC)
REQUIRED = {"JWT_SECRET_KEY": 256, "POSTGRES_PASSWORD": 192}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "commit.gpgsign=false")
    result = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    git(folder, "add", "--force", name)
    git(folder, "commit", "--quiet", "--message", f"change {name}")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / "shop" / ".env"
    path.parent.mkdir()
    generate(path, now=NOW, required=REQUIRED)
    return path


@pytest.fixture
def repository(env: Path) -> Path:
    git(env.parent, "init", "--quiet", "--initial-branch", "main")
    return env.parent


def value(env: Path, name: str = "JWT_SECRET_KEY") -> str:
    return parse_dotenv(env.read_text())[name]


def rules(audit: Audit) -> set[tuple[str, str | None]]:
    assert {finding.rule for finding in audit.findings} <= RULES.keys()
    return {(finding.rule, finding.name) for finding in audit.findings}


def audited(env: Path, **options: object) -> set[tuple[str, str | None]]:
    return rules(audit_file(env, REQUIRED, NOW, **options))  # type: ignore[arg-type] # options of several types, by name


def test_what_maestro_makes_passes(env: Path) -> None:
    assert audited(env) == set()


def test_git_is_asked_and_all_is_well(repository: Path, env: Path) -> None:
    commit(repository, "README", "nothing secret")
    audit = audit_file(env, REQUIRED, NOW)
    assert audit.findings == ()
    assert audit.history is not None
    assert audit.history.objects == 2  # a blob and a commit


def test_a_value_committed_five_commits_ago_is_found(repository: Path, env: Path) -> None:
    commit(repository, "settings.py", f"KEY = '{value(env)}'\n")
    commit(repository, "settings.py", "import os\nKEY = os.environ['JWT_SECRET_KEY']\n")
    for number in range(5):
        commit(repository, "notes.txt", f"day {number}\n")
    audit = audit_file(env, REQUIRED, NOW)
    assert rules(audit) == {("in-history", "JWT_SECRET_KEY")}
    assert audit.history is not None
    (found,) = audit.history.found
    assert found.path == "settings.py"
    assert found.commit is not None
    assert git(repository, "log", "--format=%h", "--max-parents=0").startswith(found.commit)
    assert value(env) not in audit.findings[0].message
    rotate(FileStore(env), now=NOW, required=REQUIRED, names=["JWT_SECRET_KEY"], grace=timedelta(0))
    assert audited(env) == set()


@pytest.mark.parametrize("where", ["branch", "tag", "stash", "dropped commit", "commit message", "packed"])
def test_every_corner_of_the_history_is_searched(repository: Path, env: Path, where: str) -> None:
    commit(repository, "README", "x")
    secret = value(env)
    if where == "branch":
        git(repository, "switch", "--quiet", "--create", "side")
        commit(repository, "leak", secret)
        git(repository, "switch", "--quiet", "main")
    elif where == "tag":
        git(repository, "tag", "--annotate", "v1", "--message", f"key {secret}")
    elif where == "stash":
        (repository / "README").write_text(secret)
        git(repository, "stash", "--quiet")
    elif where == "dropped commit":
        commit(repository, "leak", secret)
        git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    elif where == "commit message":
        git(repository, "commit", "--quiet", "--allow-empty", "--message", f"use {secret}")
    else:
        commit(repository, "leak", secret)
        git(repository, "rm", "--quiet", "leak")
        git(repository, "commit", "--quiet", "--message", "gone")
        git(repository, "gc", "--quiet")
    assert audited(env) == {("in-history", "JWT_SECRET_KEY")}


@pytest.mark.parametrize("spelling", ["url", "base64"])
def test_other_spellings_are_found_too(repository: Path, env: Path, spelling: str) -> None:
    import base64
    from urllib.parse import quote

    secret = "k/9+" + "aZ3~x Q7" * 5
    env.write_text(f"JWT_SECRET_KEY='{secret}'\nPOSTGRES_PASSWORD={value(env, 'POSTGRES_PASSWORD')}\n")
    written = quote(secret, safe="") if spelling == "url" else base64.b64encode(secret.encode()).decode()
    commit(repository, "secret.yaml", f"data: {written}\n")
    assert ("in-history", "JWT_SECRET_KEY") in audited(env)


def test_a_tracked_file_and_one_that_is_not_ignored(repository: Path, env: Path) -> None:
    (repository / ".gitignore").unlink()
    assert audited(env) == {("not-ignored", None)}
    git(repository, "add", ".env")
    assert {("not-ignored", None), ("tracked", None), ("in-history", "JWT_SECRET_KEY")} <= audited(env)


def test_no_value_is_an_argument_of_git(
    repository: Path, env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, "settings.py", value(env))
    real, log = shutil.which("git"), tmp_path / "arguments"
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert ("in-history", "JWT_SECRET_KEY") in audited(env)
    assert "cat-file" in log.read_text()
    assert not [
        secret for secret in parse_dotenv(env.read_text()).values() if len(secret) > 8 and secret in log.read_text()
    ]


def test_what_git_cannot_tell_is_said(repository: Path, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "LARGEST", 3)
    commit(repository, "big", "four")
    assert audited(env) == {("history-unknown", None)}
    monkeypatch.setenv("PATH", str(repository))
    assert audited(env) == {("history-unknown", None)}
    with pytest.raises(GitUnavailable, match="not installed"):
        search_history(repository, {"A": "long enough"})


def test_without_git_or_a_repository_nothing_is_asked(env: Path) -> None:
    assert audit_file(env, REQUIRED, NOW).history is None
    (env.parent / ".git").write_text("gitdir: nowhere\n")
    assert audited(env) == {("history-unknown", None)}
    assert audited(env, git=False) == set()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666, 0o700 | 0o001])
def test_a_mode_that_lets_others_in(env: Path, mode: int) -> None:
    env.chmod(mode)
    assert audited(env) == {("mode", None)}


def test_a_symbolic_link_and_a_foreign_owner(env: Path, tmp_path: Path) -> None:
    link = tmp_path / ".env"
    link.symlink_to(env)
    assert ("symlink", None) in audited(link)
    if os.geteuid() == 0:
        os.chown(env, 12345, 12345)
        assert audited(env) == {("owner", None)}


def test_the_same_value_under_two_names_or_in_two_environments(env: Path) -> None:
    staging = env.with_name(".env.staging")
    generate(staging, now=NOW, required=REQUIRED)
    assert audited(env, others=[staging, env]) == set()
    shared = value(env)
    staging.write_text(f"OTHER_KEY={shared}\n")
    assert audited(env, others=[staging]) == {("reused", "JWT_SECRET_KEY")}
    with env.open("a") as file:
        file.write(f"SESSION_SECRET={shared}\n")
    assert audited(env) == {("reused", "SESSION_SECRET")}


def test_ages(env: Path) -> None:
    later = audit_file(env, REQUIRED, NOW + timedelta(days=91), 90)
    assert rules(later) == {("too-old", "JWT_SECRET_KEY"), ("too-old", "POSTGRES_PASSWORD")}
    assert later.failed
    assert "91 days" in later.findings[0].message
    env.with_name(".env.meta.json").unlink()
    unknown = audit_file(env, REQUIRED, NOW)
    assert rules(unknown) == {("age-unknown", "JWT_SECRET_KEY"), ("age-unknown", "POSTGRES_PASSWORD")}
    assert not unknown.failed
    generate(env, now=NOW, required=REQUIRED)  # seen from today on, and no younger than that
    known = audit_file(env, REQUIRED, NOW + timedelta(days=91), 90)
    assert {finding.rule for finding in known.findings} == {"too-old"}


def test_missing_weak_doubtful_and_repeated(env: Path) -> None:
    env.write_text("JWT_SECRET_KEY=changeme\nAPI_TOKEN=short\nJWT_SECRET_KEY=changeme\nX='open\n")
    env.chmod(0o600)
    found = audited(env)
    assert {
        ("missing", "POSTGRES_PASSWORD"),
        ("placeholder", "JWT_SECRET_KEY"),
        ("too-short", "API_TOKEN"),
        ("assigned-twice", "JWT_SECRET_KEY"),
        ("unreadable-line", None),
    } <= found
    lines = {finding.rule: finding.line for finding in audit_file(env, REQUIRED, NOW).findings}
    assert (lines["placeholder"], lines["unreadable-line"]) == (3, 4)


def test_passwords_in_urls_are_secrets(env: Path) -> None:
    values = parse_dotenv(
        "DATABASE_URL=postgresql://shop:shop@db/shop\nREDIS_URL=redis://:${REDIS}@h\nPUBLIC_URL=https://a\n"
    )
    assert secrets_in(values, {}) == {"DATABASE_URL": "shop", "REDIS_URL": "${REDIS}"}
    env.write_text(env.read_text() + "ADMIN_URL=postgresql://postgres:postgres@db/shop\n")
    assert ("guessable", "ADMIN_URL") in audited(env) or ("too-short", "ADMIN_URL") in audited(env)


def test_the_services_name_is_no_secret(env: Path) -> None:
    env.write_text(f"JWT_SECRET_KEY={'zephyrion-' * 6}\nPOSTGRES_PASSWORD={value(env, 'POSTGRES_PASSWORD')}\n")
    assert ("guessable", "JWT_SECRET_KEY") in audited(env, words=["zephyrion"])


def test_a_missing_file_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="does not exist"):
        audit_file(tmp_path / ".env", REQUIRED, NOW)


def test_an_audit_can_be_pickled_and_shows_no_value(repository: Path, env: Path) -> None:
    import pickle

    commit(repository, "leak", value(env))
    audit = audit_file(env, REQUIRED, NOW)
    assert pickle.loads(pickle.dumps(audit)) == audit  # noqa: S301 - our own bytes
    assert not [
        secret for secret in parse_dotenv(env.read_text()).values() if len(secret) > 8 and secret in repr(audit)
    ]
