"""What the server hands out that nobody meant to publish."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, NotConfigured, check, failed, passed, warned
from maestro_cli.observe.answers import GOOD_REQUESTS, good_answer, trace_in
from maestro_cli.observe.control import protected_answers
from maestro_cli.observe.http import Answer
from maestro_cli.observe.not_found import MISSING_REQUESTS, missing_answer, missing_at_root
from maestro_cli.observe.tokens import parse

_SECRETS = r"(?i)\b\w*(secret|passw(or)?d|database_?url|db_?url)\w*[\"']?\s*[:=]"
"""What a dump of settings or variables holds; what a page's public configuration does not."""
_INSIDE = (
    rf"{_SECRETS}|(?i:\b(environ(ment)?|env|sys_?path|python_?version|node_?version|pid|hostname|traceback|routes"
    r"|(loaded_?)?modules|settings|config)[\"']?\s*[:=])"
)
"""What a debug page holds."""
_VARIABLES = r"^(\s*#.*\n|\s*\n)*\s*(export\s+)?[A-Z][A-Z0-9_]*\s*="
_DUMP = r"(?im)^(-- .*\bdump\b|create table |insert into )"
_LOG = r"(?m)^.{0,80}\b(ERROR|WARN(ING)?|INFO|DEBUG|CRITICAL)\b|Traceback \(most recent call last\)|^\S+ \S+ \S+ \[\d+/\w+/\d{4}"
PATHS: tuple[tuple[str, str], ...] = (
    ("/.git/HEAD", r"^(ref: refs/|[0-9a-f]{40}\s*$)"),
    ("/.git/config", r"(?m)^\s*\[(core|remote)\b"),
    ("/.env", _VARIABLES),
    *((path, _VARIABLES) for path in ("/.env.production", "/.env.local", "/.env.bak")),
    *((path, _DUMP) for path in ("/backup.sql", "/dump.sql")),
    # Apache, nginx; Python; Go.
    ("/", r"(?i)<title>(index of|directory listing for) /|<pre>\s*<a href=\"[^\"]+\">"),
    ("/static/", r"(?i)<title>(index of|directory listing for) /"),
    *((path, r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----") for path in ("/key.pem", "/certs/key.pem", "/server.key")),
    ("/.aws/credentials", r"(?mi)^\s*aws_(access_key_id|secret_access_key)\b"),
    ("/.htpasswd", r"(?m)^[^\s:]+:(\$|\{SHA\})"),
    *((path, r"^SQLite format 3") for path in ("/db.sqlite3", "/database.sqlite", "/app.db")),
    ("/silk/", r"(?i)<title>silky?\b"),
    ("/.DS_Store", r"Bud1"),
    ("/package.json", r"\"(dependencies|devDependencies|scripts)\"\s*:"),
    ("/requirements.txt", r"(?m)^[A-Za-z][\w.-]*(\[[\w,-]*\])?\s*([=<>~!]=|\s*$)"),
    ("/Dockerfile", r"(?m)^FROM \S"),
    ("/docker-compose.yml", r"(?m)^services:"),
    *((path, _LOG) for path in ("/app.log", "/logs/app.log", "/error.log", "/debug.log")),
    # Django's and Symfony's, in which every request is kept.
    ("/__debug__/", r"(?i)djdt|debug toolbar"),
    ("/_profiler", r"(?i)<title>[^<]*symfony profiler"),
    ("/metrics", r"(?m)^# (HELP|TYPE) "),
    ("/debug/pprof/", r"(?i)goroutine|pprof"),
    ("/debug/vars", r"\"(cmdline|memstats|argv|env(iron)?)\""),
    # Spring Boot's: what it hands out, settings, the memory itself, metrics; Jolokia, a way into the running machine.
    ("/actuator", r"\"_links\"[\s\S]*/(env|heapdump|beans|configprops|loggers|threaddump|mappings|httpexchanges)\b"),
    ("/actuator/env", r"\"(propertySources|activeProfiles)\""),
    ("/actuator/heapdump", r"^JAVA PROFILE"),
    ("/actuator/prometheus", r"(?m)^# (HELP|TYPE) "),
    *((path, r"\"agent\"\s*:") for path in ("/jolokia", "/actuator/jolokia")),
    ("/h2-console", r"(?i)<title>H2 Console"),
    # Rails and Sidekiq; Laravel.
    ("/rails/info/routes", r"(?i)<title>Action Controller|HTTP Verb|<h\d>Routes"),
    *((path, r"(?i)<title>[^<]*\b(Sidekiq|Telescope|Horizon)\b") for path in ("/sidekiq", "/telescope", "/horizon")),
    ("/server-status", r"(?i)apache server status|server uptime"),
    *((path, r"(?m)^Active connections: +\d") for path in ("/nginx_status", "/stub_status", "/basic_status")),
    # PHP: its own page, its process manager's, its packages, a database tool, a log; ASP.NET's pages of errors.
    *((path, r"(?i)<title>[^<]*phpinfo\(\)|php version") for path in ("/phpinfo.php", "/info.php", "/test.php")),
    *((path, r"(?m)^Active connections: +\d|^process manager: ") for path in ("/status", "/fpm-status")),
    ("/composer.json", r"\"require(-dev)?\"\s*:"),
    ("/adminer.php", r"(?i)<title>[^<]*adminer"),
    ("/storage/logs/laravel.log", r"(?m)^\[\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\]]*\] \w+\.[A-Z]+: "),
    *((path, r"(?i)<title>[^<]*\b(error log|application trace)\b") for path in ("/elmah.axd", "/trace.axd")),
    ("/console", r"(?i)werkzeug|interactive console"),
    *((path, _INSIDE) for path in ("/debug", "/_debug", "/debug/info")),
    *((path, _SECRETS) for path in ("/env", "/config", "/config.json", "/appsettings.json")),
)
"""Path, and what its content looks like if it is there."""
DOCUMENTATION = (("/openapi.json", r"\"(openapi|swagger)\"\s*:"),)
"""Where most frameworks describe the whole API; readiness.environment looks where others do."""
_DOCUMENTS = ("/openapi.json", "/swagger.json")
MAXIMUM_DOCUMENTED = 3
"""Most paths of a document that are asked for."""
_DEBUG = re.compile(r"(?i)(^|[/_-])debug($|[/_-])")
_INTROSPECTION = {"query": "{__schema{queryType{name}}}"}
_CREDENTIALS = re.compile(
    rb"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,64}:[^\s/:@\"'<>*{}$]{1,128}@[\w\[]"
    rb"|\bjdbc:[^\s\"'<>]{1,300}[?&;]password=[^\s\"'<>&;*{}$]"
)
"""`postgresql://shop:…@db` or `jdbc:…?password=…`, as status pages show it; not where the password is masked."""
_HASH = re.compile(
    rb"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2i?d?\$v=\d+\$|\bpbkdf2_sha\d+\$\d+\$|\bscrypt:\d+:\d+:\d+\$|\$6\$[./A-Za-z0-9]{1,16}\$"
)
"""bcrypt, argon2, PBKDF2 as Django writes it, scrypt as Werkzeug does, SHA-512-crypt."""
_NAMED = rb"(?i)\"(?:encrypted_?|hashed_?)?(?:pass(?:word|wd)?|pwd)(?:_?(?:hash|digest))?\"\s*:\s*\""
"""A member of an object that is called a password."""
_PLAIN_HASH = re.compile(
    _NAMED + rb"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\""
)
"""MD5, SHA-1, SHA-2, which only their name tells from other numbers."""
_VERSION = re.compile(r"[A-Za-z][\w.+-]*[/ (]v?\d+(\.\d+)+|^\d+(\.\d+)+$")


@check(
    "security.exposure",
    component="security",
    priority="high",
    requests=GOOD_REQUESTS
    + MISSING_REQUESTS
    + 2 * (len(PATHS) + len(DOCUMENTATION) + len(_DOCUMENTS) * (1 + MAXIMUM_DOCUMENTED))
    + 4,
    deadline_s=20,
    faults=(
        "trace-echo",
        "git-exposed",
        "env-exposed",
        "dump-exposed",
        "manifest-exposed",
        "metrics-open",
        "debug-page",
        "password-hash-answered",
    ),
)
def exposure(ctx: Context) -> Finding:
    """Neither repository, environment file, metrics nor debug pages are served.

    Why: a repository or an .env file hands over the keys; metrics and debug pages tell an attacker where to look.
    Fails when: TRACE echoes the request, or /.git/HEAD, /.env (or its copies), a database dump, package.json or another
    file of the checkout, a key, a log, a list of files, /metrics or a debug page (also one that the service's OpenAPI
    document names) is served, under api.url or under the host's root; a 404 is a debug page; a good answer names an
    address with its password; or the answer of api.auth.login or api.auth.protected, or the access token, being a JSON Web
    Token, holds a password or its hash. Versions in the Server or X-Powered-By header are a warning, and so is in
    production openapi.json and GraphQL introspection.
    Fix: serve a folder of its own and never the checkout; ask for a token at /metrics; refuse TRACE; switch debug mode
    off.
    Source: OWASP ASVS 5.0 13.4.1 to 13.4.6; CWE-527, CWE-538
    """
    name, good = good_answer(ctx)
    missing = missing_answer(ctx)
    evidence = [
        Evidence(f"control: {name}", str(good.status), "2xx"),
        Evidence("control: a path that does not exist", str(missing.status), "404"),
    ]
    open_, weak = [], []
    api = ctx.require(ctx.settings.api, "api")
    for path in dict.fromkeys(("/", api.health_path)):
        trace = ctx.http.request("TRACE", path, headers={"X-Maestro-Probe": ctx.nonce})
        echoes = 200 <= trace.status < 300 and ctx.nonce.encode() in trace.body
        evidence.append(Evidence(f"TRACE {path}", f"{trace.status}{', echoed' if echoes else ''}", "405"))
        if echoes:
            open_.append("TRACE echoes requests")
            break
    for path, pattern in PATHS:
        seen = _looked_up(ctx, path, pattern, evidence)
        open_ += [f"{'a list of files at ' * (path == '/')}{path} is served"] if seen else []
    open_ += [f"{path} is served" for path in _documented(ctx, evidence) if f"{path} is served" not in open_]
    if ctx.environment == "production":
        weak += [f"{path} is served" for path, pattern in DOCUMENTATION if _looked_up(ctx, path, pattern, evidence)]
        weak += ["/graphql tells its whole schema"] if _introspected(ctx, evidence) else []
    if _CREDENTIALS.search(good.body):
        evidence.append(Evidence(f"body of {name}", "an address with a password in it", "nothing of the inside"))
        open_.append(f"{name} tells a password")
    for name, body, password in _inside(ctx):
        told = _told(body, password)
        evidence.append(Evidence(name, told or "no password, nor its hash", "no password, nor its hash"))
        open_ += [f"{name} holds {told}"] if told else []
    page = trace_in(missing.body)
    if page is not None:
        evidence.append(Evidence("the 404 page", page, "nothing of the inside"))
        open_.append("the 404 is a debug page")
    banners = dict.fromkeys(told for answer in (missing, good) for told in _banners(answer))
    if banners:
        evidence.append(Evidence("Server and X-Powered-By", ", ".join(banners), "no version"))
        weak.append(f"the headers name {', '.join(banners)}")
    if open_:
        return failed(f"Exposed: {', '.join(open_)}.", *evidence)
    if weak:
        return warned(f"More is told than needed: {', '.join(weak)}.", *evidence)
    return passed("Nothing of the inside is served.", *evidence)


def _told(body: bytes, password: bytes) -> str | None:
    if _HASH.search(body) or _PLAIN_HASH.search(body):
        return "a password's hash"
    plain = password and re.search(_NAMED + re.escape(password) + rb"\"", body)
    return "the password" if plain else None


def _inside(ctx: Context) -> list[tuple[str, bytes, bytes]]:
    """What an account is told of itself, and its password: the login's answer, its token, the answer of api.auth.protected."""
    try:
        looked = protected_answers(ctx)
    except (NotConfigured, ControlFailed):
        return []  # readiness.authentication says so
    session = looked.session
    found = [("the login's answer", session.answer.body)] if session.auth.login is not None else []
    token = parse(session.access_token)
    if token is not None:  # whoever has it reads it: it is signed, not encrypted
        found.append(("the access token", json.dumps(token.claims).encode()))
    password = json.dumps(session.account.password.reveal())[1:-1].encode()
    return [(name, body, password) for name, body in [*found, ("the answer of api.auth.protected", looked.valid.body)]]


def _looked_up(ctx: Context, path: str, pattern: str, evidence: list[Evidence]) -> bool:
    places = [(ctx.http.get(path), missing_answer(ctx))]
    if ctx.http.prefix:
        places.append((ctx.http.get(path, from_root=True), missing_at_root(ctx)))
    for answer, missing in places:
        if answer.status == 200 and not _is_fallback(answer, missing):
            text = answer.body[:20_000].decode("utf-8", "replace")
            if re.search(pattern, text):
                evidence.append(Evidence(f"GET {path}", "200, with what it is known for", "404"))
                return True
    evidence.append(Evidence(f"GET {path}", " and ".join(str(answer.status) for answer, _ in places), "404"))
    return False


def _introspected(ctx: Context, evidence: list[Evidence]) -> bool:
    """Whether a GraphQL service tells its schema to nobody in particular (OWASP GraphQL Cheat Sheet)."""
    for from_root in (False, True)[: 1 + bool(ctx.http.prefix)]:
        answer = ctx.http.request("POST", "/graphql", json_body=_INTROSPECTION, from_root=from_root)
        if answer.status == 200 and b'"__schema"' in answer.body and b'"queryType"' in answer.body:
            evidence.append(Evidence("POST /graphql, asked for its schema", "200, with it", "refused"))
            return True
    return False


def _is_fallback(answer: Answer, missing: Answer) -> bool:
    """Whether this is the page that a client-side application is served as, whatever path is asked for."""
    return missing.status < 300 and "text/html" in (answer.header("content-type") or "")


def _banners(answer: Answer) -> list[str]:
    """What the headers tell of programs with their versions: `nginx/1.25.3`, `Python 3.13`."""
    names = ("server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator")
    found = [_VERSION.search(answer.header(name) or "") for name in names]
    return [match.group(0) for match in found if match is not None]


def _documented(ctx: Context, evidence: list[Evidence]) -> list[str]:
    """Debug pages that the service's own OpenAPI document names, and that answer anybody with what one holds."""
    found = []
    for place in _DOCUMENTS:
        for from_root in (False, True)[: 1 + bool(ctx.http.prefix)]:
            for path in debug_paths(ctx.http.get(place, from_root=from_root).json()):
                answer = ctx.http.get(path, from_root=from_root)
                told = answer.status == 200 and re.search(_INSIDE, answer.body[:20_000].decode("utf-8", "replace"))
                seen = f"{answer.status}{', with what a debug page holds' if told else ''}"
                evidence.append(Evidence(f"GET {path}, which {place} names", seen, "401, or not there"))
                found += [path] if told else []
    return list(dict.fromkeys(found))


def debug_paths(document: Any) -> list[str]:
    """Paths of an OpenAPI document with a part named debug that are read by GET, without anything to fill in.

    Others are left alone: a GET may do things, and only its author knows which.
    """
    paths = document.get("paths") if isinstance(document, Mapping) else None
    return [
        str(path)
        for path, methods in (paths.items() if isinstance(paths, Mapping) else ())
        if _DEBUG.search(str(path)) and "{" not in str(path) and isinstance(methods, Mapping) and "get" in methods
    ][:MAXIMUM_DOCUMENTED]
