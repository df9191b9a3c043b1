"""Every rule has a certificate that breaks it, and a good one breaks none."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from certs_support import DAY, NOW, Planted, authority, key, name, usage
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from maestro_cli.certs import weak_keys
from maestro_cli.certs.issue import Issuer
from maestro_cli.certs.linter import _header, key_problems, lint
from maestro_cli.certs.rules import RULES

HOUR = dt.timedelta(hours=1)
CA = x509.BasicConstraints(ca=True, path_length=0)
CA_USAGE = usage(key_cert_sign=True, crl_sign=True)


def next_prime(number: int) -> int:
    number |= 1
    while not all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)):
        number += 2
    return number


def rsa_public(modulus: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def close_primes() -> int:
    prime = next_prime(3 << 1022 | 0xABCDEF)
    return prime * next_prime(prime + 2)


def roca() -> int:
    """A modulus whose residues are all powers of 65537, as those of Infineon's library were."""
    import math

    product = math.prod(weak_keys._ROCA_PRIMES)
    value = pow(65537, 12345, product)
    # keep the residues, raise the size, and stay clear of other small factors
    while weak_keys.small_factor(value) is not None or value.bit_length() < 2048:
        value += product << 1900 if value.bit_length() < 2000 else product
    return value


def leaf(**faults: object) -> x509.Certificate:
    return Planted(**faults).build()  # type: ignore[arg-type]  # any of its fields


def authority_with(**faults: object) -> x509.Certificate:
    arguments: dict[str, object] = {
        "basic": CA,
        "usage": CA_USAGE,
        "critical": {"extended": None, "names": None},
    } | faults
    return Planted(**arguments).build()  # type: ignore[arg-type]  # any of its fields


PLANTED: dict[str, Callable[[], x509.Certificate]] = {
    "rsa-size": lambda: leaf(public_key=rsa_public(next_prime(1 << 511) * next_prime(1 << 510))),
    "rsa-size-soon": lambda: leaf(public_key=key("rsa-2048").public_key()),
    "rsa-exponent": lambda: leaf(
        public_key=rsa_public(rsa.generate_private_key(65537, 2048).public_key().public_numbers().n, 3)
    ),
    "rsa-small-factor": lambda: leaf(public_key=rsa_public(next_prime(1 << 2040) * 257)),
    "rsa-close-primes": lambda: leaf(public_key=rsa_public(close_primes())),
    "rsa-roca": lambda: leaf(public_key=rsa_public(roca())),
    "key-kind": lambda: leaf(public_key=dsa.generate_private_key(2048).public_key()),
    "ec-curve": lambda: leaf(public_key=ec.generate_private_key(ec.SECP256K1()).public_key()),
    "ed25519": lambda: leaf(public_key=key("ed25519").public_key()),
    "serial-entropy": lambda: leaf(serial=1 << 40),
    "not-yet-valid": lambda: leaf(start=NOW + HOUR),
    "expired": lambda: leaf(start=NOW - 10 * DAY, end=NOW - DAY),
    "renewal-due": lambda: leaf(start=NOW - 70 * DAY, end=NOW + 20 * DAY),
    "life-length": lambda: leaf(end=NOW + 826 * DAY),
    "life-in-issuer": lambda: leaf(end=NOW + 4000 * DAY),
    "subject-key-identifier": lambda: leaf(critical={"own": None}),
    "authority-key-identifier": lambda: leaf(critical={"authority": None}),
    "authority-key-match": lambda: leaf(authority_identifier=b"x" * 20),
    "issuer-name": lambda: leaf(issuer_name=name("somebody else")),
    "ca-constraints": lambda: authority_with(critical={"extended": None, "names": None, "basic": False}),
    "ca-path-length": lambda: authority_with(basic=x509.BasicConstraints(ca=True, path_length=None)),
    "ca-key-usage": lambda: authority_with(usage=usage(key_cert_sign=True)),
    "ca-subject": lambda: authority_with(common_name=None),
    "name-constraints": lambda: leaf(extra=[(x509.NameConstraints([x509.DNSName("example.test")], None), True)]),
    "leaf-key-usage": lambda: leaf(critical={"usage": False}),
    "leaf-key-encipherment": lambda: leaf(usage=usage(digital_signature=True, key_encipherment=True)),
    "leaf-ca-usage": lambda: leaf(usage=usage(digital_signature=True, key_cert_sign=True)),
    "extended-key-usage": lambda: leaf(extended=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    "alternative-names": lambda: leaf(critical={"names": None}),
    "alternative-names-critical": lambda: leaf(critical={"names": True}),
    "common-name": lambda: leaf(common_name="other.example.test"),
    "host-label": lambda: leaf(names=[x509.DNSName("api.example.test"), x509.DNSName("my_service.example.test")]),
    "host-address": lambda: leaf(names=[x509.DNSName("api.example.test"), x509.DNSName("127.0.0.1")]),
    "host-wildcard": lambda: leaf(names=[x509.DNSName("api.example.test"), x509.DNSName("a.*.example.test")]),
}
ELSEWHERE = {
    "version", "malformed", "signature-hash", "serial-positive", "serial-length", "life-order", "time-encoding",
    "self-signed-leaf", "leaf-is-ca",  # below
    "known-bad-key", "shared-factor", "shared-key", "key-match", "key-mode",  # test_certs_verify.py
}  # fmt: skip


def rules(certificate: x509.Certificate, issuer: x509.Certificate | None = None) -> set[str]:
    return {problem.rule for problem in lint(certificate, issuer=issuer, now=NOW)}


def test_a_good_certificate_breaks_no_rule() -> None:
    assert rules(leaf(), authority().certificate) == set()
    assert rules(authority_with(), authority().certificate) == set()


@pytest.mark.parametrize("rule", PLANTED)
def test_the_planted_fault_and_nothing_unrelated_is_found(rule: str) -> None:
    found = lint(PLANTED[rule](), issuer=authority().certificate, now=NOW)
    assert rule in {problem.rule for problem in found}
    planted = next(problem for problem in found if problem.rule == rule)
    assert planted.severity == RULES[rule].severity
    assert planted.source == RULES[rule].source
    assert planted.message.endswith(".")
    companions = {
        "rsa-size": {"rsa-close-primes"},
        "rsa-exponent": {"rsa-size-soon"},
        "rsa-small-factor": {"rsa-size-soon"},
        "rsa-close-primes": {"rsa-size-soon"},
        "rsa-roca": {"rsa-size-soon"},
        "life-in-issuer": {"life-length"},
    }
    assert {problem.rule for problem in found} - {rule} <= companions.get(rule, set())


def test_every_rule_is_tried() -> None:
    assert set(PLANTED) | ELSEWHERE == set(RULES)
    assert not set(PLANTED) & ELSEWHERE


def openssl(folder: Path, *arguments: str) -> x509.Certificate:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_weak_signature_hashes(tmp_path: Path, digest: str) -> None:
    assert "signature-hash" in rules(openssl(tmp_path, f"-{digest}"))


def test_the_seeds_self_signed_certificate_falls_short_as_a_leaf(tmp_path: Path) -> None:
    certificate = openssl(tmp_path, "-addext", "subjectAltName=DNS:localhost")
    assert "leaf-is-ca" in {problem.rule for problem in lint(certificate, now=NOW, role="leaf")}
    certificate = openssl(tmp_path, "-addext", "subjectAltName=DNS:x", "-addext", "basicConstraints=critical,CA:FALSE")
    assert "self-signed-leaf" in rules(certificate)


def rewritten(der: bytes, old: bytes, new: bytes) -> bytes:
    """DER with one element (tag, length and content) replaced by another, and every length around it set right."""
    parts, position = [], 0
    while position < len(der):
        start, length = _header(der, position)
        tag, content = der[position], der[start : start + length]
        if der[position : start + length] == old:
            parts.append(new)
        else:
            if tag & 0x20 or (tag == 0x04 and content[:1] in {b"\x30", b"\x04"} and old in content):
                content = rewritten(content, old, new)
            size = len(content)
            octets = size.to_bytes((size.bit_length() + 7) // 8 or 1)
            parts.append(bytes([tag]) + (octets if size < 0x80 else bytes([0x80 | len(octets)]) + octets) + content)
        position = start + length
    return b"".join(parts)


def patched(old: bytes, new: bytes, **fields: object) -> x509.Certificate:
    """A certificate changed in its DER; its signature is not looked at by these rules."""
    fields = {"start": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "end": dt.datetime(2026, 6, 1, tzinfo=dt.UTC)} | fields
    der = leaf(**fields).public_bytes(Encoding.DER)
    changed = rewritten(der, old, new)
    assert changed != der
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library minds it too
        return x509.load_der_x509_certificate(changed)


def test_a_life_that_ends_before_it_begins() -> None:
    assert "life-order" in rules(patched(b"\x17\r260601000000Z", b"\x17\r251231235959Z"))


def test_dates_are_encoded_as_their_year_asks() -> None:
    assert "time-encoding" in rules(patched(b"\x17\r260601000000Z", b"\x18\x0f20260601000000Z"))
    assert "time-encoding" not in rules(leaf(end=dt.datetime(2051, 1, 1, tzinfo=dt.UTC)))


def test_serial_numbers_too_long_and_negative() -> None:
    octets = ((1 << 158) + 12345).to_bytes(20)
    assert "serial-length" in rules(patched(b"\x02\x14" + octets, b"\x02\x15\x00\xff" + octets[1:]))
    assert "serial-positive" in rules(patched(b"\x02\x14" + octets, b"\x02\x14\xbf" + octets[1:]))


def test_a_certificate_of_version_1() -> None:
    assert "version" in rules(patched(b"\xa0\x03\x02\x01\x02", b""))


def test_what_cannot_be_read_is_one_finding() -> None:
    address = x509.IPAddress(ipaddress.ip_address("192.0.2.77"))
    broken = patched(b"\x87\x04\xc0\x00\x02\x4d", b"\x87\x03\xc0\x00\x02", names=[address], common_name=None)
    assert [problem.rule for problem in lint(broken, now=NOW)] == ["malformed"]


def test_keys_by_themselves() -> None:
    assert [problem.rule for problem in key_problems(key().public_key())] == []
    assert [problem.rule for problem in key_problems(key("rsa-2048").public_key())] == ["rsa-size-soon"]


def test_keys_that_share_a_prime_are_found_and_others_are_not() -> None:
    primes = [next_prime(1 << 500 | number << 300) for number in range(7)]
    moduli = [primes[0] * primes[1], primes[2] * primes[3], primes[1] * primes[4], primes[5] * primes[6]]
    assert weak_keys.shared_factors(moduli) == {0, 2}
    assert weak_keys.shared_factors([*moduli, moduli[3]]) == {0, 2}  # the same key twice is another rule's matter
    assert weak_keys.shared_factors(moduli[1:2]) == set()


def test_an_issuer_given_is_compared() -> None:
    other = Issuer(authority("rsa-2048").certificate, key("rsa-2048", "ca"))
    found = rules(leaf(), other.certificate)
    assert {"issuer-name", "authority-key-match"} <= found


def test_the_catalogue_reads_well() -> None:
    for identifier, rule in RULES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier)
        assert rule.title.endswith(".")
        assert rule.source
