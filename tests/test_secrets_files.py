"""`.env` files made and rotated: private, whole, nothing lost, at every point at which a run can be killed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from test_filesystem import every_kill, fill

from maestro_cli.errors import ConfigurationError, OutOfReach, Refused, UsageError
from maestro_cli.secrets import FileStore, audit_file, generate, judge, parse_dotenv, rotate
from maestro_cli.secrets.output import (
    kubernetes_secret,
    secret_variables,
    write_docker_secrets,
    write_kubernetes_secret,
)
from maestro_cli.secrets.record import Record
from maestro_cli.secrets.rotation import Rotation
from maestro_cli.secrets.store import read_record, record_path
from maestro_cli.secrets.urls import exchange_password, password_of, with_new_passwords

NOW = datetime(2025, 10, 5, 10, 15, tzinfo=UTC)
REQUIRED = {
    "JWT_SECRET_KEY": 256,
    "JWT_REFRESH_SECRET_KEY": 256,
    "ENCRYPTION_KEY": 256,
    "API_SECRET_KEY": 256,
    "POSTGRES_PASSWORD": 192,
    "REDIS_PASSWORD": 192,
}


@pytest.fixture
def env(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder / ".env"


def values(path: Path) -> dict[str, str]:
    return dict(parse_dotenv(path.read_text()))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_new_file_holds_what_the_seed_asked_for(env: Path) -> None:
    done = generate(env, now=NOW)
    found = values(env)
    assert done.created
    assert set(done.made) == set(REQUIRED)
    for name, bits in REQUIRED.items():
        assert judge(name, found[name], bits) == []
    assert len({found[name] for name in REQUIRED}) == len(REQUIRED)
    assert found["JWT_ALGORITHM"] == "HS256"
    assert found["ACCESS_TOKEN_EXPIRE_MINUTES"] == "15"
    assert found["REFRESH_TOKEN_EXPIRE_DAYS"] == "7"
    assert len(found["CORS_ORIGINS"].split(",")) == 3
    assert (found["RATE_LIMIT_PER_MINUTE"], found["RATE_LIMIT_BURST"]) == ("60", "10")
    assert found["ENABLE_MULTI_TENANCY"] == "true"
    assert found["DATABASE_URL"] == f"postgresql://maestro:{found['POSTGRES_PASSWORD']}@localhost:15432/maestro_ml"
    assert found["REDIS_URL"] == f"redis://:{found['REDIS_PASSWORD']}@localhost:16379/0"
    assert mode(env) == mode(record_path(env)) == 0o600
    assert audit_file(env, REQUIRED, NOW).findings == ()


def test_the_encryption_key_is_one_that_fernet_takes(env: Path) -> None:
    from cryptography.fernet import Fernet

    generate(env, now=NOW)
    Fernet(values(env)["ENCRYPTION_KEY"])


def test_the_example_has_the_same_names_and_no_value(env: Path) -> None:
    generate(env, now=NOW)
    example = env.with_name(".env.example")
    assert list(values(example)) == list(values(env))
    assert [name for name in REQUIRED if values(example)[name]] == []
    text = example.read_text()
    assert not [name for name in REQUIRED if values(env)[name] in text]
    assert env.with_name(".gitignore").read_text().split("\n")[1:4] == [".env", ".env.*", "!.env.example"]


def test_a_copy_of_the_example_is_filled_in(env: Path, tmp_path: Path) -> None:
    generate(env, now=NOW)
    copy = tmp_path / ".env"
    copy.write_text(env.with_name(".env.example").read_text().replace("localhost", "db.internal"))
    generate(copy, now=NOW)
    found = values(copy)
    assert all(found[name] for name in REQUIRED)
    assert found["DATABASE_URL"] == f"postgresql://maestro:{found['POSTGRES_PASSWORD']}@db.internal:15432/maestro_ml"


def test_a_second_run_changes_nothing_at_all(env: Path) -> None:
    generate(env, now=NOW)
    before = contents(env.parent)
    inode = env.stat().st_ino
    done = generate(env, now=NOW + timedelta(days=1))
    assert (done.made, done.built, done.backup, done.ignored) == ((), (), None, ())
    assert contents(env.parent) == before
    assert env.stat().st_ino == inode


def test_what_is_there_is_kept_comments_and_all(env: Path) -> None:
    text = "# ours\r\nexport JWT_SECRET_KEY = 'kept as it is'  # old\r\nMINE=1\r\n"
    env.write_bytes(text.encode())
    env.chmod(0o644)
    done = generate(env, now=NOW, required={"JWT_SECRET_KEY": 256, "REDIS_PASSWORD": 192})
    after = env.read_bytes().decode()
    assert after.startswith(text)
    assert (done.made, done.kept, done.built) == (("REDIS_PASSWORD",), ("JWT_SECRET_KEY",), ("REDIS_URL",))
    assert list(done.weak) == ["JWT_SECRET_KEY"]
    assert after.count("\n") == after.count("\r\n")
    assert mode(env) == 0o600


def test_force_makes_new_values_and_keeps_the_old_file(env: Path) -> None:
    generate(env, now=NOW)
    old = env.read_bytes()
    before = values(env)
    done = generate(env, now=NOW, force=True)
    after = values(env)
    assert all(after[name] != before[name] for name in (*REQUIRED, "DATABASE_URL", "REDIS_URL"))
    assert done.backup == ".env.20251005T101500Z.bak"
    kept = env.with_name(done.backup)
    assert kept.read_bytes() == old
    assert mode(kept) == 0o600
    again = generate(env, now=NOW, force=True)  # within the same second
    assert again.backup not in {None, done.backup}
    assert kept.read_bytes() == old


def test_a_url_that_was_edited_by_hand_only_gets_the_new_password(env: Path) -> None:
    generate(env, now=NOW)
    password = values(env)["POSTGRES_PASSWORD"]
    url = f"postgresql+asyncpg://app:{password}@10.0.0.7:6432/shop?sslmode=verify-full"
    env.write_text(re.sub(r"^DATABASE_URL=.*", f"DATABASE_URL={url}", env.read_text(), flags=re.MULTILINE))
    generate(env, now=NOW, force=True)
    new = values(env)
    assert new["DATABASE_URL"] == url.replace(password, new["POSTGRES_PASSWORD"])


def test_given_settings_and_a_template_of_ones_own(env: Path) -> None:
    template = (
        "# shop\nDB_USER=shop me\nDB_PASSWORD=<secret 256>\nHOST=h\nDSN=mysql://${DB_USER}:${DB_PASSWORD}@${HOST}/x\n"
    )
    generate(env, now=NOW, template=template, given={"HOST": "db", "EXTRA": "1"})
    found = values(env)
    assert list(found) == ["DB_USER", "DB_PASSWORD", "HOST", "DSN", "EXTRA"]
    assert found["DSN"] == f"mysql://shop%20me:{found['DB_PASSWORD']}@db/x"
    with pytest.raises(UsageError, match="does not belong on a command line"):
        generate(env, now=NOW, given={"API_TOKEN": "x"})
    with pytest.raises(ConfigurationError, match="NOWHERE"):
        generate(env, now=NOW, template="A=${NOWHERE}\n")


def test_only_what_is_required_is_asked_of_the_template(env: Path) -> None:
    generate(env, now=NOW, required={"REDIS_PASSWORD": 192, "SIGNING_KEY": 128})
    found = values(env)
    assert {"REDIS_PASSWORD", "SIGNING_KEY", "REDIS_URL", "JWT_ALGORITHM"} <= found.keys()
    assert not {"JWT_SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_URL"} & found.keys()


def test_a_template_of_ones_own_may_ask_for_more(env: Path) -> None:
    template = "PROBE_PASSWORD=<secret 192>\nSTRIPE_SECRET_KEY=\nJWT_SECRET_KEY=\n"
    done = generate(env, now=NOW, required={"JWT_SECRET_KEY": 256}, template=template)
    assert set(done.made) == {"PROBE_PASSWORD", "JWT_SECRET_KEY"}
    assert values(env)["STRIPE_SECRET_KEY"] == ""  # not ours to make
    with env.with_name("other").open("w") as other:
        other.write(template)
    assert "STRIPE_SECRET_KEY" in generate(env.with_name("other"), now=NOW, template=template).made


def test_stand_ins_of_an_example_are_replaced_in_a_new_file(env: Path) -> None:
    template = (
        "JWT_SECRET_KEY=your-secret-key-here\nPOSTGRES_PASSWORD=password\nURL=postgresql://app:password@db/shop\n"
    )
    generate(env, now=NOW, required={"JWT_SECRET_KEY": 256, "POSTGRES_PASSWORD": 192}, template=template)
    found = values(env)
    assert judge("JWT_SECRET_KEY", found["JWT_SECRET_KEY"], 256) == []
    assert found["URL"] == f"postgresql://app:{found['POSTGRES_PASSWORD']}@db/shop"


def test_a_dry_run_touches_nothing(env: Path) -> None:
    done = generate(env, now=NOW, dry_run=True)
    assert set(done.made) == set(REQUIRED)
    assert list(env.parent.iterdir()) == []


def rotated(env: Path, **options: object) -> Rotation:
    arguments = {"now": NOW + timedelta(days=100), "required": REQUIRED, **options}
    return rotate(FileStore(env), **arguments)  # type: ignore[arg-type] # options of several types, by name


def test_rotation_changes_urls_and_keeps_the_old_keys_for_a_while(env: Path) -> None:
    generate(env, now=NOW)
    before = values(env)
    done = rotated(env)
    after = values(env)
    assert set(done.rotated) == set(REQUIRED)
    assert all(after[name] != before[name] and judge(name, after[name], bits) == [] for name, bits in REQUIRED.items())
    assert after["JWT_SECRET_KEY_PREVIOUS"] == before["JWT_SECRET_KEY"]
    assert "POSTGRES_PASSWORD_PREVIOUS" not in after
    assert done.passwords == ("POSTGRES_PASSWORD", "REDIS_PASSWORD")
    assert password_of(after["DATABASE_URL"]) == after["POSTGRES_PASSWORD"]
    assert password_of(after["REDIS_URL"]) == after["REDIS_PASSWORD"]
    names = list(after)
    assert names.index("JWT_SECRET_KEY_PREVIOUS") == names.index("JWT_SECRET_KEY") + 1
    assert audit_file(env, REQUIRED, NOW + timedelta(days=100)).findings == ()


def test_the_previous_value_goes_when_its_grace_period_is_over(env: Path) -> None:
    generate(env, now=NOW)
    text = env.read_text()
    rotated(env, names=["JWT_SECRET_KEY"], grace=timedelta(days=2))
    late = NOW + timedelta(days=103)
    found = audit_file(env, REQUIRED, late).findings
    assert [finding.name for finding in found if finding.rule == "previous-expired"] == ["JWT_SECRET_KEY_PREVIOUS"]
    assert rotated(env, older_than=timedelta(days=1000), now=late).expired == ("JWT_SECRET_KEY_PREVIOUS",)
    shape = re.compile(r"^JWT_SECRET_KEY=.*$", re.MULTILINE)
    assert shape.sub("", env.read_text()) == shape.sub("", text)
    assert rotated(env, names=["JWT_SECRET_KEY"], grace=timedelta(0), now=late).previous == {}


def test_only_the_old_ones_are_rotated(env: Path) -> None:
    generate(env, now=NOW)
    rotated(env, names=["API_SECRET_KEY"], now=NOW + timedelta(days=60))
    env.write_text(re.sub(r"^REDIS_PASSWORD=.*", "REDIS_PASSWORD=by-hand", env.read_text(), flags=re.MULTILINE))
    done = rotated(env, older_than=timedelta(days=90), now=NOW + timedelta(days=95))
    assert list(done.young) == ["API_SECRET_KEY"]
    assert "REDIS_PASSWORD" in done.rotated  # nobody knows how old that is
    before = contents(env.parent)
    again = rotated(env, older_than=timedelta(days=90), now=NOW + timedelta(days=96))
    assert (again.rotated, again.backup) == ((), None)
    assert contents(env.parent) == before


def test_the_form_of_a_value_is_kept(env: Path) -> None:
    env.write_text("HEX_KEY=" + os.urandom(32).hex() + "\n")
    rotate(FileStore(env), now=NOW, required={"HEX_KEY": 256})
    assert re.fullmatch("[0-9a-f]{64}", values(env)["HEX_KEY"])


@pytest.mark.parametrize("name", ["NOWHERE", "JWT_ALGORITHM", "JWT_SECRET_KEY_PREVIOUS", "TLS_KEY"])
def test_what_cannot_be_rotated_is_refused(env: Path, name: str) -> None:
    generate(env, now=NOW)
    rotated(env, names=["JWT_SECRET_KEY"])
    with env.open("a") as file:
        file.write('TLS_KEY="-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"\n')
    before = contents(env.parent)
    with pytest.raises(UsageError):
        rotated(env, names=[name])
    assert contents(env.parent) == before


def test_a_dry_rotation_touches_nothing(env: Path) -> None:
    generate(env, now=NOW)
    before = contents(env.parent)
    assert set(rotated(env, dry_run=True).rotated) == set(REQUIRED)
    assert contents(env.parent) == before


def consistent(env: Path) -> bool:
    """Whether a file is whole: every secret there and strong, and the URLs in step with the passwords."""
    found = values(env)
    return (
        all(name in found and not judge(name, found[name], bits) for name, bits in REQUIRED.items())
        and unquote(password_of(found["DATABASE_URL"]) or "") == found["POSTGRES_PASSWORD"]
        and password_of(found["REDIS_URL"]) == found["REDIS_PASSWORD"]
        and found["ENABLE_AUDIT_LOG"] == "true"
    )


def wide(folder: Path) -> list[str]:
    public = (".gitignore", ".env.example")
    names = [path.name for path in folder.iterdir() if path.is_file() and mode(path) & 0o077]
    return [name for name in names if not any(word in name for word in public)]


def test_wherever_a_rotation_is_killed_the_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    first: dict[str, bytes] = {}

    def prepare() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if not first:
            generate(folder / ".env", now=NOW)
            first.update(contents(folder))
        for name, data in first.items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        return folder

    seen = set()
    for directory in every_kill(prepare, lambda where: void(rotated(where / ".env", keeps_previous=lambda _: False))):
        env = directory / ".env"
        raw = env.read_bytes()
        assert consistent(env)
        assert wide(directory) == []
        seen.add(raw == first[".env"])
        audit = audit_file(env, REQUIRED, NOW + timedelta(days=100))  # finishes what was begun
        assert {found.rule for found in audit.findings} <= {"too-old"}, "the ages are known either way"
        assert consistent(env)
    assert seen == {True, False}


def test_wherever_the_first_run_is_killed_the_next_one_finishes(tmp_path: Path) -> None:
    folder = tmp_path / "shop"

    def prepare() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    for directory in every_kill(prepare, lambda where: void(generate(where / ".env", now=NOW))):
        assert wide(directory) == []
        generate(directory / ".env", now=NOW)
        assert consistent(directory / ".env")
        assert [path.name for path in directory.iterdir() if "maestro" in path.name] == []


def void(_result: object) -> None:
    """Take the place of a function without a result."""


def test_no_file_is_ever_wider_not_even_for_an_instant(env: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = f"""
import os; os.umask(0)
from datetime import datetime, UTC
from pathlib import Path
from maestro_cli.secrets import FileStore, generate, rotate
env = Path({str(env)!r})
generate(env, now=datetime.now(UTC))
generate(env, now=datetime.now(UTC), force=True)
rotate(FileStore(env), now=datetime.now(UTC), required={REQUIRED!r})
"""
    log = tmp_path / "trace"
    calls = "openat,open,creat,chmod,fchmod,fchmodat,link,linkat"
    result = subprocess.run(
        ["strace", "-f", "-e", f"trace={calls}", "-o", log, sys.executable, "-c", code],
        capture_output=True,
        check=False,
    )
    if b"ptrace" in result.stderr and not env.exists():
        pytest.skip("tracing is not allowed here")
    assert result.returncode == 0, result.stderr
    made = re.findall(r'open(?:at)?\([^"]*"([^"]*maestro-new)".*O_CREAT.*, (0\d+)\)', log.read_text())
    assert len(made) >= 8
    assert {opened for _, opened in made} == {"0600"}
    widened = re.findall(r"f?chmod(?:at)?\((.*)\)", log.read_text())
    assert [call for call in widened if not call.endswith("0644")] == []  # .gitignore and .env.example only
    assert wide(env.parent) == []


@pytest.mark.parametrize("action", ["generate", "rotate", "dry run"])
def test_a_symbolic_link_at_the_path_is_refused(env: Path, tmp_path: Path, action: str) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("JWT_SECRET_KEY=theirs\n")
    env.symlink_to(target)
    actions: dict[str, Callable[[], object]] = {
        "generate": lambda: generate(env, now=NOW, force=True),
        "dry run": lambda: generate(env, now=NOW, dry_run=True),
        "rotate": lambda: rotated(env, names=["JWT_SECRET_KEY"]),
    }
    with pytest.raises(Refused, match="symbolic link"):
        actions[action]()
    assert target.read_text() == "JWT_SECRET_KEY=theirs\n"
    assert [path.name for path in env.parent.iterdir()] == [".env"]


def test_a_read_only_folder_is_said_so_and_nothing_is_lost(env: Path) -> None:
    generate(env, now=NOW)
    before = contents(env.parent)
    env.parent.chmod(0o500)
    try:
        with pytest.raises(OutOfReach, match="cannot be written to"):
            generate(env, now=NOW, force=True)
        with pytest.raises(OutOfReach, match="cannot be written to"):
            rotated(env)
    finally:
        env.parent.chmod(0o700)
    assert contents(env.parent) == before


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a tiny tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_everything_as_it_was(tiny_disk: Path) -> None:
    env = tiny_disk / ".env"
    generate(env, now=NOW)
    fill(tiny_disk / "filler")
    before = contents(tiny_disk)
    attempts: list[Callable[[], object]] = [lambda: rotated(env), lambda: generate(env, now=NOW, force=True)]
    for attempt in attempts:
        with pytest.raises(OutOfReach, match="No room"):
            attempt()
        assert contents(tiny_disk) == before
    (tiny_disk / "filler").unlink()
    rotated(env)
    assert consistent(env)


def test_runs_at_once_take_turns(env: Path) -> None:
    generate(env, now=NOW)
    code = f"""
from datetime import datetime, UTC
from pathlib import Path
from maestro_cli.secrets import FileStore, rotate
for _ in range(8):
    rotate(FileStore(Path({str(env)!r})), now=datetime.now(UTC), required={REQUIRED!r}, backup=False)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [run.communicate()[1] for run in runs] == [b"", b"", b""]
    assert consistent(env)
    found, record = values(env), read_record(env)
    assert all(record.find(name, found[name]) is not None for name in REQUIRED)


def test_a_file_in_doubt_is_refused_with_its_lines(env: Path) -> None:
    env.write_text("A=1\nB='open\n")
    with pytest.raises(Refused, match="line 2"):
        generate(env, now=NOW)
    assert env.read_text() == "A=1\nB='open\n"


def test_the_record_holds_no_value_and_knows_each(env: Path) -> None:
    generate(env, now=NOW)
    text = record_path(env).read_text()
    assert not [value for value in values(env).values() if len(value) > 8 and value in text]
    record = Record.parse(text)
    known = record.find("JWT_SECRET_KEY", values(env)["JWT_SECRET_KEY"])
    assert known is not None
    assert known.rotated_at == NOW
    assert record.find("JWT_SECRET_KEY", "another value") is None
    assert Record.parse(record.text()) == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "key": "zz", "secrets": {}}', "\0"])
def test_a_damaged_record_only_costs_the_ages(env: Path, text: str) -> None:
    generate(env, now=NOW)
    record_path(env).write_text(text)
    rules = {found.rule for found in audit_file(env, REQUIRED, NOW).findings}
    assert rules == {"age-unknown"}
    rotated(env)
    assert audit_file(env, REQUIRED, NOW + timedelta(days=100)).findings == ()


def test_a_kubernetes_secret_says_the_same(env: Path, tmp_path: Path) -> None:
    import base64

    import yaml

    generate(env, now=NOW)
    held = secret_variables(values(env), REQUIRED)
    assert set(held) == {*REQUIRED, "DATABASE_URL", "REDIS_URL"}
    manifest = yaml.safe_load(kubernetes_secret("shop-secrets", held, namespace="shop"))
    assert (manifest["apiVersion"], manifest["kind"], manifest["type"]) == ("v1", "Secret", "Opaque")
    assert manifest["metadata"] == {"name": "shop-secrets", "namespace": "shop"}
    assert {name: base64.b64decode(data).decode() for name, data in manifest["data"].items()} == held
    path = tmp_path / "secret.yaml"
    write_kubernetes_secret(path, "shop-secrets", held)
    assert mode(path) == 0o600
    path.write_text("mine")
    with pytest.raises(Refused):
        write_kubernetes_secret(path, "shop-secrets", held)
    for name in ("Shop", "-a", "a" * 300, "a/b", "a\nb: c"):
        with pytest.raises(UsageError):
            kubernetes_secret(name, held)


def test_docker_secret_files_are_0400_and_hold_nothing_else(env: Path, tmp_path: Path) -> None:
    generate(env, now=NOW)
    held = secret_variables(values(env), REQUIRED)
    folder = tmp_path / "secrets"
    names = write_docker_secrets(folder, held)
    assert mode(folder) == 0o700
    assert set(names) == {name.lower() for name in held}
    for name, value in held.items():
        path = folder / name.lower()
        assert path.read_text() == value
        assert mode(path) == 0o400
    assert write_docker_secrets(folder, held) == names
    with pytest.raises(Refused, match="holds something else"):
        write_docker_secrets(folder, {**held, "REDIS_PASSWORD": "other"})
    write_docker_secrets(folder, {**held, "REDIS_PASSWORD": "other"}, force=True)
    assert (folder / "redis_password").read_text() == "other"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("postgresql://u:p%40ss@h/d", "postgresql://u:n%2Fw@h/d"),
        ("redis://:p%40ss@h:1/0", "redis://:n%2Fw@h:1/0"),
        ("postgresql://u:other@h/d", "postgresql://u:other@h/d"),
        ("redis://:p%40ss@a:1,redis://:p%40ss@b:1", "redis://:n%2Fw@a:1,redis://:n%2Fw@b:1"),
        ("host=h password=p@ss dbname=d", "host=h password=n%2Fw dbname=d"),
        ("jdbc:postgresql://h/d?user=u&password=p%40ss", "jdbc:postgresql://h/d?user=u&password=n%2Fw"),
        ("p@ss", "p@ss"),
    ],
)
def test_a_password_is_exchanged_wherever_a_url_holds_it(before: str, after: str) -> None:
    assert exchange_password(before, "p@ss", "n/w") == after


def test_only_variables_that_hold_the_old_value_follow() -> None:
    held = {"PW": "long-enough", "URL": "x://u:long-enough@h", "OTHER": "x://u:else@h", "TEXT": "long-enough"}
    assert with_new_passwords(held, held, {"PW": "new"}) == {"URL": "x://u:new@h"}
