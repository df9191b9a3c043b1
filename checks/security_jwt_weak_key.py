"""A signing key that can be guessed."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.login import settings_of
from maestro_cli.observe.tokens import HASHES, Jwt, crack, forge

WORDS = Path(__file__).with_name("weak_jwt_secrets.txt")
COMMONEST = ("secret", "changeme", "password", "test", "your-256-bit-secret", "your-secret-key", "default", "dev")
"""Keys tried online: a token signed with a good key tells nothing of a second one that verifies beside it."""
REPEATED = range(32, 65)
"""Bytes that a short word is repeated up to, where a library refuses a short key."""
MAXIMUM_FILE = 64_000_000
"""Bytes of api.auth.weak_secrets_file that are tried: 64 MB of words take some seconds."""


@check(
    "security.jwt-weak-key",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + len(COMMONEST),
    faults=("jwt-weak-key", "jwt-repeated-key", "jwt-short-key", "jwt-weak-second-key"),
)
def jwt_weak_key(ctx: Context) -> Finding:
    """The signing key is not a known default.

    Why: one issued token is enough to try millions of keys a second, at home and unseen; who finds the key is everybody.
    Fails when: a token of this service is signed with a word of the shipped list (defaults of frameworks, tutorials and
    documentation), such a word or a single character repeated until it is long enough, one of
    api.auth.weak_secrets_file, or one made of the service's own name; when a token signed with the commonest of them is
    accepted beside those that it issues (as HS256, where it signs with a key pair); when the key set that the service
    publishes holds the private key; or when api.auth.secret is shorter than the hash (32 bytes for HS256). The key
    itself is never shown.
    Fix: `maestro secrets generate`, restart the service, and let everybody log in again.
    Source: RFC 7518 §3.2; OWASP ASVS 5.0 9.1.1, 11.2.3; CWE-521
    """
    token = real_token(ctx)
    if not token.algorithm.startswith("HS"):
        return _asymmetric(ctx, token)
    tried = 0

    def counted() -> Iterator[str]:
        nonlocal tried
        for candidate in _candidates(ctx):
            tried += 1
            yield candidate

    found = crack(token, counted())
    if found is not None:
        return _forged(ctx, token, found)
    evidence = Evidence("guessed offline", f"none of {tried} candidates", "none")
    beside = _second_key(ctx, token)
    if beside is not None:
        return beside
    secret = settings_of(ctx).secret
    if secret is None:
        return passed(f"None of {tried} known keys signs this service's tokens.", evidence)
    wanted = int(token.algorithm[2:]) if token.algorithm[2:] in HASHES else 256
    bits = len(secret.reveal().encode()) * 8
    length = Evidence("length of api.auth.secret", f"{bits} bits", f"at least {wanted} bits")
    if bits < wanted:
        return failed(f"The signing key has {bits} bits; {token.algorithm} needs {wanted}.", evidence, length)
    return passed(f"None of {tried} known keys signs this service's tokens.", evidence, length)


def _forged(ctx: Context, token: Jwt, key: str) -> Finding:
    verdict = attempt_all(ctx, [Trial("forged with the guessed key", forge(token.header, token.claims, key.encode()))])
    guessed = Evidence("guessed offline", "the key", "no candidate fits")
    if verdict.unclear:
        return errored("The signing key was guessed; no clear answer to a token forged with it.", guessed)
    forging = "a token forged with it is accepted" if verdict.accepted else "it signs the tokens issued now"
    return failed(
        f"The signing key is on a list of well-known keys; {forging}.",
        guessed,
        *verdict.evidence,
        command="maestro secrets generate",
    )


def _second_key(ctx: Context, token: Jwt) -> Finding | None:
    """A well-known key that verifies beside the one in use: an old one, or the default of a setting."""
    try:
        signatures_checked(ctx)
    except ControlFailed:
        return None  # every key fits then, and security.jwt-signature says so
    header = {**token.header, "alg": token.algorithm if token.algorithm.startswith("HS") else "HS256"}
    # By number: which one it is, is the service's secret.
    words = enumerate(COMMONEST, 1)
    trials = [Trial(f"well-known key {number}", forge(header, token.claims, word.encode())) for number, word in words]
    verdict = attempt_all(ctx, trials)
    if not verdict.accepted:
        return None
    return failed(
        "A token signed with a well-known key is accepted, although the service issues its own with another one.",
        *verdict.evidence,
    )


def _asymmetric(ctx: Context, token: Jwt) -> Finding:
    """No word list helps against a private key; its size does (RFC 7518 §3.3: RSA of 2048 bits or more)."""
    from maestro_cli.observe.public_keys import public_keys, size_of

    beside = _second_key(ctx, token)
    if beside is not None:
        return beside
    keys = public_keys(ctx)
    if not keys:
        ctx.require(None, "api.auth.public_key_file or api.auth.jwks_url")
    # RFC 7518 §6.2.2 and §6.3.2: the members that only a private key has.
    private = [place for place, key in keys if isinstance(key, Mapping) and any(part in key for part in "dpq")]
    if private:
        seen = Evidence(f"key of {private[0]}", "its private half, too", "the public half alone")
        return failed(f"The private key that signs tokens is published at {private[0]}.", seen)
    evidence = [
        Evidence(f"key of {place}", size_of(key), "RSA of 2048 bits or more, EC or Ed25519") for place, key in keys
    ]
    small = [item for item in evidence if item.observed.startswith("RSA") and int(item.observed.split()[1]) < 2048]
    if small:
        return failed(f"{token.algorithm} tokens are verified with {small[0].observed}.", *evidence)
    return passed(f"{token.algorithm} tokens are verified with {evidence[0].observed}.", *evidence)


def _candidates(ctx: Context) -> Iterator[str]:
    yield ""
    for line in WORDS.read_text("utf-8").splitlines():
        if line and not line.startswith("# "):
            yield line
    yield from _own_names(ctx)
    yield from _repeated()
    name = settings_of(ctx).weak_secrets_file
    if name is not None:
        with ctx.path(name).open(encoding="utf-8", errors="surrogateescape") as stream:
            size = 0
            for line in stream:
                size += len(line)
                if size > MAXIMUM_FILE:
                    return
                yield line.rstrip("\r\n")


def _repeated() -> Iterator[str]:
    """What is written where 32 characters are asked for: one of them again and again, or a short word."""
    for character in string.printable.strip():
        yield from (character * length for length in REPEATED)
    for word in (
        *COMMONEST,
        "abc",
        "abcd",
        "123",
        "1234",
        "12345678",
        "0123456789",
        "1234567890",
        "abcdef",
        "deadbeef",
        "xyz",
    ):
        yield from dict.fromkeys((word * (64 // len(word) + 1))[:length] for length in REPEATED)
        yield from (word * times for times in range(2, 17))


def _own_names(ctx: Context) -> Iterator[str]:
    """What people make of their service's name."""
    name = ctx.settings.service.name
    stems = dict.fromkeys((name, name.lower(), name.replace("-", "_"), name.replace("-", ""), name.partition("-")[0]))
    for stem in stems:
        for ending in ("", "123", "1234", "2024", "2025", "2026", "!", "jwt", "secret", "key", "secretkey", "password"):
            for joint in ("", "-", "_"):
                yield f"{stem}{joint}{ending}"
        for year in range(2018, 2031):
            yield from (f"{stem}-secret-{year}", f"{stem}_secret_{year}", f"{stem}-jwt-{year}", f"{stem}{year}")
        for middle in ("secret-key", "secret_key", "jwt-secret", "jwt_secret", "jwt-secret-key", "jwt_secret_key"):
            yield from (f"{stem}-{middle}", f"{stem}_{middle}")
