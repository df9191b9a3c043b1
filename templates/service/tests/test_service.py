"""What can be tested without a database; `maestro readiness` tries the running whole."""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path

import pytest
from conftest import STAND_INS
from service import encryption, limits, logging_setup, models, passwords, settings, tokens


def test_settings_name_everything_that_is_missing() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load({"JWT_SECRET_KEY": "short", "CORS_ORIGINS": "*"})
    told = str(caught.value)
    assert all(
        name in told for name in ("DATABASE_URL", "REDIS_URL", "ENCRYPTION_KEY", "JWT_SECRET_KEY", "CORS_ORIGINS")
    )
    assert "short" not in told.replace("shorter", "")


def test_settings_show_no_secret() -> None:
    loaded = settings.load(STAND_INS)
    assert loaded.database_url.startswith("postgresql+psycopg2://")
    assert loaded.cors_origins == ("https://app.example.test", "https://admin.example.test")
    assert not any(STAND_INS[name] in repr(loaded) for name in settings.KEYS)


def test_an_env_file_is_read_behind_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# comment\nexport A='one # two'\nB=three # four\nC=\nnot a line\n")
    assert settings.read_env_file(file) == {"A": "one # two", "B": "three", "C": ""}


def test_tokens_are_for_one_purpose_only() -> None:
    loaded = settings.load(STAND_INS)
    pair = tokens.issue(loaded, uuid.uuid4(), uuid.uuid4())
    assert tokens.verify(loaded, pair.access, "access").family == pair.family
    wrong: list[tuple[str, tokens.Kind]] = [(pair.access, "refresh"), (pair.refresh, "access"), ("x", "access")]
    for token, kind in wrong:
        with pytest.raises(tokens.InvalidToken):
            tokens.verify(loaded, token, kind)


def test_passwords_are_bcrypt_at_cost_12() -> None:
    stored = passwords.hash_password("correct horse")
    assert stored[:7] == passwords.NOBODYS_HASH[:7] == "$2b$12$"
    assert passwords.verify_password("correct horse", stored)
    assert not passwords.verify_password("x" * 73, stored)
    with pytest.raises(ValueError, match="72"):
        passwords.hash_password("x" * 73)


def test_encrypted_columns_are_unreadable_and_unchangeable() -> None:
    from cryptography.exceptions import InvalidTag

    stored = encryption.encrypt("s3://bucket/key")
    assert "bucket" not in stored
    assert encryption.decrypt(stored) == "s3://bucket/key"
    with pytest.raises(InvalidTag):
        encryption.decrypt(stored[:-6] + "AAAAA=")


def test_forwarded_addresses_count_only_from_trusted_proxies() -> None:
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9, 10.0.0.2")]}
    nobody = settings.load(STAND_INS)
    proxies = settings.load({**STAND_INS, "TRUSTED_PROXIES": "10.0.0.0/8"})
    assert limits.client_address(scope, nobody) == "10.0.0.1"
    assert limits.client_address(scope, proxies) == "203.0.113.9"


def test_logs_hold_no_secret() -> None:
    record = logging.LogRecord(
        "x", logging.INFO, "", 0, "Bearer abc.def password=hunter2 postgresql://u:p@h/d", None, None
    )
    line = json.loads(logging_setup.JsonLines().format(record))["message"]
    assert not any(word in line for word in ("abc.def", "hunter2", "u:p"))


def test_new_ids_sort_by_time() -> None:
    ids = [models.uuid7() for _ in range(3)]
    assert all(made.version == 7 and made.variant == uuid.RFC_4122 for made in ids)
    assert [made.int >> 80 for made in ids] == sorted(made.int >> 80 for made in ids)
