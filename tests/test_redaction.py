"""Secrets are masked wherever and however they are spelled, and learning many of them stays cheap."""

from __future__ import annotations

import base64
import json
import pickle
import re
import string
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.redaction import MASK, Redactor

WORD = st.text(st.sampled_from("abA1/+%&\"'é \\"), min_size=6, max_size=12)


@given(WORD, st.text(st.sampled_from(string.ascii_lowercase + " "), max_size=8))
def test_no_spelling_of_a_secret_survives(secret: str, around: str) -> None:
    redact = Redactor([secret])
    for spelling in (
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    ):
        if len(spelling) >= 6:
            assert spelling not in redact(f"{around}{spelling}{around}")


@given(st.lists(WORD, max_size=6), st.lists(st.one_of(WORD, st.text(max_size=5)), max_size=8))
def test_what_is_no_secret_stays(secrets: list[str], pieces: list[str]) -> None:
    text = "".join(pieces)
    masked = Redactor(secrets)(text)
    for secret in secrets:
        assert secret not in masked
    left = re.escape(MASK).join(".*?" if piece == "" else re.escape(piece) for piece in masked.split(MASK))
    assert re.fullmatch(left.replace(re.escape(MASK), "(?s:.+?)"), text, re.DOTALL), "only whole secrets are replaced"


def test_overlapping_secrets_leave_nothing_of_either() -> None:
    redact = Redactor(["abcdefgh", "efghijkl"])
    assert redact("<abcdefghijkl>") == f"<{MASK}>"


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    redact = Redactor(["secret-one", "secret-one-and-two"])
    assert redact("x secret-one-and-two y secret-one z") == f"x {MASK} y {MASK} z"


def test_the_password_of_a_url_is_a_secret_of_its_own() -> None:
    redact = Redactor(["postgresql://app:p%40ssword@db/x"])
    assert "p@ssword" not in redact("password p@ssword")
    assert "p%40ssword" not in redact("password p%40ssword")


def test_it_still_knows_everything_after_a_pickle() -> None:
    redact = pickle.loads(pickle.dumps(Redactor(["hush-hush-hush"])))  # noqa: S301 - our own
    assert redact("hush-hush-hush") == MASK
