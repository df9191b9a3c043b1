"""Origins that look like an allowed one."""

from __future__ import annotations

from urllib.parse import urlsplit

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe.closed_place import closed_place
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS

VARIANTS = 9


@check(
    "security.cors-bypass",
    component="security",
    priority="high",
    requests=1 + 3 * VARIANTS + LOGIN_REQUESTS,
    deadline_s=20,
    faults=(
        "cors-null-origin",
        "cors-prefix-match",
        "cors-suffix-match",
        "cors-http-twin",
        "cors-any-origin",
        "cors-wildcard",
        "cors-any-origin-inside",
        "cors-localhost",
    ),
)
def cors_bypass(ctx: Context) -> Finding:
    """An origin that only looks like an allowed one is not allowed.

    Why: origins compared by prefix, suffix or an unescaped pattern let a page of somebody else read a user's data.
    Fails when: the answer to a GET or a preflight, at api.cors.path or at api.auth.protected, allows `null`, a host that
    begins or ends like an allowed one, one in which a dot became a letter, a subdomain, the http:// twin, another port
    or, in production, localhost, none of which api.cors.origins lists.
    Fix: compare the whole origin with a fixed list; never build a pattern of it and never allow `null`.
    Source: OWASP ASVS 5.0 3.4.2; Fetch standard, CORS protocol; CWE-942
    """
    api = ctx.require(ctx.settings.api, "api")
    cors = ctx.require(api.cors, "api.cors")
    origins = ctx.require(cors.origins, "api.cors.origins")
    path = cors.path or api.health_path
    control = ctx.http.get(path, headers={"Origin": origins[0]})
    if not allows(control, origins[0]):
        raise ControlFailed(f"the configured origin {origins[0]} is not allowed at {path}, so a refusal proves nothing")
    evidence = [Evidence(f"control: GET {path} from {origins[0]}", _seen(control), origins[0])]
    broken = []
    variants = variants_of(origins, local=ctx.environment == "production")
    for name, origin in variants:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        for method, headers in (("GET", {"Origin": origin}), ("OPTIONS", preflight)):
            answer = ctx.http.request(method, path, headers=headers)
            allowed = allows(answer, origin)
            if allowed:
                broken.append(name)
            evidence.append(Evidence(f"{method} {path} from {origin}", _seen(answer), "no Access-Control-Allow-Origin"))
    for inside, token in closed_place(ctx):
        for name, origin in variants:
            answer = ctx.http.get(inside, headers={**token, "Origin": origin})
            broken += [name] if allows(answer, origin) else []
            evidence.append(Evidence(f"GET {inside} from {origin}", _seen(answer), "no Access-Control-Allow-Origin"))
    if broken:
        return failed(f"A foreign origin is allowed: {', '.join(dict.fromkeys(broken))}.", *evidence)
    return passed("Origins that only look like an allowed one are not allowed.", *evidence)


def variants_of(origins: tuple[str, ...], *, local: bool) -> list[tuple[str, str]]:
    """What it is, and the origin; without those that are configured themselves.

    Args:
        origins: The configured ones.
        local: Whether a page that runs on the visitor's own machine is foreign: in production nobody develops.
    """
    parts = urlsplit(origins[0])
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    scheme = parts.scheme
    found = [
        ("null", "null"),
        ("one that begins like an allowed one", f"{origins[0]}.maestro-probe.invalid"),
        ("one that ends like an allowed one", f"{scheme}://maestroprobe{host}{port}"),
        ("a subdomain", f"{scheme}://maestro-probe.{host}{port}"),
        ("another port", f"{scheme}://{host}:{8444 if parts.port != 8444 else 8445}"),
    ]
    if "." in host and not host.replace(".", "").isdigit():
        found.append(("one with a letter for the dot", f"{scheme}://{host.replace('.', 'x', 1)}{port}"))
    if scheme == "https":
        found.append(("the http:// twin", f"http://{host}{port}"))
    if local and not any(urlsplit(origin).hostname in ("localhost", "127.0.0.1") for origin in origins):
        found += [("localhost", "http://localhost:3000"), ("localhost", "http://localhost:5173")]
    return [(name, origin) for name, origin in found if origin not in origins]


def allows(answer: Answer, origin: str) -> bool:
    """Whether a browser would let a page of this origin read the answer."""
    return answer.header("access-control-allow-origin") in ("*", origin)


def _seen(answer: Answer) -> str:
    allowed = answer.header("access-control-allow-origin")
    if allowed is None:
        return f"{answer.status}, no Access-Control-Allow-Origin"
    credentials = ", with credentials" if answer.header("access-control-allow-credentials") == "true" else ""
    return f"{answer.status}, allows {allowed}{credentials}"
