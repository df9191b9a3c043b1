"""Answers to malformed requests."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe.answers import trace_in
from maestro_cli.observe.control import protected_answers
from maestro_cli.observe.http import Answer
from maestro_cli.observe.login import login_of
from maestro_cli.observe.malformed import (
    INSIDE_REQUESTS,
    MALFORMED_REQUESTS,
    OVERFLOW,
    inside_answers,
    malformed_answers,
    unanswered,
)
from maestro_cli.observe.refused_login import turned_away
from maestro_cli.observe.session import LOGIN_REQUESTS, for_account


@check(
    "security.malformed-body",
    component="security",
    priority="medium",
    requests=LOGIN_REQUESTS + 2 * MALFORMED_REQUESTS + INSIDE_REQUESTS + 4,
    deadline_s=20,
    faults=("malformed-500", "debug-errors", "token-errors-told"),
)
def malformed_body(ctx: Context) -> Finding:
    """A malformed body is refused, and the refusal shows nothing of the inside.

    Why: an error that nobody expected is an error that nobody handles; its stack trace is a map for attackers.
    Fails when: broken JSON, wrong types or bytes that are no text, sent to api.auth.login, are answered 5xx, 2xx or
    not at all, or with a stack trace or an error of the database; or broken JSON sent to api.isolation.create or
    api.isolation.update, a list in place of a text or a number of api.isolation.create.body, a strange id (where ids are
    numbers, also one too large) to api.isolation.read or a broken token to api.auth.protected, with one of these, or an
    object is made of broken JSON. A plain 500 there is a warning.
    Fix: validate bodies before using them, and answer unexpected errors with a plain 500 that says nothing; switch debug
    mode off.
    Source: OWASP ASVS 5.0 2.2.1, 16.5.1; CWE-209
    """
    session = for_account(ctx, 0)  # the control: a well-formed body of the same path is taken
    evidence, crashed, telling, taken, busy = [], [], [], [], []
    for name, answer in malformed_answers(ctx) if session.auth.login is not None else ():
        trace = trace_in(answer.body)
        evidence.append(Evidence(name, f"{answer.status}{f', with {trace!r}' if trace else ''}", "4xx, no stack trace"))
        short = name.partition(" with ")[2]
        if trace:
            telling.append(short)
        elif answer.status in (502, 503, 504):
            busy.append(short)
        elif answer.status >= 500:
            crashed.append(short)
        elif answer.status < 300 and not turned_away(ctx, answer):
            taken.append(short)
    silent = unanswered(ctx)
    evidence += [Evidence(f"the login with {short}", "no answer", "4xx, no stack trace") for short in silent]
    crashed += [f"{short} (no answer)" for short in silent]
    behind = [*inside_answers(ctx), *_broken_token(ctx)]
    if not evidence and not behind:
        login_of(session.auth)
    for name, answer in behind:
        trace = trace_in(answer.body)
        evidence.append(Evidence(name, f"{answer.status}{f', with {trace!r}' if trace else ''}", "4xx, no stack trace"))
        if trace:
            telling.append(name)
    if telling:
        return failed(f"A stack trace or an error of the database is answered to {', '.join(telling)}.", *evidence)
    if crashed:
        return failed(f"The login fails with an internal error at {', '.join(crashed)}.", *evidence)
    if taken:
        return errored(f"The login answers 2xx to {', '.join(taken)}: nothing tells a refusal from a yes.", *evidence)
    if busy:
        return errored(f"The login was not available for {', '.join(busy)}.", *evidence)
    return _behind(ctx, behind, evidence)


def _behind(ctx: Context, behind: list[tuple[str, Answer]], evidence: list[Evidence]) -> Finding:
    """What is left to be said of the answers behind the login, none of which shows the inside."""
    made = [name for name, answer in behind if answer.status < 300 and name.endswith(" with broken JSON")]
    if made and not _refused(ctx, dict(behind)[made[0]].body):
        return failed(f"Broken JSON is taken for a body: {', '.join(made)}.", *evidence)
    # Few look for a number that no integer holds; a plain error at it gives nothing away.
    unexpected = [name for name, answer in behind if answer.status == 500 and not name.endswith(OVERFLOW)]
    if unexpected:
        return warned(f"An internal error is answered to {', '.join(unexpected)}.", *evidence)
    return passed("Malformed bodies are refused.", *evidence)


def _broken_token(ctx: Context) -> list[tuple[str, Answer]]:
    if for_account(ctx, 0).auth.protected is None:
        return []
    looked = protected_answers(ctx)
    return [("a token that is none", looked.garbage), ("a request without a token", looked.missing)]


def _refused(ctx: Context, body: bytes) -> bool:
    """An API that answers failed logins with 200 says so in the body."""
    auth = for_account(ctx, 0).auth
    failure = auth.login.failure if auth.login is not None else None
    return failure is not None and failure.encode() in body
