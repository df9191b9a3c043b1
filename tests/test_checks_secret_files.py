"""Secrets, the file they stand in, and the certificates, as files of a project."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from check_support import context, expect, free_port, git, load_check, run_check
from small_api import Said, serving

from maestro_cli.api import Context, FixContext
from maestro_cli.certs import ensure_pair

NAMES = ("JWT_SECRET_KEY", "POSTGRES_PASSWORD")
STRONG = {name: secrets.token_urlsafe(32) for name in NAMES}
REQUIRED = "secrets: {required: {JWT_SECRET_KEY: 256, POSTGRES_PASSWORD: 192}}\n"


def env(folder: Path, values: Mapping[str, str] | None = None, *, mode: int = 0o600) -> None:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in {**STRONG, **(values or {})}.items()))
    path.chmod(mode)


def judged(folder: Path, *, environ: dict[str, str] | None = None, file: str = ".env") -> Context:
    return context(folder, f"env_file: {file}\n{REQUIRED}", environ=environ)


def test_strong_secrets(project: Path) -> None:
    env(project, {"LOG_LEVEL": "debug", "SHORT_TOKEN": "af31", "SERVICE": "shop"})
    result = run_check("security.secrets", judged(project))
    expect(result, "pass", "All 2 required secrets")
    assert not any(value in repr(result) for value in STRONG.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"JWT_SECRET_KEY": ""}, ("JWT_SECRET_KEY", "empty")),
        ({"JWT_SECRET_KEY": "changeme-changeme-changeme-changeme"}, ("JWT_SECRET_KEY", "placeholder")),
        ({"JWT_SECRET_KEY": "f3b1c9d27a"}, ("JWT_SECRET_KEY", "too-short")),
        ({"JWT_SECRET_KEY": "maestro-secret-key-2025-production-jwt-signing"}, ("JWT_SECRET_KEY", "guessable")),
        ({"JWT_SECRET_KEY": "0123456789abcdef" * 4}, ("JWT_SECRET_KEY",)),
        ({"JWT_SECRET_KEY": STRONG["POSTGRES_PASSWORD"]}, ("same value", "reused")),
        ({"OTHER_SECRET": "changeme"}, ("OTHER_SECRET",)),
        ({"DATABASE_URL": "postgresql://app:password@localhost/x"}, ("DATABASE_URL",)),
    ],
)
def test_weak_secrets(project: Path, values: dict[str, str], words: tuple[str, ...]) -> None:
    env(project, values)
    result = expect(run_check("security.secrets", judged(project)), "fail", *words)
    for value in values.values():
        assert not value or value not in repr(result)


def test_a_missing_secret(project: Path) -> None:
    (project / ".env").write_text(f"JWT_SECRET_KEY={STRONG['JWT_SECRET_KEY']}\n")
    expect(run_check("security.secrets", judged(project)), "fail", "POSTGRES_PASSWORD is required and not there")
    ctx = judged(project, environ={"POSTGRES_PASSWORD": STRONG["POSTGRES_PASSWORD"]})
    expect(run_check("security.secrets", ctx), "pass")


def test_the_process_environment_wins(project: Path) -> None:
    env(project)
    ctx = judged(project, environ={"JWT_SECRET_KEY": "secret"})
    expect(run_check("security.secrets", ctx), "fail", "JWT_SECRET_KEY")
    ctx = context(project, REQUIRED, environ=STRONG)
    expect(run_check("security.secrets", ctx), "pass")
    ctx = context(project, REQUIRED, environ={"JWT_SECRET_KEY": STRONG["JWT_SECRET_KEY"]})
    expect(run_check("security.secrets", ctx), "fail", "POSTGRES_PASSWORD is required and not set")


def test_secrets_that_are_not_configured_are_not_looked_for(project: Path) -> None:
    env(project, {"JWT_SECRET_KEY": "changeme"})
    expect(run_check("security.secrets", context(project, "env_file: .env\n")), "skip", "secrets is not configured")


def test_an_env_file_that_is_its_owners_alone(project: Path) -> None:
    env(project)
    expect(run_check("security.env-file", judged(project)), "pass", "0600", "no repository")
    (project / ".gitignore").write_text(".env\n")
    committed(project)
    expect(run_check("security.env-file", judged(project)), "pass", "objects searched")


def committed(folder: Path, *names: str) -> None:
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-f", ".", *names) if names else git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_mode_that_is_too_wide_and_its_fix(project: Path, mode: int) -> None:
    env(project, mode=mode)
    ctx = judged(project)
    result = expect(run_check("security.env-file", ctx), "fail", f"{mode:04o}")
    assert result.evidence[0].observed == f"{mode:04o}"
    assert result.remedy is not None
    assert result.remedy.fixable
    fix = load_check("security.env-file").fix
    assert fix is not None
    fixing = FixContext(ctx.loaded, ctx.now, {})
    assert list(fix.plan(fixing)) == [f"chmod 600 .env (it is {mode:04o})"]
    undo = fix.apply(fixing)
    assert undo == f"chmod {mode:o} {project / '.env'}"
    expect(run_check("security.env-file", judged(project)), "pass")
    assert list(fix.plan(fixing)) == []


def test_an_env_file_that_is_a_link(project: Path, tmp_path: Path) -> None:
    env(project)
    (project / ".env").rename(tmp_path / "elsewhere")
    (project / ".env").symlink_to(tmp_path / "elsewhere")
    expect(run_check("security.env-file", judged(project)), "fail", "symbolic link")


def test_an_env_file_that_git_has(project: Path) -> None:
    env(project)
    (project / ".gitignore").write_text("other\n")
    committed(project, ".gitignore")
    git(project, "rm", "-q", "--cached", ".env")
    expect(run_check("security.env-file", judged(project)), "fail", "not ignored by git")
    (project / ".gitignore").write_text(".env\n")
    git(project, "add", "-f", ".env")
    expect(run_check("security.env-file", judged(project)), "fail", "tracked by git")


def test_a_secret_that_was_committed_once(project: Path) -> None:
    (project / ".gitignore").write_text(".env\n")
    (project / "notes.txt").write_text(f"the key is {STRONG['JWT_SECRET_KEY']}\n")
    committed(project)
    git(project, "rm", "-q", "notes.txt")
    git(project, "commit", "-q", "-m", "two")
    env(project)
    result = expect(run_check("security.env-file", judged(project)), "fail", "JWT_SECRET_KEY stands in commit")
    assert STRONG["JWT_SECRET_KEY"] not in repr(result)
    env(project, {"JWT_SECRET_KEY": secrets.token_urlsafe(32)})
    expect(run_check("security.env-file", judged(project)), "pass")


def test_no_env_file_is_configured(project: Path) -> None:
    env(project, mode=0o644)
    expect(run_check("security.env-file", context(project, "version: 1")), "skip", "env_file is not configured")


CERTS = "certs: {directory: certs, hosts: [localhost, 127.0.0.1]}\n"


@pytest.fixture
def certified(project: Path) -> Path:
    ensure_pair(project / "certs", hosts=("localhost", "127.0.0.1"), key_type="ec-p256", now=datetime.now(UTC))
    return project


def test_sound_certificate_files(certified: Path) -> None:
    expect(run_check("security.tls-certificates", context(certified, CERTS)), "pass", "days left", "its key")


def test_sound_certificates_that_are_served(certified: Path) -> None:
    folder = certified / "certs"
    with serving(lambda _: Said(), tls=(folder / "fullchain.pem", folder / "key.pem")) as port:
        api = f"api: {{url: 'https://localhost:{port}', ca_file: certs/ca.pem}}\n"
        expect(run_check("security.tls-certificates", context(certified, CERTS + api)), "pass", "presented: days left")
        expect(run_check("security.tls-certificates", context(certified, api)), "pass", f"localhost:{port}")
        # The service keeps the old certificate in memory until it is restarted.
        ensure_pair(certified / "new", hosts=("localhost", "127.0.0.1"), key_type="ec-p256", now=datetime.now(UTC))
        other = context(certified, CERTS.replace("directory: certs", "directory: new") + api)
        expect(run_check("security.tls-certificates", other), "warn", "restart it")


def test_a_served_certificate_of_another_host(project: Path) -> None:
    ensure_pair(project / "certs", hosts=("elsewhere.test",), key_type="ec-p256", now=datetime.now(UTC))
    folder = project / "certs"
    with serving(lambda _: Said(), tls=(folder / "fullchain.pem", folder / "key.pem")) as port:
        api = f"api: {{url: 'https://localhost:{port}', ca_file: certs/ca.pem}}\n"
        expect(run_check("security.tls-certificates", context(project, api)), "fail", "not for localhost")


@pytest.mark.parametrize(
    ("days", "status", "word"), [(396, "warn", "days left"), (380, "warn", "days left"), (401, "fail", "expired")]
)
def test_certificates_near_their_end(certified: Path, days: int, status: str, word: str) -> None:
    ctx = context(certified, CERTS, now=datetime.now(UTC) + timedelta(days=days))
    result = run_check("security.tls-certificates", ctx)
    assert result.status == status, result.message
    assert word in repr(result).lower()


def test_broken_certificate_files(certified: Path, tmp_path: Path) -> None:
    folder = certified / "certs"
    (folder / "key.pem").chmod(0o644)
    expect(run_check("security.tls-certificates", context(certified, CERTS)), "fail", "0644")
    other = ensure_pair(tmp_path / "other", key_type="ec-p256", now=datetime.now(UTC))
    (folder / "key.pem").write_bytes(other.key.read_bytes())
    (folder / "key.pem").chmod(0o600)
    expect(run_check("security.tls-certificates", context(certified, CERTS)), "fail", "another certificate's key")
    hosts = CERTS.replace("[localhost,", "[api.example.test,")
    expect(run_check("security.tls-certificates", context(certified, hosts)), "fail", "not for api.example.test")


def test_no_certificate_at_all(project: Path) -> None:
    expect(run_check("security.tls-certificates", context(project, CERTS)), "fail", "no certificate in certs")
    expect(run_check("security.tls-certificates", context(project, "version: 1")), "skip", "certs is not configured")


def test_files_that_cannot_be_read_and_a_service_that_is_down(certified: Path) -> None:
    api = f"api: {{url: 'https://localhost:{free_port()}', ca_file: certs/ca.pem}}\n"
    result = run_check("security.tls-certificates", context(certified, CERTS + api))
    assert expect(result, "error").needs == "the API"
    (certified / "certs" / "key.pem").chmod(0o644)
    expect(run_check("security.tls-certificates", context(certified, CERTS + api)), "fail", "0644")
    (certified / "certs" / "cert.pem").write_text("damaged")
    expect(run_check("security.tls-certificates", context(certified, CERTS)), "error", "could not be verified")
