"""The rules a certificate is judged by: id, how bad a breach is, and where the rule comes from. `maestro_cli.certs.linter` applies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["fail", "warn"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        severity: `fail`: a verifier refuses it or it is unsafe. `warn`: it holds for now.
        title: What holds when it is kept.
        source: Where it is written.
    """

    severity: Severity
    title: str
    source: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A breach of a rule: its id, how bad it is, what was seen, and where the rule comes from."""

    rule: str
    severity: Severity
    message: str
    source: str


def _fail(title: str, source: str) -> Rule:
    return Rule("fail", title, source)


def _warn(title: str, source: str) -> Rule:
    return Rule("warn", title, source)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "malformed": _fail("The certificate can be read.", "RFC 5280 §4.1"),
        "version": _fail("It is of version 3.", "RFC 5280 §4.1.2.1"),
        # the key
        "rsa-size": _fail("An RSA key has at least 2048 bits.", "NIST SP 800-131A"),
        "rsa-size-soon": _warn("An RSA key has at least 3072 bits.", "NIST SP 800-57 part 1: 128-bit security"),
        "rsa-exponent": _fail("An RSA key's exponent is 65537.", "CA/B BR 6.1.6"),
        "rsa-small-factor": _fail("An RSA modulus has no small factor.", "CA/B BR 6.1.6"),
        "rsa-close-primes": _fail("The primes of an RSA key are far apart.", "CVE-2022-26320; CA/B BR 6.1.1.3"),
        "rsa-roca": _fail("An RSA key is not of Infineon's weak kind.", "CVE-2017-15361; CA/B BR 6.1.1.3"),
        "known-bad-key": _fail("The key is not known to be weak or published.", "badkeys.info; CA/B BR 6.1.1.3"),
        "shared-factor": _fail("No two keys share a prime.", "Heninger et al., Mining your Ps and Qs, 2012"),
        "shared-key": _fail("A key serves one certificate in one environment.", "NIST SP 800-57 part 1 §5.2"),
        "key-kind": _fail("The key is RSA, ECDSA or Ed25519.", "CA/B BR 6.1.5"),
        "ec-curve": _fail("An elliptic-curve key is on P-256, P-384 or P-521.", "CA/B BR 6.1.5"),
        "ed25519": _warn("Browsers accept the key.", "Chromium and Firefox know no Ed25519 certificates"),
        "key-match": _fail("The private key belongs to the certificate.", "RFC 8446 §4.4.3"),
        "key-mode": _fail("The private key's file is its owner's alone (mode & 077 = 0).", "OWASP Key Management"),
        # the signature and its serial number
        "signature-hash": _fail("The signature's hash is SHA-256 or better.", "RFC 9155; CA/B BR 7.1.3.2"),
        "serial-positive": _fail("The serial number is positive.", "RFC 5280 §4.1.2.2"),
        "serial-length": _fail("The serial number has at most 20 octets.", "RFC 5280 §4.1.2.2"),
        "serial-entropy": _fail("The serial number can hold 64 random bits.", "CA/B BR 7.1"),
        # its life
        "not-yet-valid": _fail("Its life has begun.", "RFC 5280 §6.1.3"),
        "expired": _fail("Its life is not over.", "RFC 5280 §6.1.3"),
        "renewal-due": _warn("Less than two thirds of its life are over.", "Let's Encrypt integration guide"),
        "life-length": _fail(
            "A leaf lasts at most 825 days, the last second included.", "Apple HT210176; CA/B BR 6.3.2"
        ),
        "life-order": _fail("Its life begins before it ends.", "RFC 5280 §4.1.2.5"),
        "life-in-issuer": _fail("It ends no later than its issuer.", "RFC 5280 §6.1; CA/B BR 6.3.2"),
        "time-encoding": _fail("Times before 2050 are UTCTime, later ones GeneralizedTime.", "RFC 5280 §4.1.2.5"),
        # identifiers
        "subject-key-identifier": _fail("It has a subject key identifier, not critical.", "RFC 5280 §4.2.1.2"),
        "authority-key-identifier": _fail("It names its issuer's key, not critical.", "RFC 5280 §4.2.1.1"),
        "authority-key-match": _fail("Its authority key identifier is its issuer's.", "RFC 5280 §4.2.1.1"),
        "issuer-name": _fail("Its issuer's name is the subject of its issuer.", "RFC 5280 §6.1.3"),
        "self-signed-leaf": _fail("A leaf is signed by a CA, not by itself.", "GnuTLS, NSS and Chromium refuse it"),
        # a CA
        "ca-constraints": _fail("A CA has critical basic constraints.", "RFC 5280 §4.2.1.9"),
        "ca-path-length": _fail("A CA has a path length.", "RFC 5280 §4.2.1.9"),
        "ca-key-usage": _fail("A CA has a critical key usage: certificates and CRLs.", "RFC 5280 §4.2.1.3"),
        "ca-subject": _fail("A CA has a subject.", "RFC 5280 §4.1.2.6"),
        "name-constraints": _fail("Name constraints are critical and only in a CA.", "RFC 5280 §4.2.1.10"),
        # a leaf
        "leaf-is-ca": _fail(
            "A server or client does not use a CA's certificate.", "GnuTLS, NSS and Chromium refuse it"
        ),
        "leaf-key-usage": _fail("A leaf has a critical key usage: digital signature.", "RFC 5280 §4.2.1.3"),
        "leaf-key-encipherment": _fail("Key encipherment is for RSA alone.", "RFC 8813 §3"),
        "leaf-ca-usage": _fail("A leaf may not sign certificates.", "RFC 5280 §4.2.1.3"),
        "extended-key-usage": _fail(
            "A leaf is for servers or for clients, not critical.", "RFC 5280 §4.2.1.12; Chrome root policy"
        ),
        "alternative-names": _fail("A leaf has subject alternative names.", "RFC 9525 §6.1; CA/B BR 7.1.2.7.12"),
        "alternative-names-critical": _fail(
            "They are critical if, and only if, the subject is empty.", "RFC 5280 §4.2.1.6"
        ),
        "common-name": _fail("A common name is repeated among the names.", "CA/B BR 7.1.4.3"),
        "host-label": _fail("DNS names have letters, digits and hyphens.", "RFC 5280 §4.2.1.6; CA/B BR 7.1.4.2"),
        "host-address": _fail("Addresses stand as addresses, not as DNS names.", "RFC 5280 §4.2.1.6"),
        "host-wildcard": _fail("A wildcard is a whole first label below a domain.", "RFC 9525 §6.3; CA/B BR 3.2.2.6"),
    }
)


def problem(rule: str, message: str) -> Problem:
    """A breach of a rule of the table."""
    found = RULES[rule]
    return Problem(rule, found.severity, message, found.source)
