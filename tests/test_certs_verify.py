"""Inspecting and verifying: files, folders, servers; every way in which a pair can be wrong is told apart."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certs_support import DAY, NOW, Planted, authority, key, maestro, pem, tls_server
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from maestro_cli.certs import Verification, fetch_chain, inspect_file, verify_file, verify_folder
from maestro_cli.certs.endpoint import parse_address
from maestro_cli.certs.export import pkcs12
from maestro_cli.certs.generate import generate
from maestro_cli.certs.handshake import try_handshake
from maestro_cli.certs.hosts import parse_host, parse_hosts
from maestro_cli.certs.inspection import expiries, inspect_presented
from maestro_cli.certs.issue import (
    Issuer,
    intermediate_certificate,
    leaf_certificate,
    root_certificate,
    signing_request,
)
from maestro_cli.certs.keys import key_to_pem
from maestro_cli.certs.path import build_path, path_problems
from maestro_cli.certs.plan import Order
from maestro_cli.certs.verification import verify_presented
from maestro_cli.errors import OutOfReach, UsageError
from maestro_cli.redaction import Secret

TODAY = dt.datetime.now(dt.UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    generate(directory, Order(hosts=parse_hosts(["localhost", "127.0.0.1"]), key_type="ec-p256"), now=TODAY)
    return directory


def failed(verification: Verification) -> set[str]:
    return {finding.check for finding in verification.findings if finding.status == "fail"}


def test_a_fresh_folder_holds(folder: Path) -> None:
    verification = verify_folder(folder, now=TODAY, hosts=parse_hosts(["localhost"]))
    assert verification.holds
    assert {"chain", "host", "purpose", "key-match", "handshake"} == {
        finding.check for finding in verification.findings
    }


def other_pair(folder: Path) -> None:
    generate(folder.parent / "other", Order(key_type="ec-p256"), now=TODAY)
    shutil.copy(folder.parent / "other" / "key.pem", folder / "key.pem")


def other_ca(folder: Path) -> None:
    generate(folder.parent / "other", Order(key_type="ec-p256"), now=TODAY)
    shutil.copy(folder.parent / "other" / "ca.pem", folder / "ca.pem")


def wide(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(0o640)


def shared_key(folder: Path) -> None:
    generate(folder, Order(key_type="ec-p256", clients=(parse_host("worker"),)), now=TODAY)
    shutil.copy(folder / "key.pem", folder / "client-worker-key.pem")


def another_leaf(folder: Path) -> None:
    generate(folder, Order(key_type="ec-p256", clients=(parse_host("worker"),)), now=TODAY)
    shutil.copy(folder / "client-worker.pem", folder / "cert.pem")


FAULTS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "another pair's key": (other_pair, {"key-match"}),
    "another CA": (other_ca, {"chain"}),
    "key readable by the group": (wide("key.pem"), {"key-mode"}),
    "CA key readable by the group": (wide("ca-key.pem"), {"key-mode"}),
    "one key for two": (shared_key, {"key-match", "shared-key"}),
    "cert.pem is another's": (another_leaf, {"chain"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_told_apart(folder: Path, fault: str) -> None:
    plant, expected = FAULTS[fault]
    plant(folder)
    assert failed(verify_folder(folder, now=TODAY)) == expected


def test_time_and_names_count(folder: Path) -> None:
    assert "expired" in failed(verify_folder(folder, now=TODAY + 400 * DAY))
    assert "not-yet-valid" in failed(verify_folder(folder, now=TODAY - DAY))
    assert failed(verify_folder(folder, now=TODAY, hosts=parse_hosts(["wrong.test"]))) >= {"host"}
    late = verify_folder(folder, now=TODAY + 300 * DAY)
    assert "renewal-due" in {finding.check for finding in late.findings if finding.status == "warn"}


def test_the_purpose_can_be_asked_for(folder: Path) -> None:
    chain, ca = folder / "fullchain.pem", folder / "ca.pem"
    assert verify_file(chain, now=TODAY, ca=ca, purpose="server").holds
    assert "purpose" in failed(verify_file(chain, now=TODAY, ca=ca, purpose="client"))


def test_two_keys_that_share_a_prime_are_found(folder: Path) -> None:
    import test_certs_lint as planted

    primes = [planted.next_prime(3 << 1022 | number << 700 | 1) for number in (1, 2, 3)]
    for name, (p, q) in {"one": (primes[0], primes[1]), "two": (primes[0], primes[2])}.items():
        d = pow(65537, -1, (p - 1) * (q - 1))
        numbers = rsa.RSAPrivateNumbers(
            p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)
        )
        (folder / f"{name}-key.pem").write_bytes(key_to_pem(numbers.private_key(unsafe_skip_rsa_key_validation=True)))
        (folder / f"{name}-key.pem").chmod(0o600)
    findings = [finding for finding in verify_folder(folder, now=TODAY).findings if finding.check == "shared-factor"]
    assert {finding.subject for finding in findings} == {"one-key.pem", "two-key.pem"}


def test_a_key_in_two_environments_is_found(folder: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    generate(staging, Order(key_type="ec-p256"), now=TODAY)
    assert verify_folder(folder, now=TODAY, others=[staging]).holds
    shutil.copy(folder / "key.pem", staging / "key.pem")
    found = verify_folder(folder, now=TODAY, others=[staging])
    assert failed(found) == {"shared-key"}
    assert any(str(staging / "key.pem") in finding.message for finding in found.findings)
    assert maestro(tmp_path, "certs", "verify", "--also", staging).returncode == 1
    assert maestro(tmp_path, "certs", "verify", "--also", tmp_path / "nowhere").returncode == 3


def test_keys_that_badkeys_knows_are_found(folder: Path) -> None:
    pytest.importorskip("badkeys")
    import test_certs_lint as planted

    from maestro_cli.certs.weak_keys import known_bad

    reasons = known_bad(planted.rsa_public(planted.close_primes())) or []
    assert any("fermat" in reason for reason in reasons)
    assert known_bad(key().public_key()) == []


def test_nothing_to_verify_is_not_a_verdict(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(OutOfReach, match=r"cert\.pem does not exist"):
        verify_folder(tmp_path / "nowhere", now=TODAY)
    (folder / "key.pem").unlink()
    with pytest.raises(OutOfReach, match=r"key\.pem does not exist"):
        verify_folder(folder, now=TODAY)


# --- paths


def test_a_path_is_built_whatever_the_order(tmp_path: Path) -> None:
    root = authority()
    middle_key = key("ec-p256", "intermediate")
    middle = intermediate_certificate(middle_key.public_key(), root, now=NOW)
    leaf = leaf_certificate(key().public_key(), Issuer(middle, middle_key), parse_hosts(["a.test"]), now=NOW)
    noise = root_certificate(key("ec-p256", "noise"), now=NOW)
    path, reason = build_path(leaf, [noise, middle], [noise, root.certificate])
    assert (path, reason) == ([leaf, middle, root.certificate], None)
    assert list(path_problems(path)) == []
    _, reason = build_path(leaf, [], [root.certificate])
    assert reason is not None
    assert "neither in the chain" in reason
    impostor = Planted(common_name=None, basic=x509.BasicConstraints(ca=True, path_length=1)).build()
    assert build_path(leaf, [impostor], [root.certificate])[1] is not None


def test_a_name_that_fits_and_a_key_that_does_not() -> None:
    leaf = Planted(signer=key("ec-p256", "forger")).build()
    _, reason = build_path(leaf, [], [authority().certificate])
    assert reason is not None
    assert "another key" in reason


def test_who_may_not_sign_is_named() -> None:
    stray = Issuer(Planted(common_name="no CA").build(), key())
    leaf = Planted(issuer_name=stray.certificate.subject).build(stray)
    path, _ = build_path(leaf, [stray.certificate], [authority().certificate])
    assert [problem for problem in path_problems(path) if "CN=no CA" in problem and "is no CA" in problem]


# --- inspecting


def test_inspecting_says_what_a_person_wants_to_know(folder: Path) -> None:
    inspection = inspect_file(folder / "fullchain.pem", now=TODAY)
    described = inspection.certificates[0]
    assert described.kind == "server"
    assert described.names == ("localhost", "127.0.0.1")
    assert described.key == "EC P-256"
    assert described.days_left == 396
    assert described.problems == ()
    text = subprocess.run(["openssl", "x509", "-in", folder / "cert.pem", "-noout", "-fingerprint", "-sha256", "-serial"], check=True, capture_output=True, text=True).stdout  # fmt: skip
    assert described.sha256.upper() in text.replace(":", "")
    assert f"serial={described.serial.upper()}" in text.replace("serial=0", "serial=")
    private = inspect_file(folder / "key.pem", now=TODAY).key
    assert private is not None
    assert private.public_key_sha256 == described.public_key_sha256
    assert private.mode == "0600"


def test_every_form_can_be_inspected(folder: Path, tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    request = signing_request(key(), parse_hosts(["a.test"]), x509.Name([]))
    password = Secret("long enough")
    forms = {
        "cert.der": certificate.public_bytes(Encoding.DER),
        "csr.der": request.public_bytes(Encoding.DER),
        "csr.pem": request.public_bytes(Encoding.PEM),
        "both.pem": key_to_pem(key()) + (folder / "cert.pem").read_bytes(),
        "pair.p12": pkcs12("x", key(), Planted().build(), [], password),
        "locked.pem": key_to_pem(key(), password),
    }
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    found = {name: inspect_file(tmp_path / name, now=TODAY, password=password) for name in forms}
    assert found["cert.der"].certificates[0].names == ("localhost", "127.0.0.1")
    assert all(getattr(found[name].request, "names", ()) == ("a.test",) for name in ("csr.der", "csr.pem"))
    assert found["both.pem"].key is not None
    assert found["both.pem"].certificates
    assert found["pair.p12"].certificates[0].names == ("api.example.test",)
    assert found["locked.pem"].key is not None
    assert found["locked.pem"].key.encrypted
    assert "PRIVATE" not in json.dumps([inspection.as_dict() for inspection in found.values()])
    with pytest.raises(OutOfReach, match="cannot be opened"):
        inspect_file(tmp_path / "pair.p12", now=TODAY)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x30\x82", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_out_of_reach(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(data)
    with pytest.raises(OutOfReach):
        inspect_file(tmp_path / "x.pem", now=TODAY)
    with pytest.raises(OutOfReach, match="does not exist"):
        inspect_file(tmp_path / "nowhere", now=TODAY)


def test_expiry_of_many(folder: Path) -> None:
    found = list(expiries([folder / "ca.pem", folder / "fullchain.pem"], now=TODAY))
    assert [one.days_left for one in found] == [3649, 396]
    assert found[1].name == "localhost"


# --- servers


def test_a_server_is_inspected_without_being_trusted(folder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "deep"
    generate(directory, Order(key_type="ec-p256", intermediate=True), now=TODAY)
    with tls_server(directory / "fullchain.pem", directory / "key.pem") as port:
        presented = fetch_chain("127.0.0.1", port)
        assert [described.kind for described in inspect_presented(presented, now=TODAY).certificates] == [
            "server",
            "intermediate",
        ]
        assert presented.protocol == "TLSv1.3"
        assert verify_presented(presented, now=TODAY, ca=directory / "ca.pem", hosts=parse_hosts(["localhost"])).holds
        assert failed(verify_presented(presented, now=TODAY, ca=folder / "ca.pem")) == {"chain"}
        wrong = verify_presented(presented, now=TODAY, ca=directory / "ca.pem", hosts=parse_hosts(["wrong.test"]))
        assert failed(wrong) == {"host"}


def test_a_server_that_forgets_its_intermediate_is_caught(tmp_path: Path) -> None:
    directory = tmp_path / "deep"
    generate(directory, Order(key_type="ec-p256", intermediate=True), now=TODAY)
    with tls_server(directory / "cert.pem", directory / "key.pem") as port:
        presented = fetch_chain("127.0.0.1", port)
    assert failed(verify_presented(presented, now=TODAY, ca=directory / "ca.pem")) == {"chain"}


def test_a_server_that_asks_for_a_client_certificate_is_still_read(folder: Path) -> None:
    def ask(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")

    with tls_server(folder / "fullchain.pem", folder / "key.pem", prepare=ask) as port:
        assert fetch_chain("127.0.0.1", port).certificates


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A server that speaks no TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"220 mail.example.test ESMTP\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    thread.join()
    listener.close()


def test_no_tls_no_answer_no_name(plain_port: int) -> None:
    with pytest.raises(OutOfReach, match="the TLS handshake fails"):
        fetch_chain("127.0.0.1", plain_port)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OutOfReach, match="did not answer within"):
        fetch_chain("127.0.0.1", silent.getsockname()[1], timeout_s=0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutOfReach, match="out of reach"):
        fetch_chain("127.0.0.1", port)
    with pytest.raises(OutOfReach, match="out of reach"):
        fetch_chain("no-such-host.invalid", 443)


def test_addresses() -> None:
    assert parse_address("localhost:8443") == ("localhost", 8443)
    assert parse_address("[::1]:8443") == ("::1", 8443)
    assert parse_address("certs/cert.pem") is None
    assert parse_address("::1") is None
    with pytest.raises(UsageError, match="no such port"):
        parse_address("localhost:70000")


def test_the_handshake_in_memory_is_a_real_one(folder: Path) -> None:
    chain, private_key, ca = folder / "fullchain.pem", folder / "key.pem", folder / "ca.pem"
    assert try_handshake(chain=chain, key=private_key, ca=ca, host="localhost") is None
    assert try_handshake(chain=chain, key=private_key, ca=ca, host=None) is None
    refused = try_handshake(chain=chain, key=private_key, ca=ca, host="wrong.test")
    assert refused is not None
    assert "hostname mismatch" in refused
    generate(folder.parent / "other", Order(key_type="ec-p256"), now=TODAY)
    refused = try_handshake(chain=chain, key=private_key, ca=folder.parent / "other" / "ca.pem", host="localhost")
    assert refused is not None
    assert "unable to get" in refused
    refused = try_handshake(chain=chain, key=folder.parent / "other" / "key.pem", ca=ca, host="localhost")
    assert refused is not None
    assert "mismatch" in refused
    assert (
        try_handshake(chain=chain, key=private_key, ca=ca, host=None, purpose="client") is not None
    )  # it is a server's


# --- the commands


def test_verify_by_command(folder: Path, tmp_path: Path) -> None:
    result = maestro(tmp_path, "certs", "verify", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["holds"] is True
    assert maestro(tmp_path, "certs", "verify", "certs/cert.pem", "--host", "localhost").returncode == 0
    (folder / "key.pem").chmod(0o644)
    result = maestro(tmp_path, "certs", "verify")
    assert result.returncode == 1
    assert "key-mode" in result.stdout
    assert maestro(tmp_path, "certs", "verify", "nowhere.pem").returncode == 3
    assert maestro(tmp_path, "certs", "verify", "127.0.0.1:1", "--timeout", "1").returncode == 3
    assert maestro(tmp_path, "certs", "verify", "--purpose", "mail").returncode == 2


def test_inspect_and_verify_a_server_by_command(folder: Path, tmp_path: Path) -> None:
    with tls_server(folder / "fullchain.pem", folder / "key.pem") as port:
        shown = maestro(tmp_path, "certs", "inspect", f"localhost:{port}", "--json")
        assert json.loads(shown.stdout)["certificates"][0]["names"] == ["localhost", "127.0.0.1"]
        assert maestro(tmp_path, "certs", "verify", f"127.0.0.1:{port}").returncode == 0
        assert maestro(tmp_path, "certs", "verify", f"127.0.0.1:{port}", "--host", "wrong.test").returncode == 1


def test_inspect_by_command(folder: Path, tmp_path: Path) -> None:
    result = maestro(tmp_path, "certs", "inspect", "certs/fullchain.pem", "certs/key.pem")
    assert result.returncode == 0
    assert "all kept" in result.stdout
    assert "PRIVATE" not in result.stdout
    result = maestro(tmp_path, "certs", "inspect", "--expiry", "certs", "--json")
    assert {row["days_left"] for row in json.loads(result.stdout)} == {396, 3649}
    assert maestro(tmp_path, "certs", "inspect", "nowhere").returncode == 3
    (tmp_path / "empty").mkdir()
    assert maestro(tmp_path, "certs", "inspect", "empty").returncode == 3
    broken = maestro(tmp_path, "certs", "inspect", "certs/.gitignore")
    assert broken.returncode == 3
    assert "Traceback" not in broken.stderr
    (tmp_path / "bad.pem").write_bytes(pem(Planted(serial=1 << 40).build()))
    assert "serial-entropy" in maestro(tmp_path, "certs", "inspect", "bad.pem").stdout
