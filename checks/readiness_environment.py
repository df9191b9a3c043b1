"""Does the service know that it is in production, and behave like it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from urllib.parse import urlsplit

from maestro_cli.api import (
    Context,
    Evidence,
    Finding,
    NotConfigured,
    Status,
    Unreachable,
    check,
    combine,
    errored,
    failed,
    passed,
    warned,
)
from maestro_cli.observe.answers import GOOD_REQUESTS
from maestro_cli.observe.environment_names import MEANINGS, debug_switches, environment_names
from maestro_cli.observe.http import Answer
from maestro_cli.observe.not_found import is_fallback_page

_PAGE = re.compile(rb"swagger[- ]?ui|elements-api|scalar", re.IGNORECASE)
_DESCRIPTION = re.compile(rb'"(?:openapi|swagger)"\s*:\s*"|^\s*(?:openapi|swagger):\s', re.MULTILINE)
_GRAPHICAL = re.compile(rb"<title>[^<]*(graphi?ql|apollo)|graphiql(\.min)?\.(js|css)|graphql-playground", re.IGNORECASE)
_EITHER = re.compile(_PAGE.pattern + b"|" + _DESCRIPTION.pattern, re.IGNORECASE | re.MULTILINE)
_DOCS = {
    "/docs": _EITHER,
    **dict.fromkeys(("/redoc", "/docs/redoc"), re.compile(rb"redoc", re.IGNORECASE)),
    "/openapi.json": _DESCRIPTION,
    # Where other frameworks have them: Spring, ASP.NET, NestJS, Fastify, Hono; Litestar and drf-spectacular.
    **dict.fromkeys(
        (
            "/swagger",
            "/swagger-ui.html",
            "/swagger-ui/index.html",
            "/swagger/index.html",
            "/ui",
            "/documentation",
            "/api",
        ),
        _PAGE,
    ),
    **dict.fromkeys(("/api-docs", "/api/docs", "/doc", "/api/schema/swagger-ui/"), _EITHER),
    **dict.fromkeys(
        ("/swagger.json", "/swagger/doc.json", "/v3/api-docs", "/documentation/json", "/swagger/v1/swagger.json"),
        _DESCRIPTION,
    ),
    **dict.fromkeys(("/openapi.yaml", "/openapi.yml", "/swagger.yaml"), _DESCRIPTION),
    **dict.fromkeys(("/graphql", "/graphiql", "/playground"), _GRAPHICAL),
    **dict.fromkeys(("/api-json", "/docs-json"), _DESCRIPTION),
    "/schema": re.compile(_EITHER.pattern + b"|redoc", re.IGNORECASE | re.MULTILINE),
    **dict.fromkeys(("/schema/openapi.json", "/schema/", "/api/schema/"), _DESCRIPTION),
}
_BESIDE = ("/docs", "/openapi.json", "/api-docs")
"""What is looked for under the paths' own prefix, too: /api/v1, where both login and api.auth.protected begin so."""
_DEBUG_PAGE = re.compile(
    rb"Traceback \(most recent call last\)|<code>DEBUG = True</code>|Werkzeug Debugger|You're seeing this error because"
    rb"|Whoops, looks like something went wrong|at Object\.<anonymous>|Action Controller: Exception caught"
)


@check(
    "readiness.environment",
    component="configuration",
    priority="high",
    requests=2 + 2 * (2 * len(_DOCS) + len(_BESIDE)) + GOOD_REQUESTS,
    faults=("docs-open", "environment-misnamed", "debug-on"),
)
def environment(ctx: Context) -> Finding:
    """The service is set up for its environment.

    Why: a debug page shows settings and source to whoever makes it fail; a service that believes to be in development
    leaves safeguards off.
    Fails when: service.environment is production and a variable such as ENVIRONMENT says otherwise, debugging is switched
    on, an unknown path is answered with a debug page, or the interactive documentation is open (in staging: a variable
    that says development, or debugging).
    Fix: set ENVIRONMENT=production and DEBUG=false in env_file; close /docs, /redoc and /openapi.json.
    Source: OWASP ASVS 5.0 13.4.2 and 13.4.5
    """
    api = ctx.settings.api
    has_api = api is not None and api.url is not None
    if ctx.settings.env_file is None and not has_api:
        raise NotConfigured("neither env_file nor api.url is configured")
    if ctx.settings.env_file is None and ctx.environment == "development":
        raise NotConfigured("env_file is not configured, and of an API in development nothing is asked")
    findings = list(_variables(ctx))
    if has_api and ctx.environment != "development":
        try:
            findings += _behaviour(ctx)
        except Unreachable:
            # What was seen to be wrong stays wrong, however little the API says.
            if all(finding.status is not Status.FAIL for finding in findings):
                raise
    return combine(findings)


def _variables(ctx: Context) -> Iterator[Finding]:
    expected = ctx.environment
    if ctx.settings.env_file is None:
        return
    switched = debug_switches(ctx)
    named = environment_names(ctx)
    if switched and expected != "development":
        names = ", ".join(switched)
        yield failed(f"Debugging is switched on by {names}.", Evidence(names, "on", f"off in {expected}"))
    for name, value in named.items():
        meaning = MEANINGS.get(value.strip().lower())
        seen = Evidence(name, value, expected)
        wrong = meaning != expected if expected == "production" else (expected, meaning) == ("staging", "development")
        if wrong:
            yield failed(f"{name} says {value or 'nothing'}; the service is judged as {expected}.", seen)
        else:
            yield passed(f"{name} says {value}.", seen)
    if not named and expected == "production":
        yield warned("No variable in env_file names the environment.", Evidence("ENVIRONMENT", "not set", expected))
    elif not named:
        yield passed(
            f"Nothing says that this is not {expected}.", Evidence("debug switches", ", ".join(switched) or "none")
        )


def _behaviour(ctx: Context) -> Iterator[Finding]:
    unknown = ctx.http.get(f"/maestro-probe-{ctx.nonce}")
    if _DEBUG_PAGE.search(unknown.body):
        yield failed("An unknown path is answered with a debug page.", Evidence("unknown path", "a debug page", "404"))
    elif (unknown.status < 400 and not is_fallback_page(ctx, unknown)) or unknown.status >= 500:
        yield errored(
            f"A path that cannot exist is answered {unknown.status}, so the API's answers tell nothing.",
            Evidence("unknown path", str(unknown.status), "404"),
        )
        return
    else:
        yield passed("Unknown paths show no debug page.", Evidence("unknown path", str(unknown.status), "404"))
    if ctx.environment != "production":
        return
    # An API behind a path prefix has its documentation there, or at the host's root.
    places = (False, True) if ctx.http.prefix else (False,)
    answers = {(path, root): _got(ctx, path, from_root=root) for path in _DOCS for root in places}
    beside = _common_prefix(ctx)
    answers |= {(beside + path, False): _got(ctx, beside + path) for path in _BESIDE if beside}
    open_ones = list(
        dict.fromkeys(
            path
            for (path, _), answer in answers.items()
            if answer.status == 200 and _DOCS[path.removeprefix(beside)].search(answer.body)
        )
    )
    if open_ones:
        names = ", ".join(open_ones)
        yield failed(f"The interactive documentation is open: {names}.", Evidence(names, "200", "closed in production"))
    else:
        seen = ", ".join(f"{path} {answer.status}" for (path, _), answer in answers.items())
        yield passed("No documentation is open.", Evidence("documentation", seen, "closed in production"))


def _got(ctx: Context, path: str, *, from_root: bool = False) -> Answer:
    """What a path is answered; where that is only a slash behind it (Django, and many another), what is there."""
    answer = ctx.http.get(path, from_root=from_root)
    location = urlsplit(answer.header("location") or "").path
    if 300 <= answer.status < 400 and location.endswith(f"{path}/"):
        return ctx.http.get(f"{path}/", from_root=from_root)
    return answer


def _common_prefix(ctx: Context) -> str:
    """What the paths of the login and of api.auth.protected both begin with: `/api/v1`; nothing where they do not."""
    auth = ctx.settings.api.auth if ctx.settings.api is not None else None
    if auth is None or auth.login is None or auth.protected is None:
        return ""
    alike = takewhile(
        lambda pair: pair[0] == pair[1] and "{" not in pair[0],
        zip(auth.login.path.split("/")[:-1], auth.protected.split("/")[:-1], strict=False),
    )
    return "/".join(one for one, _ in alike)
