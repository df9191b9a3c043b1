"""What is in the certificates that maestro makes."""

from __future__ import annotations

import datetime as dt

import pytest
from certs_support import DAY, NOW, authority, key
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from maestro_cli.certs.hosts import parse_hosts
from maestro_cli.certs.issue import (
    Issuer,
    Purpose,
    intermediate_certificate,
    leaf_certificate,
    root_certificate,
    signing_request,
)
from maestro_cli.certs.keys import (
    KEY_TYPES,
    KeyType,
    describe_key,
    generate_keys,
    key_from_pem,
    key_to_pem,
    key_type_of,
)
from maestro_cli.certs.linter import lint
from maestro_cli.errors import OutOfReach, Refused, UsageError
from maestro_cli.redaction import Secret

HOSTS = parse_hosts(["api.example.test", "*.example.test", "127.0.0.1", "spiffe://a/b", "me@example.test"])


def leaf(kind: KeyType = "ec-p256", purpose: Purpose = "server", **options: object) -> x509.Certificate:
    arguments: dict[str, object] = {"now": NOW, "purpose": purpose, **options}
    return leaf_certificate(key(kind).public_key(), authority(), HOSTS, **arguments)  # type: ignore[arg-type]  # any of its options


@pytest.mark.parametrize("purpose", ["server", "client"])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_no_rule_is_broken_by_what_we_make(kind: KeyType, purpose: Purpose) -> None:
    root = authority(kind)
    middle_key = key(kind, "intermediate")
    middle = intermediate_certificate(middle_key.public_key(), root, now=NOW)
    issued = leaf_certificate(
        key(kind).public_key(), Issuer(middle, middle_key, (middle,)), HOSTS, now=NOW, purpose=purpose
    )
    expected = {"rsa-2048": {"rsa-size-soon"}, "ed25519": {"ed25519"}}.get(kind, set())
    assert [problem.rule for problem in lint(root.certificate, now=NOW) if problem.rule not in expected] == []
    assert [
        problem.rule for problem in lint(middle, issuer=root.certificate, now=NOW) if problem.rule not in expected
    ] == []
    assert {problem.rule for problem in lint(issued, issuer=middle, now=NOW)} == expected


def test_the_last_second_of_825_days_is_the_last_allowed() -> None:
    certificate = leaf(days=825)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life == 825 * DAY - dt.timedelta(seconds=1)
    assert certificate.not_valid_before_utc == NOW - dt.timedelta(hours=1)
    for days in (0, 826):
        with pytest.raises(UsageError, match=f"cannot last {days} days"):
            leaf(days=days)


def test_serials_are_random_positive_and_fit_into_twenty_octets() -> None:
    serials = {leaf().serial_number for _ in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 1 << 159 for serial in serials)
    assert max(serial.bit_length() for serial in serials) > 150


def test_the_purpose_is_one_only() -> None:
    usages = {
        purpose: leaf(purpose=purpose).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        for purpose in ("server", "client")
    }
    assert list(usages["server"].value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert list(usages["client"].value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not usages["server"].critical


def test_an_empty_subject_makes_the_names_critical() -> None:
    names = leaf(subject=x509.Name([])).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert not leaf().extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_addresses_alone_leave_the_subject_empty() -> None:
    certificate = leaf_certificate(key().public_key(), authority(), parse_hosts(["127.0.0.1"]), now=NOW)
    assert list(certificate.subject) == []


def test_a_leaf_ends_with_its_ca_at_the_latest() -> None:
    short = Issuer(root_certificate(key("ec-p256", "ca"), now=NOW, days=30), key("ec-p256", "ca"))
    certificate = leaf_certificate(key().public_key(), short, HOSTS, now=NOW)
    assert certificate.not_valid_after_utc == short.certificate.not_valid_after_utc
    with pytest.raises(Refused, match="ended on"):
        leaf_certificate(key().public_key(), short, HOSTS, now=NOW + 31 * DAY)
    with pytest.raises(Refused, match="only begins"):
        leaf_certificate(key().public_key(), short, HOSTS, now=NOW - 31 * DAY)


def test_two_cas_never_share_a_name() -> None:
    one, other = authority().certificate, authority("rsa-2048").certificate
    assert one.subject != other.subject


def test_a_ca_for_leaves_only_has_no_intermediate() -> None:
    middle_key = key("ec-p256", "intermediate")
    middle = intermediate_certificate(middle_key.public_key(), authority(), now=NOW)
    with pytest.raises(Refused, match="leaves only"):
        intermediate_certificate(key().public_key(), Issuer(middle, middle_key, (middle,)), now=NOW)


def test_a_request_carries_the_names_and_proves_the_key() -> None:
    request = signing_request(key(), HOSTS, leaf().subject)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert request.is_signature_valid
    assert names == leaf().extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_keys_are_of_the_type_asked_for_and_survive_the_file(kind: KeyType) -> None:
    made = key(kind)
    assert key_type_of(made.public_key()) == kind
    if isinstance(made, rsa.RSAPrivateKey):
        assert made.public_key().public_numbers().e == 65537
    for passphrase in (None, Secret("correct horse")):
        text = key_to_pem(made, passphrase)
        assert (b"ENCRYPTED" in text) is (passphrase is not None)
        assert key_from_pem(text, "key.pem", passphrase=passphrase).public_key() == made.public_key()


def test_several_keys_are_several() -> None:
    made = generate_keys(["rsa-2048", "rsa-2048", "ec-p256"])
    assert [describe_key(one.public_key()) for one in made] == ["RSA 2048", "RSA 2048", "EC P-256"]
    assert made[0].public_key() != made[1].public_key()


def test_unreadable_keys_say_so_and_nothing_of_their_content() -> None:
    text = key_to_pem(key(), Secret("correct horse"))
    with pytest.raises(UsageError, match=r"ca-key\.pem is encrypted"):
        key_from_pem(text, "ca-key.pem")
    with pytest.raises(UsageError, match="does not open"):
        key_from_pem(text, "ca-key.pem", passphrase=Secret("wrong"))
    assert key_from_pem(text, "ca-key.pem", ask=lambda: Secret("correct horse"))
    with pytest.raises(OutOfReach, match="no readable private key") as caught:
        key_from_pem(key_to_pem(key())[:90] + b"AAAA", "ca-key.pem")
    assert "MIGH" not in str(caught.value)
    from cryptography.hazmat.primitives.asymmetric import x25519

    other = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(OutOfReach, match="cannot sign"):
        key_from_pem(other, "ca-key.pem")
