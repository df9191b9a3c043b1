"""Weak secrets are found, all of them; random ones are left in peace."""

from __future__ import annotations

import base64
import math
import secrets
import string
import uuid
from collections.abc import Callable

import pytest
from weak_secrets import WEAK

from maestro_cli.secrets.description import describe, frequency_bits
from maestro_cli.secrets.encodings import decodings
from maestro_cli.secrets.names import is_secret_name
from maestro_cli.secrets.strength import RULES, judge, size_bits
from maestro_cli.secrets.values import new_value
from maestro_cli.secrets.vocabulary import letter_costs, published, seeded, vocabulary

ALPHANUMERIC = string.ascii_letters + string.digits
WORDS = [word for word in vocabulary().ranks if word.isalpha() and 4 <= len(word) <= 8][-19000::3]


def drawn(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def words(count: int, separator: str) -> str:
    return separator.join(secrets.choice(WORDS) for _ in range(count))


RANDOM: dict[str, tuple[int, Callable[[], str]]] = {
    "hex": (256, lambda: secrets.token_hex(32)),
    "HEX": (192, lambda: secrets.token_hex(24).upper()),
    "hex of the floor": (128, lambda: secrets.token_hex(16)),
    "0x": (256, lambda: "0x" + secrets.token_hex(32)),
    "hex with colons": (256, lambda: secrets.token_bytes(32).hex(":")),
    "urlsafe": (256, lambda: secrets.token_urlsafe(32)),
    "urlsafe of the floor": (128, lambda: secrets.token_urlsafe(16)),
    "long": (256, lambda: secrets.token_urlsafe(64)),
    "base64": (192, lambda: base64.b64encode(secrets.token_bytes(24)).decode()),
    "Laravel": (256, lambda: "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()),
    "base64 of hex": (256, lambda: base64.b64encode(secrets.token_hex(32).encode()).decode()),
    "base32": (256, lambda: base64.b32encode(secrets.token_bytes(32)).decode()),
    "base85": (256, lambda: base64.b85encode(secrets.token_bytes(32)).decode()),
    "letters and digits": (192, lambda: drawn(ALPHANUMERIC, 32)),
    "lower case": (256, lambda: drawn(string.ascii_lowercase, 55)),
    "letters": (256, lambda: drawn(string.ascii_letters, 45)),
    "digits": (256, lambda: drawn(string.digits, 78)),
    "everything printable": (256, lambda: drawn(ALPHANUMERIC + string.punctuation, 40)),
    "Django": (256, lambda: drawn("abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)", 50)),
    "groups": (128, lambda: "-".join(drawn(string.ascii_uppercase + string.digits, 5) for _ in range(6))),
    "two UUIDs": (192, lambda: f"{uuid.uuid4()}{uuid.uuid4()}"),
    "with a prefix": (256, lambda: "sk_live_" + secrets.token_urlsafe(32)),
    "twenty words": (256, lambda: words(20, "-")),
    "ten words": (128, lambda: words(10, " ")),
    "ours": (256, lambda: new_value("JWT_SECRET_KEY", 256)),
    "our password": (192, lambda: new_value("POSTGRES_PASSWORD", 192)),
    "our encryption key": (256, lambda: new_value("ENCRYPTION_KEY", 256)),
}


def test_every_planted_weak_secret_is_found() -> None:
    assert len(WEAK) >= 200
    missed = [value for bits, value in WEAK if not judge("JWT_SECRET_KEY", value, bits)]
    assert missed == []


def test_weakness_is_found_by_more_than_length() -> None:
    long = [(bits, value) for bits, value in WEAK if size_bits(value.strip()) >= bits]
    assert len(long) >= 100
    only_short = [value for bits, value in long if {p.rule for p in judge("X", value, bits)} <= {"too-short"}]
    assert only_short == []


@pytest.mark.parametrize("form", RANDOM)
def test_random_values_pass(form: str) -> None:
    bits, make = RANDOM[form]
    alarms = [value for value in (make() for _ in range(100)) if judge("JWT_SECRET_KEY", value, bits)]
    assert len(alarms) <= 1, alarms  # the benchmark counts in ten thousands; here one in 2,700 would be a mishap


def test_a_random_value_costs_its_own_bits_to_describe() -> None:
    """The bound that keeps false alarms rare: no description is much shorter than the value's own entropy."""
    slack = [describe(value).bits - size_bits(value) for value in (secrets.token_hex(32) for _ in range(200))]
    assert min(slack) > -12
    assert sum(slack) / len(slack) > 0


def test_the_price_list_is_a_prefix_code() -> None:
    costs = letter_costs()
    assert len(costs) == 26**3
    for start in range(0, len(costs), 26):
        assert sum(2 ** (-cost / 20) for cost in costs[start : start + 26]) < 1.02


def test_few_different_characters_hold_little() -> None:
    assert 80 < frequency_bits("ab" * 40, 64) < 110
    assert math.isclose(frequency_bits("a" * 64, 64), frequency_bits("b" * 64, 64))


@pytest.mark.parametrize(
    ("name", "value", "words", "rule"),
    [
        ("JWT_SECRET_KEY", "", (), "empty"),
        ("JWT_SECRET_KEY", "abc", (), "too-short"),
        ("JWT_SECRET_KEY", "<your-secret-key-of-at-least-32-characters>", (), "placeholder"),
        ("SECRET_KEY", "${SECRET_KEY}", (), "placeholder"),
        ("API_SECRET_KEY", "api-secret-key", (), "same-as-name"),
        ("JWT_SECRET_KEY", "https://api.example.test/v1/tokens", (), "placeholder"),
        ("JWT_SECRET_KEY", "postgresql://maestro@db.internal/maestro", (), "address"),
        ("JWT_SECRET_KEY", "c232ab00-9414-11ec-b3c8-9f6bdeced846" * 2, (), "time-based"),
        ("JWT_SECRET_KEY", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", (), "digest"),
        ("JWT_SECRET_KEY", "bXkgdmVyeSBzZWNyZXQga2V5IGZvciBzaWduaW5nIQ==", (), "encoded-text"),
        ("JWT_SECRET_KEY", "zephyrion-zephyrion-zephyrion-2024-zephyrion", ("zephyrion",), "guessable"),
        ("JWT_SECRET_KEY", "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", (), "published"),
        ("TLS_KEY", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", (), "public-key"),
    ],
)
def test_each_rule(name: str, value: str, words: tuple[str, ...], rule: str) -> None:
    problems = judge(name, value, 256, words=words)
    assert rule in [problem.rule for problem in problems]
    assert {problem.rule for problem in problems} <= RULES.keys()


def test_no_message_holds_a_value_or_a_part_of_one() -> None:
    for bits, value in WEAK:
        if len(value) < 8:
            continue
        for problem in judge("X", value, bits):
            parts = {value[start : start + 8] for start in range(len(value) - 7)}
            own = "placeholder public template documentation UUID network example default secrets random sentence"
            assert not [part for part in parts if part in problem.message and part not in own and not part.isalpha()]


def test_a_private_key_in_pem_is_left_to_the_certificate_rules() -> None:
    assert judge("TLS_KEY", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----", 256) == []


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        ("0" * 64, 256 / 4 * math.log2(10)),
        ("f" * 64, 256),
        ("ab-cd-ef-ab" * 8, 256),
        ("Zz9_" * 10 + "abc", 258),
        ("Z" * 25, 25 * math.log2(36)),
    ],
)
def test_the_most_a_value_can_hold(value: str, bits: float) -> None:
    assert size_bits(value) == pytest.approx(bits)


def test_decodings() -> None:
    assert dict(decodings("73656372657473"))["hexadecimal"] == b"secrets"
    assert dict(decodings("73:65:63:72:65:74"))["hexadecimal"] == b"secret"
    assert dict(decodings("c2VjcmV0LWtleQ=="))["base64"] == b"secret-key"
    assert dict(decodings("ONSWG4TFOQWWWZLZ")) == {
        "base32": b"secret-key",
        "base64": base64.b64decode("ONSWG4TFOQWWWZLZ"),
    }
    assert dict(decodings(base64.a85encode(b"my secret words").decode()))["ascii85"] == b"my secret words"
    assert dict(decodings("[115, 101, 99, 114, 101, 116, 115, 33]")) == {"decimal": b"secrets!"}
    assert dict(decodings("not encoded at all")) == {}


@pytest.mark.parametrize(
    "name",
    [
        "JWT_SECRET_KEY",
        "SECRET_KEY_BASE",
        "POSTGRES_PASSWORD",
        "API_KEY",
        "apiKey",
        "GITHUB_TOKEN",
        "DB_PASS",
        "JWT_SECRET_KEY_PREVIOUS",
        "STRIPE_KEY_2",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "JWT_ALGORITHM",
        "ACCESS_TOKEN_EXPIRE_MINUTES",
        "PASSWORD_MIN_LENGTH",
        "PUBLIC_KEY",
        "AWS_ACCESS_KEY_ID",
        "SECRET_KEY_FILE",
        "MONKEY",
        "KEYCLOAK_URL",
        "API_KEY_HEADER",
        "COMPASS",
        "DATABASE_URL",
        "TOKEN_URL",
    ],
)
def test_names_of_settings(name: str) -> None:
    assert not is_secret_name(name)


def test_the_data_files_are_what_they_say() -> None:
    assert len(published()) >= 250
    assert all(len(digest) == 16 and origin for digest, origin in published().items())
    assert len(seeded()) >= 2000
    assert len(vocabulary().ranks) >= 40_000
