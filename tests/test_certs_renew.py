"""Renewal: what is due and nothing else, pair by pair, and the hook behind it."""

from __future__ import annotations

import datetime as dt
import json
import stat
import sys
from pathlib import Path

import pytest
from certs_support import DAY, NOW, Planted, key, maestro, pem
from cryptography import x509

from maestro_cli.certs import renew, store, verify_folder
from maestro_cli.certs.export import KubernetesSecret
from maestro_cli.certs.generate import generate
from maestro_cli.certs.hosts import parse_host
from maestro_cli.certs.keys import key_to_pem, public_der
from maestro_cli.certs.leaf import names_of, purpose_of
from maestro_cli.certs.plan import Order
from maestro_cli.certs.renewal import HOOK_PENDING, Terms, preview
from maestro_cli.errors import MaestroError, OutOfReach, Refused
from maestro_cli.redaction import Secret

LATER = NOW + 300 * DAY  # past two thirds of 397 days
HOOK = "import os, pathlib; pathlib.Path('hook.txt').open('a').write(os.environ['MAESTRO_RENEWED'] + chr(10))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    generate(directory, Order(key_type="ec-p256", clients=(parse_host("worker"),)), now=NOW)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def leaf(directory: Path, name: str = "cert.pem") -> x509.Certificate:
    return store.read_certificates(directory, name)[0]


def holds(directory: Path, now: dt.datetime) -> list[str]:
    findings = verify_folder(directory, now=now).findings
    return [f"{one.subject}: {one.message}" for one in findings if one.status == "fail" and one.check != "handshake"]


def test_nothing_due_changes_nothing(folder: Path) -> None:
    before = contents(folder)
    renewal = renew(folder, Terms(), now=NOW + 200 * DAY)
    assert renewal.renewed == ()
    assert len(renewal.certificates) == 2
    assert contents(folder) == before


def test_past_two_thirds_of_its_life_a_pair_is_replaced_whole(folder: Path) -> None:
    old, old_key = leaf(folder), (folder / "key.pem").read_bytes()
    renewal = renew(folder, Terms(), now=LATER)
    new = leaf(folder)
    assert {one.certificate for one in renewal.renewed} == {"cert.pem", "client-worker.pem"}
    assert names_of(new) == names_of(old)
    assert new.subject == old.subject
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc - new.not_valid_before_utc == old.not_valid_after_utc - old.not_valid_before_utc
    assert (folder / "key.pem").read_bytes() != old_key
    assert (folder / "key.pem.previous").read_bytes() == old_key
    assert purpose_of(leaf(folder, "client-worker.pem")) == "client"
    assert holds(folder, LATER) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert renew(folder, Terms(), now=LATER).renewed == ()


def test_the_key_can_stay_and_the_life_can_change(folder: Path) -> None:
    old, before = leaf(folder), contents(folder)
    renew(folder, Terms(everything=True, reuse_key=True, days=10), now=NOW)
    assert public_der(leaf(folder).public_key()) == public_der(old.public_key())
    assert (folder / "key.pem").read_bytes() == before["key.pem"]
    assert leaf(folder).not_valid_after_utc < NOW + 10 * DAY
    assert holds(folder, NOW) == []


def test_days_left_is_a_threshold(folder: Path) -> None:
    assert [due for _, _, due in preview(folder, Terms(days_left=397), now=NOW)] == [True, True]
    assert [due for _, _, due in preview(folder, Terms(days_left=396), now=NOW)] == [False, False]
    assert renew(folder, Terms(days_left=30), now=NOW + 370 * DAY).renewed


def test_the_key_type_stays(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    generate(directory, Order(key_type="ec-p384"), now=NOW)
    renew(directory, Terms(everything=True), now=NOW)
    public_key = leaf(directory).public_key()
    assert public_key.curve.name == "secp384r1"  # type: ignore[union-attr]  # it is an elliptic-curve key


def test_the_forms_follow(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    order = Order(
        key_type="ec-p256", request=True, kubernetes=KubernetesSecret("api-tls", "prod"), pkcs12=Secret("long enough")
    )
    generate(directory, order, now=NOW)
    before = contents(directory)
    renewal = renew(directory, Terms(everything=True), now=NOW)
    after = contents(directory)
    assert {name for name in before if before[name] != after[name]} == {
        "cert.pem",
        "key.pem",
        "fullchain.pem",
        "csr.pem",
        "k8s-secret.yaml",
    }
    assert b"namespace: prod" in after["k8s-secret.yaml"]
    assert any("cert.p12" in warning for warning in renewal.warnings)


def test_an_intermediate_that_is_due_is_renewed_with_all_below_it(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    generate(directory, Order(key_type="ec-p256", intermediate=True), now=NOW)
    old = leaf(directory, "intermediate.pem")
    when = NOW + 1300 * DAY
    renewal = renew(directory, Terms(), now=when)
    assert {one.certificate for one in renewal.renewed} == {"intermediate.pem", "cert.pem"}
    assert leaf(directory, "intermediate.pem").public_key() != old.public_key()
    assert holds(directory, when) == []


def test_the_root_is_never_renewed_but_spoken_of(folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    renewal = renew(folder, Terms(), now=NOW + 2600 * DAY)
    assert (folder / "ca.pem").read_bytes() == before
    assert any("ca.pem ends on" in warning for warning in renewal.warnings)
    with pytest.raises(Refused, match="--new-ca"):
        renew(folder, Terms(), now=NOW + 3700 * DAY)


def test_another_cas_certificate_comes_under_ours(folder: Path) -> None:
    """Somebody's own certificate, self-made with an old subject, becomes one that keeps the rules."""
    planted = Planted(common_name="not among the names", names=[x509.DNSName("theirs.test")]).build()
    (folder / "theirs.pem").write_bytes(pem(planted))
    (folder / "theirs-key.pem").write_bytes(key_to_pem(key()))
    (folder / "theirs-key.pem").chmod(0o600)
    renew(folder, Terms(everything=True), now=NOW)
    assert store.is_issued_by(leaf(folder, "theirs.pem"), leaf(folder, "ca.pem"))
    assert holds(folder, NOW) == []


def test_a_certificate_without_names_is_not_guessed_at(folder: Path) -> None:
    before = contents(folder)
    (folder / "odd.pem").write_bytes(pem(Planted(critical={"names": None}).build()))
    (folder / "odd-key.pem").write_bytes(key_to_pem(key()))
    with pytest.raises(Refused, match="no subject alternative names"):
        renew(folder, Terms(everything=True), now=NOW)
    assert {name: data for name, data in contents(folder).items() if not name.startswith("odd")} == before


def test_nothing_to_renew_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="does not exist"):
        renew(tmp_path / "nowhere", Terms(), now=NOW)
    with pytest.raises(OutOfReach, match="holds no certificate"):
        renew(tmp_path, Terms(), now=NOW)


def test_without_its_ca_nothing_is_renewed(folder: Path) -> None:
    (folder / "ca-key.pem").unlink()
    before = contents(folder)
    with pytest.raises(MaestroError, match=r"its key ca-key\.pem is not"):
        renew(folder, Terms(everything=True), now=NOW)
    assert contents(folder) == before


# --- the command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    generate(tmp_path / "certs", Order(key_type="ec-p256"), now=dt.datetime.now(dt.UTC))
    return tmp_path


def test_for_cron_nothing_due_is_a_word_on_stderr_and_success(project: Path) -> None:
    result = maestro(project, "certs", "renew", "--hook", f"{sys.executable} -c '{HOOK}'")
    assert (result.returncode, result.stdout) == (0, "")
    assert "Nothing is due" in result.stderr
    assert not (project / "hook.txt").exists()
    assert maestro(project, "certs", "renew", "-q").stderr == ""


def test_the_hook_runs_after_a_renewal_and_until_it_succeeds(project: Path) -> None:
    failing = maestro(project, "certs", "renew", "--all", "--json", "--hook", "false")
    assert failing.returncode == 3
    assert json.loads(failing.stdout)["renewed"] == ["cert.pem"]
    assert "the hook ended with 1" in failing.stderr
    assert (project / "certs" / HOOK_PENDING).exists()
    missing = maestro(project, "certs", "renew", "--hook", "no-such-program-here")
    assert missing.returncode == 3
    assert "cannot be run" in missing.stderr
    working = maestro(project, "certs", "renew", "--hook", f'{sys.executable} -c "{HOOK}"')
    assert working.returncode == 0, working.stderr
    assert (project / "hook.txt").read_text() == "\n"  # nothing was renewed this time
    assert not (project / "certs" / HOOK_PENDING).exists()
    working = maestro(project, "certs", "renew", "--all", "--hook", f'{sys.executable} -c "{HOOK}"')
    assert (project / "hook.txt").read_text().splitlines()[1] == str(project / "certs" / "cert.pem")
    assert "renewed, until" in working.stdout


def test_bad_hooks_and_passphrases_stop_it_before_anything_is_renewed(project: Path) -> None:
    before = contents(project / "certs")
    for hook in ("", "'open quote"):
        result = maestro(project, "certs", "renew", "--all", "--hook", hook)
        assert (result.returncode, result.stdout) == (2, "")
    (project / "ca.txt").write_text("wrong\n")
    (project / "certs" / "ca-key.pem").write_bytes(
        key_to_pem(store.read_key(project / "certs", "ca-key.pem"), Secret("right"))
    )
    before["ca-key.pem"] = (project / "certs" / "ca-key.pem").read_bytes()
    result = maestro(project, "certs", "renew", "--all", "--ca-passphrase-file", "ca.txt")
    assert result.returncode == 2
    assert "does not open" in result.stderr
    assert maestro(project, "certs", "renew", "--all").returncode == 2
    assert contents(project / "certs") == before
    (project / "ca.txt").write_text("right\n")
    assert maestro(project, "certs", "renew", "--all", "--ca-passphrase-file", "ca.txt").returncode == 0


def test_a_dry_run_shows_what_is_due(project: Path) -> None:
    before = contents(project / "certs")
    result = maestro(project, "certs", "renew", "--dry-run", "--json", "--all")
    assert json.loads(result.stdout)["certificates"][0]["due"] is True
    assert "not due" in maestro(project, "certs", "renew", "--dry-run").stdout
    assert contents(project / "certs") == before
