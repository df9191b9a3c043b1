"""Trust: what would be run is shown; it is run only when asked for, and can be taken back."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from certs_support import NOW, maestro

from maestro_cli.certs.generate import generate
from maestro_cli.certs.plan import Order
from maestro_cli.certs.trust import Machine, plan_trust
from maestro_cli.errors import OutOfReach, UsageError


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    generate(tmp_path / "certs", Order(key_type="ec-p256"), now=NOW)
    return tmp_path / "certs" / "ca.pem"


def machine(*, programs: set[str], folders: set[str], platform: str = "linux", home: str = "/home/nobody") -> Machine:
    return Machine(
        platform,
        lambda name: f"/usr/bin/{name}" if name in programs else None,
        Path(home),
        lambda path: str(path) in folders,
    )


@pytest.mark.parametrize(
    ("programs", "folder", "refresh"),
    [
        ("update-ca-certificates", "/usr/local/share/ca-certificates", "update-ca-certificates"),
        ("update-ca-trust", "/etc/pki/ca-trust/source/anchors", "update-ca-trust extract"),
        ("update-ca-trust", "/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
        ("update-ca-certificates", "/usr/share/pki/trust/anchors", "update-ca-certificates"),
    ],
)
def test_each_systems_own_way_and_its_undo(ca: Path, programs: str, folder: str, refresh: str) -> None:
    (step,) = plan_trust(ca, machine(programs={programs}, folders={folder}))
    install, again = step.add
    assert install[-1].startswith(folder)
    assert " ".join(again) == refresh
    remove, _ = step.remove
    assert remove == ("rm", "-f", install[-1])
    assert step.root


def test_browsers_and_java_are_told_too(ca: Path) -> None:
    steps = plan_trust(ca, machine(programs={"certutil", "keytool"}, folders=set()))
    assert [step.store for step in steps] == ["nss", "java"]
    assert not steps[0].root
    assert [
        step.store for step in plan_trust(ca, machine(programs={"certutil", "keytool"}, folders=set()), stores=["java"])
    ] == ["java"]
    (mac,) = plan_trust(ca, machine(programs=set(), folders=set(), platform="darwin"))
    assert mac.add[0][:2] == ("security", "add-trusted-cert")


def test_what_is_not_there_is_said(ca: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No trust store 'windows'"):
        plan_trust(ca, machine(programs=set(), folders=set()), stores=["windows"])
    with pytest.raises(UsageError, match="has no java trust store"):
        plan_trust(ca, machine(programs=set(), folders=set()), stores=["java"])
    with pytest.raises(OutOfReach, match="does not exist"):
        plan_trust(tmp_path / "nowhere.pem", machine(programs=set(), folders=set()))


def test_nothing_is_run_without_install_and_without_a_yes(ca: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    shown = maestro(ca.parent.parent, "certs", "trust", environ=home)
    assert shown.returncode == 0
    assert "Nothing was changed" in shown.stderr
    assert "NODE_EXTRA_CA_CERTS" in shown.stdout
    refused = maestro(ca.parent.parent, "certs", "trust", "--install", environ=home)
    assert refused.returncode == (2 if shutil.which("certutil") or shutil.which("keytool") else refused.returncode)
    assert list((tmp_path / "home").iterdir()) == []
    plain = json.loads(maestro(ca.parent.parent, "certs", "trust", "--json", environ=home).stdout)
    assert plain["ca"] == str(ca)


@pytest.mark.skipif(shutil.which("certutil") is None, reason="certutil is not installed")
def test_installed_and_taken_back_in_a_browsers_store(ca: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    def known() -> str:
        return subprocess.run(
            ["certutil", "-L", "-d", f"sql:{home}/.pki/nssdb"], capture_output=True, text=True, check=False
        ).stdout

    done = maestro(
        ca.parent.parent, "certs", "trust", "--store", "nss", "--install", "--yes", environ={"HOME": str(home)}
    )
    assert done.returncode == 0, done.stderr
    assert "+ certutil" in done.stderr
    assert "C,," in known()
    undone = maestro(
        ca.parent.parent,
        "certs",
        "trust",
        "--store",
        "nss",
        "--undo",
        "--install",
        "--yes",
        environ={"HOME": str(home)},
    )
    assert undone.returncode == 0, undone.stderr
    assert "maestro" not in known()
    again = maestro(
        ca.parent.parent,
        "certs",
        "trust",
        "--store",
        "nss",
        "--undo",
        "--install",
        "--yes",
        environ={"HOME": str(home)},
    )
    assert again.returncode == 3
    assert "ended with" in again.stderr
