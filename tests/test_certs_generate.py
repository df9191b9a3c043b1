"""Making certificates: what is written, what is kept, and what is refused."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from certs_support import DAY, NOW, maestro
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from maestro_cli.certs import ensure_pair, store, verify_folder
from maestro_cli.certs.bulk import bulk, parse_bulk
from maestro_cli.certs.constraints import parse_constraints
from maestro_cli.certs.export import KubernetesSecret
from maestro_cli.certs.generate import generate
from maestro_cli.certs.hosts import parse_host, parse_hosts
from maestro_cli.certs.keys import public_der
from maestro_cli.certs.leaf import names_of
from maestro_cli.certs.plan import DEFAULT_HOSTS, Order, Outcome
from maestro_cli.certs.sign import read_request, sign_request
from maestro_cli.errors import OutOfReach, Refused, UsageError
from maestro_cli.redaction import Secret

PASSWORD = Secret("correct horse battery staple")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def make(folder: Path, **order: object) -> Outcome:
    return generate(folder, Order(key_type="ec-p256", **order), now=NOW)  # type: ignore[arg-type]  # any of its fields


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def holds(folder: Path) -> list[str]:
    """What `certs verify` holds against a folder."""
    return [
        f"{one.subject}: {one.message}"
        for one in verify_folder(folder, now=NOW).findings
        if one.status == "fail" and one.check != "handshake"
    ]


def test_a_ca_and_a_server_pair_for_the_default_names(folder: Path) -> None:
    outcome = make(folder)
    assert outcome.new_ca
    assert {path.name for path in folder.iterdir()} == {
        "ca.pem",
        "ca-key.pem",
        "cert.pem",
        "key.pem",
        "fullchain.pem",
        ".gitignore",
    }
    assert [host.value for host in names_of(certificate(folder / "cert.pem"))] == list(DEFAULT_HOSTS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert holds(folder) == []


def test_the_folder_keeps_its_keys_out_of_git(folder: Path) -> None:
    make(folder)
    subprocess.run(["git", "init", "-q", folder.parent], check=True)
    status = subprocess.run(
        ["git", "-C", folder.parent, "status", "--porcelain", "--untracked-files=all"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert status.stdout == ""


def test_an_existing_ca_is_used_again_and_an_existing_key_is_never_lost(folder: Path) -> None:
    make(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(Refused, match=r"key\.pem, .*cert\.pem exist already"):
        make(folder, hosts=parse_hosts(["other.test"]))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    outcome = make(folder, hosts=parse_hosts(["other.test"]), force=True)
    assert not outcome.new_ca
    assert (folder / "ca-key.pem").read_bytes() == before["ca-key.pem"]
    assert (folder / outcome.backups["key.pem"]).read_bytes() == before["key.pem"]
    assert (folder / outcome.backups["cert.pem"]).read_bytes() == before["cert.pem"]
    assert stat.S_IMODE((folder / outcome.backups["key.pem"]).stat().st_mode) == 0o600
    assert holds(folder) == []
    again = make(folder, force=True)  # within the same second
    assert set(again.backups.values()).isdisjoint(outcome.backups.values())


def test_a_key_without_its_certificate_is_a_key_too(folder: Path) -> None:
    make(folder)
    (folder / "cert.pem").unlink()
    with pytest.raises(Refused, match=r"key\.pem exists already"):
        make(folder)


def test_a_client_joins_without_touching_the_server(folder: Path) -> None:
    make(folder)
    before = (folder / "key.pem").read_bytes()
    outcome = make(folder, clients=(parse_host("worker-7"), parse_host("me@example.test")))
    assert outcome.written == (
        "client-worker-7-key.pem",
        "client-worker-7.pem",
        "client-me@example.test-key.pem",
        "client-me@example.test.pem",
    )
    assert (folder / "key.pem").read_bytes() == before
    assert holds(folder) == []


def test_an_intermediate_signs_and_the_roots_key_can_go(folder: Path) -> None:
    make(folder, intermediate=True)
    chain = x509.load_pem_x509_certificates((folder / "fullchain.pem").read_bytes())
    assert len(chain) == 2
    assert holds(folder) == []
    (folder / "ca-key.pem").unlink()
    make(folder, clients=(parse_host("late"),))
    assert holds(folder) == []


def test_name_constraints_stand_in_root_and_intermediate_and_bind(folder: Path) -> None:
    make(
        folder,
        hosts=parse_hosts(["api.example.test", "localhost", "127.0.0.1"]),
        constraints=parse_constraints(["example.test"]),
    )
    for name in ("ca.pem", "intermediate.pem"):
        extension = certificate(folder / name).extensions.get_extension_for_class(x509.NameConstraints)
        assert extension.critical
        assert x509.DNSName("example.test") in (extension.value.permitted_subtrees or [])
    with pytest.raises(Refused, match=r"bank\.test: outside"):
        make(folder, hosts=parse_hosts(["bank.test"]), force=True)
    assert holds(folder) == []


def test_an_encrypted_ca_key_needs_its_passphrase(folder: Path) -> None:
    make(folder, passphrase=PASSWORD)
    assert b"ENCRYPTED" in (folder / "ca-key.pem").read_bytes()
    assert b"ENCRYPTED" not in (folder / "key.pem").read_bytes()
    with pytest.raises(UsageError, match="is encrypted"):
        make(folder, clients=(parse_host("a"),))
    with pytest.raises(UsageError, match="does not open"):
        make(folder, clients=(parse_host("a"),), passphrase=Secret("wrong one"))
    make(folder, clients=(parse_host("a"),), passphrase=PASSWORD)
    assert holds(folder) == []


def test_a_new_ca_replaces_everything_it_signed(folder: Path) -> None:
    make(folder, intermediate=True, clients=(parse_host("old"),))
    with pytest.raises(Refused, match="a new CA would replace it"):
        make(folder, new_ca=True)
    old = (folder / "ca-key.pem").read_bytes()
    outcome = make(folder, new_ca=True, force=True)
    assert (folder / outcome.backups["ca-key.pem"]).read_bytes() == old
    assert "intermediate.pem" in outcome.written
    assert any("client-old.pem" in warning for warning in outcome.warnings)
    assert len(x509.load_pem_x509_certificates((folder / "fullchain.pem").read_bytes())) == 2
    assert not any(line.startswith("fullchain.pem") for line in holds(folder))


def test_what_cannot_sign_is_said_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    make(folder)
    other = tmp_path / "other"
    make(other)
    (folder / "ca-key.pem").write_bytes((other / "ca-key.pem").read_bytes())
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(Refused, match=r"ca-key\.pem is not the key of"):
        make(folder, clients=(parse_host("a"),))
    (folder / "ca-key.pem").unlink()
    with pytest.raises(Refused, match=r"its key ca-key\.pem is not"):
        make(folder, clients=(parse_host("a"),))
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())
    (folder / "ca-key.pem").write_bytes((folder / "key.pem").read_bytes())
    with pytest.raises(Refused, match="not the certificate of a CA"):
        make(folder, clients=(parse_host("a"),))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_forms_for_other_programs(folder: Path) -> None:
    make(folder, request=True, pkcs12=PASSWORD, kubernetes=KubernetesSecret("api-tls", "prod"))
    request = x509.load_pem_x509_csr((folder / "csr.pem").read_bytes())
    leaf = certificate(folder / "cert.pem")
    assert public_der(request.public_key()) == public_der(leaf.public_key())
    container = pkcs12.load_pkcs12((folder / "cert.p12").read_bytes(), PASSWORD.reveal().encode())
    assert container.cert is not None
    assert container.cert.certificate == leaf
    assert [one.certificate for one in container.additional_certs] == [certificate(folder / "ca.pem")]
    manifest = yaml.safe_load((folder / "k8s-secret.yaml").read_text())
    assert (manifest["kind"], manifest["type"], manifest["metadata"]) == (
        "Secret",
        "kubernetes.io/tls",
        {"name": "api-tls", "namespace": "prod"},
    )
    for name, file in {"tls.crt": "fullchain.pem", "tls.key": "key.pem", "ca.crt": "ca.pem"}.items():
        assert base64.b64decode(manifest["data"][name]) == (folder / file).read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_forms_of_a_pair_that_is_there_leave_it_alone(folder: Path) -> None:
    make(folder)
    before = (folder / "key.pem").read_bytes()
    outcome = make(folder, request=True, kubernetes=KubernetesSecret("x"), pkcs12=PASSWORD)
    assert set(outcome.written) == {"csr.pem", "k8s-secret.yaml", "cert.p12"}
    assert (folder / "key.pem").read_bytes() == before
    outcome = make(folder, force=True)  # and a new pair brings them up to date
    assert {"csr.pem", "k8s-secret.yaml"} <= set(outcome.written)
    assert any("cert.p12 still holds the old pair" in warning for warning in outcome.warnings)


@pytest.mark.parametrize(
    ("name", "namespace"), [("Upper", None), ("a b", None), ("x", "a.b"), ("-x", None), ("x\ny", None)]
)
def test_kubernetes_names_are_checked(name: str, namespace: str | None) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        KubernetesSecret(name, namespace)


def test_ed25519_comes_with_a_word_about_browsers(folder: Path) -> None:
    outcome = generate(folder, Order(key_type="ed25519"), now=NOW)
    assert any("Chromium" in warning for warning in outcome.warnings)


def test_ensure_pair_makes_once_and_then_leaves_alone(folder: Path) -> None:
    pair = ensure_pair(folder, hosts=["localhost"], key_type="ec-p256", now=NOW)
    before = pair.key.read_bytes()
    assert ensure_pair(folder, hosts=["other.test"], now=NOW + 900 * DAY) == pair
    assert pair.key.read_bytes() == before
    assert pair.fullchain.exists()
    assert pair.ca.exists()


def test_a_link_where_the_key_should_be_is_refused(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder.mkdir()
    (folder / "key.pem").symlink_to(victim)
    for force in (False, True):
        with pytest.raises(Refused):
            make(folder, force=force)
    assert victim.read_text() == "precious"
    assert [path.name for path in folder.iterdir()] == ["key.pem"]


# --- many, and others' requests


def test_many_leaves_from_one_ca(folder: Path) -> None:
    wanted = parse_bulk(["a.test, a", "", "# comment", "*.b.test 10.0.0.1  # and more"])
    outcome = bulk(folder, wanted, now=NOW)
    assert [files.certificate for files in outcome.leaves] == ["a.test.pem", "_wildcard.b.test.pem"]
    assert holds(folder) == []
    with pytest.raises(Refused, match="exist already"):
        bulk(folder, wanted, now=NOW)
    outcome = bulk(folder, wanted, now=NOW, force=True)
    assert len(outcome.backups) == 4
    assert holds(folder) == []


def test_a_list_with_mistakes_names_every_one_and_makes_nothing(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bulk(["good.test", "bad_name", "good.test", "10.0.0.0/8", "ca"])
    assert [f"line {number}" in caught.value.message for number in (1, 2, 3, 4, 5)] == [False, True, True, True, True]
    with pytest.raises(UsageError, match="no names"):
        parse_bulk(["# nothing"])
    assert not folder.exists()


def test_a_request_is_signed_for_its_names_and_nothing_else_it_asks(folder: Path, tmp_path: Path) -> None:
    make(folder)
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "their.key", "-out", "their.csr",
         "-subj", "/CN=evil", "-addext", "subjectAltName=DNS:their.test,IP:192.0.2.9", "-addext", "basicConstraints=critical,CA:TRUE"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    request = read_request((tmp_path / "their.csr").read_bytes(), "their.csr")
    signed = sign_request(folder, request, now=NOW)
    made = certificate(folder / signed.certificate)
    assert [host.value for host in names_of(made)] == ["their.test", "192.0.2.9"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "evil" not in made.subject.rfc4514_string()
    assert store.is_issued_by(made, certificate(folder / "ca.pem"))
    with pytest.raises(Refused, match="exists already"):
        sign_request(folder, request, now=NOW)


def test_a_forged_or_weak_request_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-out", "weak.csr", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:x.test"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(Refused, match="1024 bits"):
        read_request((tmp_path / "weak.csr").read_bytes(), "weak.csr")
    text = (tmp_path / "weak.csr").read_text().splitlines()
    damaged = bytearray(base64.b64decode("".join(text[1:-1])))
    damaged[-1] ^= 1
    with pytest.raises(Refused, match="not signed with the key"):
        read_request(bytes(damaged), "forged.csr")
    with pytest.raises(OutOfReach, match="no readable signing request"):
        read_request(b"nonsense", "x")


# --- the command


def test_the_command_from_nothing_to_verified(tmp_path: Path) -> None:
    made = maestro(tmp_path, "certs", "generate", "api.example.test", "--key-type", "ec-p256", "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert report["new_ca"] is True
    assert report["certificates"][0]["names"] == ["api.example.test"]
    assert "maestro certs trust" in made.stderr
    verified = maestro(tmp_path, "certs", "verify", "--host", "api.example.test")
    assert verified.returncode == 0, verified.stdout
    assert maestro(tmp_path, "certs", "verify", "--host", "other.test").returncode == 1
    again = maestro(tmp_path, "certs", "generate")
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert again.stdout == ""
    verified = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", "certs/ca.pem", "certs/cert.pem"], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert verified.returncode == 0, verified.stderr


def test_the_configuration_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "maestro.yaml").write_text(
        "certs: {directory: pki, hosts: [a.example.test], key_type: ec-p384, days: 30}\n"
    )
    assert maestro(tmp_path, "certs", "generate", "-q").returncode == 0
    made = certificate(tmp_path / "pki" / "cert.pem")
    assert [host.value for host in names_of(made)] == ["a.example.test"]
    assert made.not_valid_after_utc - made.not_valid_before_utc < 30 * DAY
    assert maestro(tmp_path, "certs", "verify").returncode == 0
    (tmp_path / "maestro.yaml").write_text("certs: {directory: pki, hosts: [b.example.test]}\n")
    assert maestro(tmp_path, "certs", "verify").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["my_host"], 2, "underscore"),
        (["--days", "826"], 2, "826 days"),
        (["--key-type", "rsa-1024"], 2, "rsa-1024"),
        (["--pkcs12"], 2, "--pkcs12-password-file"),
        (["--pkcs12-password-file", "nowhere"], 3, "nowhere"),
        (["--sign-csr", "nowhere"], 3, "nowhere"),
        (["--bulk", "nowhere"], 3, "nowhere"),
        (["--bulk", "x", "--sign-csr", "y"], 2, "different things"),
        (["--name-constraint", "10.0.0.1/8"], 2, "no network"),
    ],
)
def test_bad_input_costs_nothing(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    result = maestro(tmp_path, "certs", "generate", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_secrets_come_by_file_or_stdin_and_go_nowhere(tmp_path: Path) -> None:
    result = maestro(
        tmp_path, "certs", "generate", "--key-type", "ec-p256", "--pkcs12-password-file", "-", stdin="tr0ub4dor&3xtra\n"
    )
    assert result.returncode == 0, result.stderr
    assert "tr0ub4dor" not in result.stdout + result.stderr
    assert pkcs12.load_pkcs12((tmp_path / "certs" / "cert.p12").read_bytes(), b"tr0ub4dor&3xtra").key is not None
    result = maestro(tmp_path, "certs", "inspect", "certs/cert.p12", "--password-file", "-", stdin="tr0ub4dor&3xtra\n")
    assert "localhost" in result.stdout
    assert "BEGIN" not in result.stdout


def test_the_manifest_reaches_stdout_only_when_asked_for(tmp_path: Path) -> None:
    made = maestro(tmp_path, "certs", "generate", "--key-type", "ec-p256", "--k8s-secret", "--verbose")
    assert "PRIVATE KEY" not in made.stdout
    assert "tls.key" not in made.stdout
    result = maestro(tmp_path, "certs", "generate", "--k8s-secret", "--output", "-", "--k8s-name", "api-tls")
    manifest = yaml.safe_load(result.stdout)
    assert base64.b64decode(manifest["data"]["tls.key"]) == (tmp_path / "certs" / "key.pem").read_bytes()
    result = maestro(tmp_path, "certs", "generate", "--k8s-secret", "--output", "secret.yaml")
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE((tmp_path / "secret.yaml").stat().st_mode) == 0o600


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    result = maestro(tmp_path, "certs", "generate", "--dry-run")
    assert "certs/ca-key.pem" in result.stdout
    assert "would be made" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_bulk_and_sign_by_command(tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text("a.test\nb.test 10.0.0.2\n")
    result = maestro(tmp_path, "certs", "generate", "--bulk", "hosts.txt", "--key-type", "ec-p256", "--json")
    assert [leaf["certificate"] for leaf in json.loads(result.stdout)["leaves"]] == ["a.test.pem", "b.test.pem"]
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "r.csr", "-subj", "/CN=x"], cwd=tmp_path, check=True, capture_output=True)  # fmt: skip
    result = maestro(tmp_path, "certs", "generate", "--sign-csr", "r.csr")
    assert result.returncode == 2
    assert "no subject alternative names" in result.stderr
    result = maestro(tmp_path, "certs", "generate", "their.test", "--sign-csr", "r.csr", "--json")
    assert json.loads(result.stdout)["certificate"] == "certs/signed-their.test.pem"
    assert maestro(tmp_path, "certs", "verify", "certs/signed-their.test.pem", "--host", "their.test").returncode == 0
