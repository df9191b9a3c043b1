"""kill -9 while certificates are made or renewed: the raw files are the old pair or the new one, and private."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from certs_support import maestro
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from test_filesystem import every_kill

from maestro_cli.certs import renew, verify_folder
from maestro_cli.certs.export import KubernetesSecret
from maestro_cli.certs.generate import generate
from maestro_cli.certs.hosts import parse_host
from maestro_cli.certs.plan import Order
from maestro_cli.certs.renewal import Terms

NOW = dt.datetime.now(dt.UTC)
FULL = Order(key_type="ec-p256", intermediate=True, clients=(parse_host("worker"),), kubernetes=KubernetesSecret("x"))


def check_raw(directory: Path) -> bytes | None:
    """What any program sees that knows nothing of maestro's journal; gives the server's key."""
    pairs = {
        "cert.pem": "key.pem",
        "fullchain.pem": "key.pem",
        "ca.pem": "ca-key.pem",
        "client-worker.pem": "client-worker-key.pem",
    }
    for certificate_name, key_name in pairs.items():
        certificate_path, key_path = directory / certificate_name, directory / key_name
        assert certificate_path.exists() == key_path.exists()
        if not key_path.exists():
            continue
        certificate = x509.load_pem_x509_certificates(certificate_path.read_bytes())[0]
        private = serialization.load_pem_private_key(key_path.read_bytes(), None)
        assert private.public_key() == certificate.public_key(), (certificate_name, key_name)
        if (directory / "intermediate.pem").exists() and certificate_name != "ca.pem":
            middle = x509.load_pem_x509_certificate((directory / "intermediate.pem").read_bytes())
            certificate.verify_directly_issued_by(middle)
    for path in directory.parent.rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077 or path.is_symlink() or path.is_dir(), path
    key = directory / "key.pem"
    return key.read_bytes() if key.exists() else None


ACTIONS: dict[str, Callable[[Path], object]] = {
    "first": lambda directory: generate(directory, FULL, now=NOW),
    "force": lambda directory: generate(directory, Order(key_type="ec-p256", force=True), now=NOW),
    "renew": lambda directory: renew(directory, Terms(everything=True, hook=True), now=NOW),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_at_every_system_call(tmp_path: Path, action: str) -> None:
    template = tmp_path / "template" / "certs"
    generate(template, FULL, now=NOW)
    numbers = iter(range(10_000))

    def prepare() -> Path:
        directory = tmp_path / str(next(numbers)) / "certs"
        if action == "first":
            directory.parent.mkdir()
        else:
            shutil.copytree(template.parent, directory.parent)
        return directory

    def act(directory: Path) -> None:
        ACTIONS[action](directory)

    keys = set()
    for directory in every_kill(prepare, act):
        if directory.exists():
            keys.add(check_raw(directory))
        ACTIONS["renew" if action == "renew" else "force"](
            directory
        )  # whoever comes next is not in the way of what was left
        check_raw(directory)
        assert verify_folder(directory, now=NOW).holds
        assert [path.name for path in directory.parent.iterdir()] == ["certs"]
    assert len(keys) > 1  # both old and new were seen


@pytest.mark.parametrize(
    "command", [("generate", "--force", "--key-type", "ec-p256"), ("renew", "--all")], ids=["generate", "renew"]
)
def test_at_random_moments_of_the_whole_process(tmp_path: Path, command: tuple[str, ...]) -> None:
    directory = tmp_path / "certs"
    generate(directory, FULL, now=NOW)
    chance = random.Random(20251005)  # noqa: S311 - a test that can be repeated
    for _ in range(15):
        process = subprocess.Popen([sys.executable, "-m", "maestro_cli", "certs", *command], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        timer = threading.Timer(chance.uniform(0.05, 0.45), process.kill)
        timer.start()
        assert process.wait(30) in {0, -signal.SIGKILL}
        timer.cancel()
        timer.join()
        check_raw(directory)
    result = maestro(tmp_path, "certs", "renew", "--all")
    assert result.returncode == 0, result.stderr
    assert maestro(tmp_path, "certs", "verify").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["certs"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_no_file_is_wider_than_its_owner_at_any_moment(tmp_path: Path, umask: int) -> None:
    trace = tmp_path / "trace"
    calls = "trace=open,openat,creat,chmod,fchmod,fchmodat,mknod,mknodat,link,linkat"
    for command in (("generate", "--key-type", "ec-p256", "--k8s-secret", "--csr"), ("renew", "--all")):
        words = [
            "strace",
            "-f",
            "-o",
            trace,
            "-e",
            calls,
            sys.executable,
            "-m",
            "maestro_cli",
            "certs",
            *command,
            "--directory",
            "pki/certs",
        ]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, umask=umask, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})  # fmt: skip
        if "ptrace" in result.stderr:
            pytest.skip("tracing is not allowed here")
        assert result.returncode == 0, result.stderr
        lines = [line for line in trace.read_text().splitlines() if "= -1 " not in line]
        created = [line for line in lines if "O_CREAT" in line and "/dev/" not in line]
        assert len(created) > 6
        assert [line for line in created if not re.search(r"O_CREAT.*, 0600\) = ", line)] == []
        assert [line for line in lines if "chmod" in line and not re.search(r"0[67]00\) = 0", line)] == []


def test_two_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maestro_cli", "certs", "generate", "--key-type", "ec-p256", "--force"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    results = [(run.communicate(timeout=60), run.returncode) for run in runs]
    assert [code for _, code in results] == [0] * 4, results
    check_raw(tmp_path / "certs")
    backups = [path for path in (tmp_path / "certs").iterdir() if path.name.startswith("key.pem.")]
    assert len(backups) == 3  # every replaced key was kept
    assert maestro(tmp_path, "certs", "verify").returncode == 0


def test_two_first_runs_without_force_make_one_pair(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maestro_cli", "certs", "generate", "--key-type", "ec-p256"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [(run.communicate(timeout=60)[1], run.returncode) for run in runs]
    assert sorted(code for _, code in results) == [0, 1, 1], results
    assert all("exist already" in words for words, code in results if code == 1)
    check_raw(tmp_path / "certs")
    with contextlib.suppress(FileNotFoundError):
        assert not list((tmp_path / "certs").glob("*.bak"))
