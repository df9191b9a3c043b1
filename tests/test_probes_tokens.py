"""Tokens forged by hand: what is meant to be valid is valid for other people's code, and what is meant to be broken is broken."""

from __future__ import annotations

import base64
import json
import time
from importlib.resources import files

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.observe import tokens
from maestro_cli.observe.patience import Patience, RateLimited, retry_after
from maestro_cli.observe.session import fingerprint

CLAIMS = {"sub": "somebody", "exp": int(time.time()) + 600}
CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "512": ec.SECP521R1()}
SECRET = b"a secret that is long enough for all three hashes, as it has 64 bytes or more"


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("size", ["256", "384", "512"])
def test_pyjwt_accepts_what_is_signed_rightly(rsa_key: rsa.RSAPrivateKey, size: str) -> None:
    elliptic = ec.generate_private_key(CURVES[size])
    for algorithm, private, public in (
        (f"HS{size}", SECRET, SECRET),
        (f"RS{size}", rsa_key, rsa_key.public_key()),
        (f"PS{size}", rsa_key, rsa_key.public_key()),
        (f"ES{size}", elliptic, elliptic.public_key()),
    ):
        token = tokens.forge({"typ": "JWT", "alg": algorithm}, CLAIMS, private)
        assert jwt.decode(token, public, algorithms=[algorithm]) == CLAIMS


def test_eddsa() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    token = tokens.forge({"alg": "EdDSA"}, CLAIMS, key)
    assert jwt.decode(token, key.public_key(), algorithms=["EdDSA"]) == CLAIMS


@pytest.mark.parametrize("algorithm", ["none", "HS1", "XX256", "RS1", ""])
def test_other_algorithms_are_refused_in_words(algorithm: str) -> None:
    with pytest.raises(MaestroError, match="none that maestro can sign with"):
        tokens.forge({"alg": algorithm}, CLAIMS, b"key")


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.text(), st.integers(), st.none()), max_size=4))
def test_a_token_comes_apart_as_it_was_put_together(claims: dict[str, object]) -> None:
    token = tokens.parse(tokens.forge({"alg": "HS256"}, claims, b"k"))
    assert token is not None
    assert dict(token.claims) == claims
    assert token.algorithm == "HS256"


@given(st.text(max_size=60))
def test_what_is_no_token_is_none(text: str) -> None:
    token = tokens.parse(text)
    assert token is None or text.count(".") == 2


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "e30.e30.", "W10.W10.AA", "é.é.é", "a" * 100_000])
def test_odd_texts_are_no_tokens(text: str) -> None:
    assert tokens.parse(text) is None


def test_a_known_key_is_found_and_a_good_one_is_not() -> None:
    words = ["one", "two", "secret"]
    weak = tokens.parse(tokens.forge({"alg": "HS384"}, CLAIMS, b"secret"))
    good = tokens.parse(tokens.forge({"alg": "HS384"}, CLAIMS, SECRET))
    assert weak is not None
    assert good is not None
    assert tokens.crack(weak, words) == "secret"
    assert tokens.crack(good, words) is None


def test_the_shipped_list_holds_what_tutorials_write() -> None:
    words = files("maestro_cli.checks").joinpath("weak_jwt_secrets.txt").read_text("utf-8").splitlines()
    assert len(words) > 600
    assert len(words) == len(set(words))
    for word in ("secret", "your-256-bit-secret", "changeme", "keyboard cat", "shhhhh", "my-secret-key", "jwt_secret"):
        assert word in words


def test_a_public_key_is_spelled_in_every_way_a_confused_verifier_reads_it(rsa_key: rsa.RSAPrivateKey) -> None:
    form = serialization
    pem = rsa_key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    from_pem = tokens.spellings_of_public_key(pem)
    from_jwk = tokens.spellings_of_public_key(tokens.public_jwk(rsa_key, "x"))
    assert pem in from_pem
    assert pem in from_jwk
    assert pem.rstrip(b"\n") in from_jwk
    assert any(b"BEGIN RSA PUBLIC KEY" in spelling for spelling in from_jwk)
    published = {
        "kty": "RSA",
        **{name: value for name, value in tokens.public_jwk(rsa_key, "x").items() if name != "kty"},
    }
    assert json.dumps(published, separators=(",", ":")).encode() in tokens.spellings_of_public_key(published)
    with pytest.raises(ValueError, match="RSA nor an EC"):
        tokens.spellings_of_public_key({"kty": "oct", "k": "AA"})


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_of_an_algorithm_signs_and_is_published_so_that_others_verify(algorithm: str) -> None:
    key = tokens.new_key(tokens.key_type(algorithm) or "")
    token, published = tokens.forge({"alg": algorithm}, CLAIMS, key), tokens.public_jwk(key, "k")
    assert jwt.decode(token, jwt.PyJWK.from_dict(published, algorithm).key, algorithms=[algorithm]) == CLAIMS
    assert b"BEGIN PUBLIC KEY" in tokens.spellings_of_public_key(published)[0]


def test_an_ed25519_key_is_confused_as_its_32_bytes_too() -> None:
    published = tokens.public_jwk(tokens.new_key("Ed25519"), "k")
    assert tokens.decode64(published["x"]) in tokens.spellings_of_public_key(published)


def test_a_public_key_for_a_secret_is_said(rsa_key: rsa.RSAPrivateKey) -> None:
    form = serialization
    public = rsa_key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(NotConfigured, match="public key"):
        tokens.signing_key("RS256", public)
    with pytest.raises(MaestroError, match="not a PEM private key"):
        tokens.signing_key("RS256", "hunter2")
    private = rsa_key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    assert tokens.signing_key("RS256", private.replace("\n", "\\n")).key_size == 2048, "as .env files write it"


def test_a_fingerprint_tells_tokens_apart_and_nothing_else() -> None:
    one, other = fingerprint("eyJ.one"), fingerprint("eyJ.other")
    assert one != other
    assert one == fingerprint("eyJ.one")
    assert len(one) == len("sha256:") + 8
    assert base64.b64encode(b"eyJ.one").decode() not in one


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 60.0),
        ("", 60.0),
        ("0", 0.0),
        ("17", 17.0),
        ("1.5", 1.5),
        ("soon", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str | None, seconds: float) -> None:
    assert retry_after(value, default_s=60.0) == seconds


def test_patience_is_bounded_and_says_so() -> None:
    told: list[float] = []
    patience = Patience(budget_s=0.2, on_wait=told.append)
    patience.wait(0.1)
    with pytest.raises(RateLimited, match="--max-wait"):
        patience.wait(5)
    assert told == [0.1]
    assert 0.09 < patience.since(0) < 0.2
