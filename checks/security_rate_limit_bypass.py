"""Escaping the rate limit by saying to be somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import login as logins
from maestro_cli.observe.burst import BEYOND, MAXIMUM_BURST, Asking, Burst, burst, send_burst
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS

HEADERS = (
    ("X-Forwarded-For", "203.0.113.{n}"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Real-IP", "203.0.113.{n}"),
    ("Forwarded", "for=203.0.113.{n}"),
    ("X-Client-IP", "203.0.113.{n}"),
    ("True-Client-IP", "203.0.113.{n}"),
    ("CF-Connecting-IP", "203.0.113.{n}"),
    ("X-Cluster-Client-IP", "203.0.113.{n}"),
    ("X-Originating-IP", "203.0.113.{n}"),
    ("X-Remote-IP", "203.0.113.{n}"),
    ("X_Forwarded_For", "203.0.113.{n}"),
    ("Fastly-Client-IP", "203.0.113.{n}"),
    ("X-Original-Forwarded-For", "203.0.113.{n}"),
    ("X-Azure-ClientIP", "203.0.113.{n}"),
    ("Fly-Client-IP", "203.0.113.{n}"),
    ("X-Host", "maestro-probe-{n}.invalid"),
    ("User-Agent", "maestro readiness probe {n}"),
    ("Authorization", "Bearer maestro-probe-{n}"),
    ("X-API-Key", "maestro-probe-{n}"),
    ("X-Tenant-ID", "maestro-probe-{n}"),
)
"""Addresses of TEST-NET-3 (RFC 5737), which nobody has; and what else a limit may count by that a client writes itself."""


@check(
    "security.rate-limit-bypass",
    component="security",
    priority="high",
    bursts=True,
    requests=4 * (MAXIMUM_BURST + BEYOND) + 3 * (len(HEADERS) + 2) + 5 + LOGIN_REQUESTS + 3,
    deadline_s=30,
    faults=(
        "rate-limit-forwarded-for",
        "rate-limit-real-ip",
        "rate-limit-forwarded",
        "rate-limit-by-tenant-header",
        "rate-limit-by-cookie",
        "rate-limit-of-each-path",
        "rate-limit-of-each-spelling",
    ),
)
def rate_limit_bypass(ctx: Context) -> Finding:
    """A client that is over its limit stays so, whatever it writes into its headers.

    Why: who may choose the address that is counted has no limit at all, for passwords least of all.
    Fails when: after a 429 a request with a new X-Forwarded-For, X-Real-IP, Forwarded or the like, with a cookie
    that the client made up, or with another query, or for the path with a slash behind it, is answered again; or, where api.rate_limit.scope says that all
    requests of a client count, a login (of nobody's) is.
    Fix: count by the address of the connection; believe such a header only from the proxies that you run, and read it
    from its right end.
    Source: OWASP ASVS 5.0 4.1.3; OWASP API4:2023; RFC 7239 §8.1
    """
    found = burst(ctx)
    if found.limited_at is None:
        raise ControlFailed(
            f"no 429 in {len(found.answers)} requests to {found.asking.path}, so there is no limit to escape "
            "(see security.rate-limit)"
        )
    evidence = [Evidence(f"control: {found.asking}", f"429 at request {found.limited_at}", "429")]
    plain = _ask(ctx, found)
    if plain.status != 429:  # another check has looked at it meanwhile, or the window was at its end
        found = send_burst(ctx, found.asking, found.limit, found.source)
        plain = _ask(ctx, found)
    if plain.status != 429:
        raise ControlFailed(
            f"after the 429 the next plain request is answered {plain.status}: the window is over already"
        )
    escapes = []
    number = 10
    for name, value in (*HEADERS, *_cookie(ctx, found)):
        if found.asking.needs(ctx, name):
            continue
        number += 1
        answer = _ask(ctx, found, {name: value.format(n=number)})
        escaped = _served(found, answer) and _again(ctx, found, {name: value.format(n=number + 100)})
        evidence.append(Evidence(f"{found.asking} with {name}: {value.format(n=number)}", str(answer.status), "429"))
        if escaped and name not in escapes:
            escapes.append(name)
    answer = _ask(ctx, found, query="maestro-probe=1")
    evidence.append(Evidence(f"{found.asking} with another query", str(answer.status), "429"))
    if _served(found, answer) and _again(ctx, found, query="maestro-probe=2"):
        escapes.append("another query")
    escapes += [*_spelt_otherwise(ctx, found, evidence), *_login_beside(ctx, found, evidence)]
    if escapes:
        return failed(f"The rate limit is escaped by {', '.join(escapes)}.", *evidence)
    return passed("No header and no query escapes the rate limit.", *evidence)


def _cookie(ctx: Context, found: Burst) -> tuple[tuple[str, str], ...]:
    """A session that nobody has; none where cookies of its own go along, which it would take the place of."""
    auth = ctx.settings.api.auth if ctx.settings.api is not None else None
    login = auth.login if auth is not None else None
    own = any(name.lower() == "cookie" for name in found.asking.headers)
    if own or (found.asking.login and login is not None and login.csrf_path is not None):
        return ()
    place = logins.cookie_of(auth) if auth is not None and login is not None else None
    return (("Cookie", f"{place or 'session'}=maestro-probe-{{n}}"),)


def _spelt_otherwise(ctx: Context, found: Burst, evidence: list[Evidence]) -> list[str]:
    """The same path with a slash behind it, where the service takes that for the same and the limit does not."""
    usual, path = found.answers[0], found.asking.path
    if found.asking.login or "?" in path or path.endswith("/"):
        return []
    slashed = replace(found.asking, path=f"{path}/")
    answer = slashed.send(ctx, found.source)
    same = answer.status == usual.status and answer.header("content-type") == usual.header("content-type")
    evidence.append(Evidence(f"{slashed}", str(answer.status), "429, or not the same"))
    if not same or answer.status == 429 or _ask(ctx, found).status != 429:
        return []
    # Where any path is answered so, that one is not the same either.
    nowhere = replace(found.asking, path=f"{path}-maestro-{ctx.nonce}").send(ctx, found.source)
    return [] if nowhere.status == answer.status else ["a slash behind the path"]


def _login_beside(ctx: Context, found: Burst, evidence: list[Evidence]) -> list[str]:
    """The login, where it has to be refused as well: it is what a limit is there for."""
    auth = ctx.settings.api.auth if ctx.settings.api is not None else None
    if found.limit.scope != "client" or found.asking.login or auth is None or auth.login is None or not auth.accounts:
        return []
    login = Asking(auth.login.path, (auth.login.method or "POST").upper(), login=True)
    answer = login.send(ctx, found.source)
    looked_at = 200 <= answer.status < 300 or answer.status in (400, 401, 403, 422)
    evidence.append(Evidence(f"{login}, of the same client", str(answer.status), "429"))
    return ["going to the login"] if looked_at and _ask(ctx, found).status == 429 else []


def _ask(ctx: Context, found: Burst, headers: Mapping[str, str] | None = None, query: str = "") -> Answer:
    return found.asking.send(ctx, found.source, headers=headers, query=query)


def _served(found: Burst, answer: Answer) -> bool:
    """Whether it is answered as before the limit: a login of nobody's is refused, but it was looked at."""
    return 200 <= answer.status < 300 or answer.status == found.answers[0].status != 429


def _again(ctx: Context, found: Burst, headers: Mapping[str, str] | None = None, query: str = "") -> bool:
    """Whether a plain request is still refused and the escape works once more: then it was not the window's end."""
    return _ask(ctx, found).status == 429 and _served(found, _ask(ctx, found, headers, query))
