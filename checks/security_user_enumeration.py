"""Telling by the login who has an account."""

from __future__ import annotations

import re
from math import comb
from statistics import median

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.token_headers import cookies_of

MOST = 20
"""Most wrong passwords for the real account; api.auth.wrong_passwords says how many, 2 where it says nothing."""
CHANCE = 0.004
"""How likely it may be that pairs of equally fast refusals look as one-sided (two-sided sign test): nine alike, or more."""
FINE_S, FINE_SHARE = 0.002, 0.05
"""A one-sided difference counts from this size on, in seconds and in shares of the slower median."""
CONFIRMING = 3
ALIKE_SHARE = 0.15
"""Times that differ by less are the same."""
SHOWN = 120
"""Characters of a refusal's body that the report shows."""
SURE = 3
"""So many wrong passwords, of which each takes twice as long as an unknown user beside it, are no chance."""
CLEAR_S = 0.01
"""A smaller difference is not seen over a network."""
_IDS = re.compile(r"[A-Za-z0-9_+/=-]{32,}|[0-9a-fA-F-]{16,}")
_IDS_AND_NUMBERS = re.compile(rf"{_IDS.pattern}|\d+")
_PASSING = re.compile(
    r"date|connection|keep-alive|transfer-encoding|content-length|retry-after|x-?rate-?limit|ratelimit|set-cookie$|age$"
)
"""Names of headers that come and go by themselves; cookies are compared by their own names."""
_SUMS = re.compile(r"set-cookie|etag|digest|content-md5|signature|last-modified|expires|timing|runtime|time$|-id$")
"""Names of headers whose values are sums of the body, ids and times."""


@check(
    "security.user-enumeration",
    component="security",
    priority="medium",
    writes=True,
    sessionless=True,
    requests=LOGIN_REQUESTS + 2 + 2 * MOST + CONFIRMING * (LOGIN_REQUESTS + 2),
    deadline_s=30,
    faults=("enumeration-status", "enumeration-message", "enumeration-timing"),
)
def user_enumeration(ctx: Context) -> Finding:
    """A wrong password and an unknown user are refused alike, and equally fast.

    Why: a list of who has an account is half of an attack on passwords, and an offence to privacy by itself.
    Fails when: status, headers, body or time of the two refusals differ: an unknown user is answered clearly sooner (or later)
    than a wrong password. The first account gets two wrong passwords in a row and then, by the probes that log in anew,
    right ones: fewer than a lock-out counts. With two, only an unknown user's refusal that is twice as fast is told from chance,
    with three or more also one that takes twice as long (a delay after each failure of an account, say); where
    api.auth.wrong_passwords allows nine or more (up to 20), each beside an unknown user's, a sign test at 0.4 % tells
    differences from 2 ms and 5 % on.
    Fix: answer both with the same words, and check the password against some hash even where there is no user.
    Source: OWASP ASVS 5.0 6.3.8; CWE-204, CWE-208
    """
    session = sessions.for_account(ctx, 0)
    user = session.account.username
    stranger = refused_login.stranger(ctx)
    wrong = logins.wrong_word(ctx)
    known, unknown = [refused_login.wrong_password(ctx)], [refused_login.attempt(ctx, stranger, wrong)]
    for _ in range(session.auth.wrong_passwords - 1):
        known.append(refused_login.attempt(ctx, user, wrong))
        unknown.append(refused_login.attempt(ctx, stranger, wrong))
    _comparable(ctx, known, unknown)
    evidence = [
        Evidence("wrong password, known user", _seen(known), "refused"),
        Evidence("the same, unknown user", _seen(unknown), "the same answer, as fast"),
    ]
    usual = {name for name, _ in session.answer.all_headers}
    difference = _difference(known, unknown, user, stranger, usual)
    if difference == "answer":
        evidence += [
            Evidence("what a known user is told", _words(known[0], user), "the same words"),
            Evidence("what an unknown user is told", _words(unknown[0], stranger), "the same words"),
        ]
    if difference is not None:
        return failed(f"The login tells known from unknown users by the {difference}.", *evidence)
    if _tells_by_time(ctx, known, unknown, evidence):
        return failed("The login tells known from unknown users by the time it takes.", *evidence)
    return passed("A wrong password and an unknown user are refused alike.", *evidence)


def _comparable(ctx: Context, known: list[Answer], unknown: list[Answer]) -> None:
    """See that both kinds are refusals of the login itself.

    Raises:
        ControlFailed: Where they are not.
    """
    if any(refused_login.let_in(ctx, answer) is not None for answer in (known[0], unknown[0])):
        raise ControlFailed("a wrong password is let in, so no refusals can be compared")
    away = next((answer.status for answer in known + unknown if answer.status in (502, 503, 504)), None)
    if away is not None:
        raise ControlFailed(f"the login is answered {away} in between: it was not available, so nothing is compared")
    crashed = next((kind for kind in (known, unknown) if _sometimes_crashes(kind)), None)
    if crashed is not None:
        raise ControlFailed("the login is answered with an error of the server now and then, so nothing is compared")


def _tells_by_time(ctx: Context, known: list[Answer], unknown: list[Answer], evidence: list[Evidence]) -> bool:
    """Whether one kind takes clearly longer; what is only suspicious is asked again, with other names."""
    sure = len(known) >= SURE and (_sooner(unknown, known) or _sooner(known, unknown))
    if sure or _one_sided(known, unknown):
        return True
    wrong = logins.wrong_word(ctx)
    # Further tries are other strangers': a lock-out may count names that nobody has, and refuses them faster then.
    another = refused_login.stranger(ctx, "b")
    if _unequal(known, unknown) and not _suspicious(known, unknown):
        # Load hides differences, and nobody is locked out by names that nobody has.
        while len(unknown) < len(known) + CONFIRMING and not _settled(unknown):
            unknown.append(refused_login.attempt(ctx, another, wrong))
        evidence[1] = Evidence("the same, unknown user", _seen(unknown), "the same answer, as fast")
    if not _suspicious(known, unknown):
        return False
    # A busy machine may do that, too: right logins and unknown users are timed side by side.
    later, right = [], []
    for _ in range(CONFIRMING):
        right.append(sessions.fresh(ctx, 0).answer)
        later.append(refused_login.attempt(ctx, refused_login.stranger(ctx, "c"), wrong))
        same = abs(right[-1].elapsed_s - later[-1].elapsed_s) < ALIKE_SHARE * right[-1].elapsed_s
        if same and not _sooner(known, unknown):
            break  # side by side they take the same: it was the load
    evidence.append(Evidence("right password, for comparison", _seen(right), "as fast as an unknown user"))
    evidence.append(Evidence("unknown user, beside it", _seen(later), "as fast"))
    return _sooner(later, right) or (_sooner(known, unknown) and _sooner(known, later))


def _sometimes_crashes(answers: list[Answer]) -> bool:
    """Whether the same question is a 5xx once and none at another time; one that always is tells something."""
    return len({answer.status >= 500 for answer in answers}) > 1


def _difference(known: list[Answer], unknown: list[Answer], user: str, stranger: str, usual: set[str]) -> str | None:
    """Where the two kinds differ; `usual` are the headers that a good login has as well (which server it was, say)."""
    for one, other in zip(known, unknown, strict=True):
        if one.status != other.status:
            return "status"
    if _told_apart([_header_names(answer) for answer in known], [_header_names(answer) for answer in unknown]):
        return "headers"
    if _told_apart(
        [_header_words(answer, user, usual) for answer in known],
        [_header_words(answer, stranger, usual) for answer in unknown],
    ):
        return "headers"
    # Numbers count as long as they are the same each time: an error code does, a count of attempts does not.
    ours, theirs = (
        [_plain(answer, name, _IDS) for answer in kind] for kind, name in ((known, user), (unknown, stranger))
    )
    if _told_apart(ours, theirs):
        return "answer"
    ours = [_plain(answer, user, _IDS_AND_NUMBERS) for answer in known]
    theirs = [_plain(answer, stranger, _IDS_AND_NUMBERS) for answer in unknown]
    if len(set(ours)) == 1 and any(text != ours[0] for text in theirs):
        return "answer"  # where it differs from itself, nothing can be read from it
    if len(theirs) > 1 and set(theirs) == {ours[0]} != set(ours):
        return "answer"  # but where only the real account's changes, that is its lock-out
    return None


def _told_apart(known: list[str], unknown: list[str]) -> bool:
    """Whether each kind is alike every time, and the two are not: what differs from itself tells nothing."""
    return len(known) > 1 and len(set(known)) == len(set(unknown)) == 1 and known[0] != unknown[0]


def _header_words(answer: Answer, user: str, usual: set[str]) -> str:
    """What the headers say that only a refused login has, without ids and numbers: `WWW-Authenticate: … error="no_user"`."""
    said = sorted(
        f"{name}: {_IDS_AND_NUMBERS.sub('#', value.replace(user, '{user}'))}"
        for name, value in answer.all_headers
        if name not in usual and not _PASSING.match(name) and not _SUMS.search(name)
    )
    return "\n".join(said)


def _header_names(answer: Answer) -> str:
    """The names of the headers and of the cookies, but for those that depend on the connection or on a count."""
    names = {name for name, _ in answer.all_headers if not _PASSING.match(name)}
    return " ".join(sorted(names | {f"cookie {name}" for name in cookies_of(answer)}))


def _plain(answer: Answer, user: str, volatile: re.Pattern[str]) -> str:
    """A body without what changes anyway: the name that was sent, ids, times."""
    return volatile.sub("#", answer.body[:20_000].decode("utf-8", "replace").replace(user, "{user}"))


def _words(answer: Answer, user: str) -> str:
    """The beginning of a body, on one line, to look the difference up by."""
    words = " ".join(_plain(answer, user, _IDS).split())
    return f"{words[:SHOWN]}{'…' if len(words) > SHOWN else ''}" or "nothing"


def _one_sided(known: list[Answer], unknown: list[Answer]) -> bool:
    """Whether one kind is sooner in so many of the pairs, made one after the other, that chance is no explanation."""
    gaps = [one.elapsed_s - other.elapsed_s for one, other in zip(known, unknown, strict=True)]
    sooner = max(sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps))
    chance = 2 * sum(comb(len(gaps), count) for count in range(sooner, len(gaps) + 1)) / 2 ** len(gaps)
    slower = max(median(answer.elapsed_s for answer in answers) for answers in (known, unknown))
    return chance <= CHANCE and abs(median(gaps)) > max(FINE_S, FINE_SHARE * slower)


def _unequal(known: list[Answer], unknown: list[Answer]) -> bool:
    """Whether an unknown user may be answered sooner: worth a closer look, no more."""
    fast, slow = (min(answer.elapsed_s for answer in answers) for answers in (unknown, known))
    return slow > fast * 1.25 and slow - fast > CLEAR_S / 2


def _settled(answers: list[Answer]) -> bool:
    """Whether the fastest two took the same: that is how long it takes, and no load hides anything."""
    first, second = sorted(answer.elapsed_s for answer in answers)[:2]
    return second - first < ALIKE_SHARE * first


def _suspicious(known: list[Answer], unknown: list[Answer]) -> bool:
    """Whether the fastest of one kind takes half the time of the fastest of the other: load only ever adds to a time."""
    left, right = (min(answer.elapsed_s for answer in answers) for answers in (known, unknown))
    return min(left, right) * 2 < max(left, right) and abs(left - right) > CLEAR_S


def _sooner(fast: list[Answer], slow: list[Answer]) -> bool:
    """Whether the median of one is half of the other's fastest."""
    median = sorted(answer.elapsed_s for answer in fast)[len(fast) // 2]
    fastest = min(answer.elapsed_s for answer in slow)
    return median * 2 < fastest and fastest - median > CLEAR_S


def _seen(answers: list[Answer]) -> str:
    times = sorted(answer.elapsed_s for answer in answers)
    statuses = " ".join(dict.fromkeys(str(answer.status) for answer in answers))
    return f"{statuses}, median {times[len(times) // 2] * 1000:.0f} ms of {len(times)}"
