"""Keys that look right and are not: known ways in which RSA keys went wrong, and what keys share with each other.

The tests here are the ones that are exact and short. The optional package `badkeys` (extra `audit`) adds more, and its
blocklist of published private keys where its user has fetched it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import gcd, isqrt, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

SMALL_FACTOR_LIMIT = 65_537
FERMAT_ROUNDS = 100
"""As many as CVE-2022-26320 needed; a random 2048-bit modulus would take some 2^500."""

_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167)  # fmt: skip


def weaknesses(public_key: CertificatePublicKeyTypes) -> Iterator[tuple[str, str]]:
    """What is wrong with one public key: pairs of rule id and reason (rules of `maestro_cli.certs.rules`)."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    if not isinstance(public_key, rsa.RSAPublicKey):
        return
    modulus = public_key.public_numbers().n
    factor = small_factor(modulus)
    if factor is not None:
        yield "rsa-small-factor", f"its modulus is divisible by {factor}"
    elif has_close_primes(modulus):
        yield "rsa-close-primes", "its two primes are so close that Fermat's method finds them at once"
    if has_roca_fingerprint(modulus):
        yield "rsa-roca", "its modulus has the fingerprint of the Infineon library's weak keys (CVE-2017-15361)"


def small_factor(modulus: int) -> int | None:
    """A prime factor below 65537, if there is one."""
    common = gcd(modulus, _small_primes_product())
    if common == 1:
        return None
    return next(prime for prime in _small_primes() if common % prime == 0)


def has_close_primes(modulus: int, rounds: int = FERMAT_ROUNDS) -> bool:
    """Whether Fermat's factorisation ends within `rounds` steps."""
    middle = isqrt(modulus)
    if middle * middle < modulus:
        middle += 1
    for candidate in range(middle, middle + rounds):
        square = candidate * candidate - modulus
        if isqrt(square) ** 2 == square:
            return True
    return False


def has_roca_fingerprint(modulus: int) -> bool:
    """Whether the modulus is a power of 65537 modulo each of the 38 primes that Infineon's generator used.

    By chance this happens to one random modulus in 2^27.8. Source: Nemec et al., "The Return of Coppersmith's Attack", 2017.
    """
    return all(modulus % prime in powers for prime, powers in _roca_residues().items())


def shared_factors(moduli: Sequence[int]) -> set[int]:
    """Indexes of the moduli that share a prime with another, different one (batch gcd, Bernstein 2004)."""
    distinct = list(dict.fromkeys(moduli))
    if len(distinct) < 2:
        return set()
    tree = [distinct]
    while len(tree[-1]) > 1:
        row = tree[-1]
        tree.append([prod(row[index : index + 2]) for index in range(0, len(row), 2)])
    remainders = tree.pop()
    for row in reversed(tree):
        remainders = [remainders[index // 2] % value**2 for index, value in enumerate(row)]
    weak = {value for value, remainder in zip(distinct, remainders, strict=True) if gcd(remainder // value, value) != 1}
    return {index for index, value in enumerate(moduli) if value in weak}


def same_keys(keys: Mapping[str, bytes]) -> list[tuple[str, ...]]:
    """Groups of names whose keys are equal.

    Args:
        keys: Name (a path, an environment) → public key in DER, as `keys.public_der` gives it.
    """
    groups: dict[bytes, list[str]] = {}
    for name, der in keys.items():
        groups.setdefault(der, []).append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def known_bad(public_key: CertificatePublicKeyTypes) -> list[str] | None:
    """What the optional package `badkeys` says of a key: reasons, none if it has none, None if it is not installed."""
    try:
        from badkeys import checks
    except ImportError:
        return None
    from contextlib import redirect_stderr
    from io import StringIO

    from cryptography.hazmat.primitives import serialization

    pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    wanted = list(checks.defaultchecks)
    try:
        with redirect_stderr(StringIO()):
            found = checks.checkpubkey(pem, checks=wanted)
    except SystemExit:  # its blocklist was never fetched
        found = checks.checkpubkey(pem, checks=[name for name in wanted if name != "blocklist"])
    return [f"{name}: {checks.defaultchecks[name]['desc']}" for name in found.get("results", {})]


@cache
def _small_primes() -> tuple[int, ...]:
    sieve = bytearray([1]) * SMALL_FACTOR_LIMIT
    sieve[:2] = b"\0\0"
    for number in range(2, isqrt(SMALL_FACTOR_LIMIT) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, SMALL_FACTOR_LIMIT, number)))
    return tuple(number for number, prime in enumerate(sieve) if prime)


@cache
def _small_primes_product() -> int:
    return prod(_small_primes())


@cache
def _roca_residues() -> dict[int, frozenset[int]]:
    return {prime: frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1)) for prime in _ROCA_PRIMES}
