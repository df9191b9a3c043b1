"""Which origins may read the API's answers in a browser?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, combine, errored, failed, passed, warned
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe.closed_place import closed_place
from maestro_cli.observe.foreign_login import FOREIGN, foreign_login
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.token_headers import CSRF

MAXIMUM_ORIGINS = 10
_ALLOWED, _CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"


@check(
    "security.cors",
    component="security",
    priority="high",
    requests=2 * (MAXIMUM_ORIGINS + 1) + 5 + 4 * LOGIN_REQUESTS,
    deadline_s=20,
    faults=(
        "cors-any-origin",
        "cors-any-origin-inside",
        "cors-wildcard",
        "cors-origin-missing",
        "cors-preflight-refused",
    ),
)
def cors(ctx: Context) -> Finding:
    """The configured origins work, and no other.

    Why: an origin that is allowed reads its visitors' data with their cookies; one that is missing is an outage.
    Fails when: a GET or a preflight from an origin of api.cors.origins is not allowed, or one from a foreign origin is,
    by name or by `*`, at api.cors.path, at api.auth.protected or in a refusal: there without a token, or of a login of
    nobody's. A preflight that allows an origin but not the header that carries the token is a warning.
    Fix: list the origins in the CORS settings of the service, whole and exactly; never `*` together with credentials.
    Source: Fetch standard, CORS protocol; OWASP ASVS 5.0 3.4.2
    """
    api = ctx.require(ctx.settings.api, "api")
    rules = ctx.require(api.cors, "api.cors")
    origins = ctx.require(rules.origins, "api.cors.origins")[:MAXIMUM_ORIGINS]
    path = rules.path or api.health_path
    findings: list[Finding] = []
    for origin in (FOREIGN, *origins):
        for method, answer in _ask(ctx, path, origin):
            findings.append(_judge(origin, method, answer))
    for inside, token in closed_place(ctx):
        findings += [
            _judge(FOREIGN, f"{method} {inside}", answer) for method, answer in _ask(ctx, inside, FOREIGN, token)
        ]
        refused = ctx.http.get(inside, headers={"Origin": FOREIGN})
        findings.append(_judge(FOREIGN, f"GET {inside} without a token", refused))
        findings += _token_header(ctx, inside, origins[0], token)
    findings += _refused_login(ctx)
    return _summary(findings, len(origins))


def _token_header(ctx: Context, inside: str, origin: str, token: Mapping[str, str]) -> list[Finding]:
    """Whether a page of an allowed origin may send the token at all; nothing where it goes in a cookie."""
    # A token against forged requests goes with it under all the names there are, and a GET needs none.
    names = [name.lower() for name in token if name.lower() != "cookie" and not CSRF.search(name)]
    if not names:
        return []
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": ",".join(names),
    }
    answer = ctx.http.request("OPTIONS", inside, headers=asked)
    allowed = {word.strip().lower() for word in (answer.header("access-control-allow-headers") or "").split(",")}
    missing = [name for name in names if name not in allowed and not ("*" in allowed and name != "authorization")]
    if answer.header(_ALLOWED) not in (origin, "*") or not missing:
        return []
    seen = Evidence(f"preflight {inside} from {origin} for {', '.join(names)}", "not allowed", "allowed")
    return [warned(f"A preflight from {origin} does not allow the header {' and '.join(missing)}.", seen)]


def _refused_login(ctx: Context) -> list[Finding]:
    """The answer to a login of nobody's: errors are often answered by another layer, and POST by another rule."""
    try:
        logins.login_of(logins.settings_of(ctx))
    except NotConfigured:
        return []
    answer = foreign_login(ctx) or refused_login.attempt(
        ctx, refused_login.stranger(ctx), logins.wrong_word(ctx), headers={"Origin": FOREIGN}
    )
    return [_judge(FOREIGN, "refused login", answer)]


def _ask(ctx: Context, path: str, origin: str, token: Mapping[str, str] | None = None) -> Iterator[tuple[str, Answer]]:
    yield "GET", ctx.http.get(path, headers={**(token or {}), "Origin": origin})
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    yield "preflight", ctx.http.request("OPTIONS", path, headers=preflight)


def _judge(origin: str, method: str, answer: Answer) -> Finding:
    allowed = answer.header(_ALLOWED)
    credentials = (answer.header(_CREDENTIALS) or "").strip().lower() == "true"
    observed = f"{answer.status}, {'allows ' + allowed if allowed else 'not allowed'}"
    observed += ", with credentials" if credentials else ""
    hostile = origin == FOREIGN
    seen = Evidence(f"{method} from {origin}", observed, "not allowed" if hostile else f"allows {origin}")
    if allowed == "*" and credentials:
        return failed("Every origin is allowed by `*`, together with credentials.", seen)
    # A browser lets nobody through a preflight that is no 2xx, whatever its headers say.
    refused = method.startswith("preflight") and not 200 <= answer.status < 300
    if hostile and allowed in {"*", origin} and not refused:
        what = "every origin, by `*`" if allowed == "*" else "a foreign origin by its name"
        return failed(f"A {method} allows {what}.", seen)
    if hostile:
        return passed("A foreign origin is not allowed.", seen)
    if allowed in {"*", origin} and not refused:
        return passed("The configured origin is allowed.", seen)
    if answer.status >= 500:
        return errored(f"A {method} from {origin} is answered {answer.status}, which tells nothing.", seen)
    return failed(f"The configured origin {origin} is not allowed in a {method}.", seen)


def _summary(findings: list[Finding], origins: int) -> Finding:
    whole = combine(findings)
    if whole.status == "pass":
        return passed(f"The {origins} configured origins are allowed, and a foreign one is not.", *whole.evidence)
    return whole
