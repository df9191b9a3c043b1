"""Telling by the login who has an account."""

from __future__ import annotations

import re
from itertools import pairwise

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS

KNOWN = 3
"""Wrong passwords for the real account: fewer than any lock-out forgives (five is the usual one)."""
UNKNOWN = 8
CLEAR_S = 0.01
"""A smaller difference is not seen over a network."""


@check(
    "security.user-enumeration",
    component="security",
    priority="medium",
    writes=True,
    requests=LOGIN_REQUESTS + KNOWN + UNKNOWN,
    faults=("enumeration-status", "enumeration-message", "enumeration-timing"),
)
def user_enumeration(ctx: Context) -> Finding:
    """A wrong password and an unknown user are refused alike, and equally fast.

    Why: a list of who has an account is half of an attack on passwords, and an offence to privacy by itself.
    Fails when: status, body or time of the two refusals differ: an unknown user is answered clearly sooner (or later)
    than a wrong password. The first account gets three wrong passwords in a row and then, by the probes that log in
    anew, right ones: fewer than a lock-out counts.
    Fix: answer both with the same words, and check the password against some hash even where there is no user.
    Source: OWASP ASVS 5.0 6.3.8; CWE-204, CWE-208
    """
    session = sessions.for_account(ctx, 0)
    user = session.account.username
    stranger = _stranger(user, ctx.nonce)
    wrong = f"maestro-probe-{ctx.nonce}-Aa1!"
    known, unknown = [], []
    for _ in range(KNOWN):
        known.append(sessions.attempt(ctx, user, wrong))
        unknown.append(sessions.attempt(ctx, stranger, wrong))
    evidence = [
        Evidence("wrong password, known user", _seen(known), "refused"),
        Evidence("the same, unknown user", _seen(unknown), "the same answer, as fast"),
    ]
    difference = _difference(known, unknown, user, stranger)
    if difference is not None:
        return failed(f"The login tells known from unknown users by the {difference}.", *evidence)
    if _apart(known, unknown):
        # A busy machine may do that, too: the faster of the two is asked again, as often as it may be.
        unknown += [sessions.attempt(ctx, stranger, wrong) for _ in range(UNKNOWN - KNOWN)]
        evidence[1] = Evidence("the same, unknown user", _seen(unknown), "the same answer, as fast")
        if _apart(known, unknown):
            return failed("The login tells known from unknown users by the time it takes.", *evidence)
    return passed("A wrong password and an unknown user are refused alike.", *evidence)


def _stranger(user: str, nonce: str) -> str:
    """Shaped like the known one: an address of the same domain, or a name."""
    name, at, domain = user.rpartition("@")
    return f"maestro-probe-{nonce}@{domain}" if at and name else f"maestro-probe-{nonce}"


def _difference(known: list[Answer], unknown: list[Answer], user: str, stranger: str) -> str | None:
    for one, other in zip(known, unknown, strict=True):
        if one.status != other.status:
            return "status"
    bodies = [_plain(answer, user) for answer in known]
    if any(one != other for one, other in pairwise(bodies)):
        return None  # it differs from itself: nothing can be read from it
    if any(_plain(answer, stranger) != bodies[0] for answer in unknown):
        return "answer"
    return None


def _plain(answer: Answer, user: str) -> str:
    """A body without what changes anyway: the name that was sent, ids, times."""
    text = answer.body[:20_000].decode("utf-8", "replace").replace(user, "{user}")
    return re.sub(r"[0-9a-fA-F-]{16,}|\d{2,}", "#", text)


def _apart(known: list[Answer], unknown: list[Answer]) -> bool:
    """Whether one is at least twice as fast in every single case."""
    left, right = [answer.elapsed_s for answer in known], [answer.elapsed_s for answer in unknown]
    sooner = max(right) * 2 < min(left) and min(left) - max(right) > CLEAR_S
    later = max(left) * 2 < min(right) and min(right) - max(left) > CLEAR_S
    return sooner or later


def _seen(answers: list[Answer]) -> str:
    times = sorted(answer.elapsed_s for answer in answers)
    statuses = " ".join(dict.fromkeys(str(answer.status) for answer in answers))
    return f"{statuses}, median {times[len(times) // 2] * 1000:.0f} ms of {len(times)}"
