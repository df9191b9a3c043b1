"""Answers of every kind that the API gives anyway: a good one, a 401, a 404, a 405, a 400, a 500; asked for once per run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.observe.control import CONTROL_REQUESTS, protected_answers
from maestro_cli.observe.errors import ControlFailed, Unreachable
from maestro_cli.observe.http import Answer
from maestro_cli.observe.malformed import MALFORMED_REQUESTS, malformed_answers
from maestro_cli.observe.not_found import MISSING_REQUESTS, missing_answer

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

ANSWER_REQUESTS = 3 + CONTROL_REQUESTS + MISSING_REQUESTS + MALFORMED_REQUESTS

_TRACES = (
    rb"Traceback \(most recent call last\)|File \\?\"[^\"\n]+\.pyx?\\?\", line \d+"
    # Java, where a tab in JSON is the letter t; Jackson; and the name of an exception's class by itself.
    rb"|(?:\b|\\t)at [\w.$<>/]+\([\w$]+\.(?:java|kt|scala|groovy):\d+\)|Caused by: [\w.]+(?:Exception|Error)"
    rb"|\bat \[Source: |\b(?:com|org|net|io|java|javax|jakarta|kotlin|scala)\.(?:\w+\.)+\w*(?:Exception|Error)\b"
    # Node: in text, in JSON, and in Express' own page, where spaces and line ends are HTML.
    rb"|(?:\n|\\n|<br>|\")(?:\s|&nbsp;)*at [^\n\\<]{1,200}\(?(?:/|file:|[A-Z]:\\\\?|node:)[^\n\\<)]+:\d+:\d+\)?"
    rb"|goroutine \d+ \[running\]|panic: |\.go:\d+ \+0x"
    rb"|#\d+ (?:\\?/[\w.-]+)+\.php\(\d+\)|<b>(?:Fatal error|Warning|Notice)</b>:|\.rb:\d+:in [`']"
    rb"|<code>DEBUG = True</code>|Werkzeug Debugger|__debugger__|<title>Starlette Debugger"
    rb"|Whoops, looks like something went wrong|Action Controller: Exception caught|Symfony Exception"
    rb"|\b(?:psycopg2?|sqlalchemy|sqlite3|pymysql|MySQLdb|asyncpg|django\.db\.utils)\.[\w.]*(?:Error|Exception|errors)\b"
    rb"|SQLITE_[A-Z]{4,}: |\bnear \\?\"[^\"\n]{1,40}\\?\": syntax error|\bsyntax error at or near \\?\"|unterminated quoted string"
    rb"|invalid input syntax for (?:type )?\w+: |relation \\?\"\w+\\?\" does not exist|ER_[A-Z]+_ERROR\b"
    rb"|SQLSTATE\[|ORA-\d{5}|You have an error in your SQL syntax|Sequelize\w*Error|PrismaClient\w+Error"
    rb"|(?:/[\w.-]+){2,}\.(?:py|php|rb|pl|pm),? (?:on )?line \d+|<title>[^<]*\(development mode\)</title>"
    rb"|(?:/[\w.-]+){2,}\.(?:go|py|rb|php|js|ts|java|rs|ex):\d+\b"
    # Where the program stands; not an address in a page, which stands in quotes or behind a host.
    rb"|(?<![\w\"'=/.:-])/(?:app|home|opt|root|srv|tmp|usr|var|Users)(?:/[\w.@-]+)*/[\w.-]+\.(?:go|java|js|mjs|php|py|rb|rs|ts)\b"
    rb"|System\.[\w.]*Exception:|\.cs:line \d+|panicked at [\w/.-]+\.rs:\d+"
)


def trace_in(body: bytes) -> str | None:
    """The first piece of a stack trace or debug page in a body, shortened; None where there is none."""
    # PHP's and Perl's JSON write a slash as `\/`, so that no page is ended by it.
    found = re.search(_TRACES, body.replace(b"\\/", b"/"))
    return None if found is None else found.group(0).decode("utf-8", "replace").strip()[:60]


GOOD_REQUESTS = 1 + CONTROL_REQUESTS


def good_answer(ctx: Context) -> tuple[str, Answer]:
    """What was asked and a 2xx, of api.health_path or else of api.auth.protected: the control of what looks for refusals.

    Raises:
        ControlFailed: When there is none.
    """
    return ctx.shared("good-answer", lambda: _good(ctx))


def _good(ctx: Context) -> tuple[str, Answer]:
    api = ctx.require(ctx.settings.api, "api")
    health = health_answer(ctx)
    if 200 <= health.status < 300:
        return f"GET {api.health_path}", health
    try:
        valid = protected_answers(ctx).valid
    except NotConfigured:
        valid = health
    if 200 <= valid.status < 300:
        return "api.auth.protected with a token", valid
    raise ControlFailed(
        f"GET {api.health_path} is answered {health.status}, so there is no good answer to compare with"
    )


def health_answer(ctx: Context) -> Answer:
    """The answer of api.health_path, asked for once per run."""
    api = ctx.require(ctx.settings.api, "api")
    return ctx.shared("health-answer", lambda: ctx.http.get(api.health_path))


def answers(ctx: Context) -> list[tuple[str, Answer]]:
    """What was asked, and the answer; what is not configured is left out.

    Raises:
        Unreachable: When no answer comes.
        ControlFailed: When neither api.health_path nor api.auth.protected is answered 2xx.
    """
    return ctx.shared("answers-of-every-kind", lambda: _answers(ctx))


def _answers(ctx: Context) -> list[tuple[str, Answer]]:
    api = ctx.require(ctx.settings.api, "api")
    health = health_answer(ctx)
    found = [(f"GET {api.health_path}", health)]
    try:
        protected = protected_answers(ctx)
    except NotConfigured:
        pass
    else:
        path = protected.session.auth.protected
        if protected.session.auth.login is not None:
            found.append(("the login", protected.session.answer))
        found.append((f"GET {path} with a token", protected.valid))
        found.append((f"GET {path} without a token", protected.missing))
    if not any(200 <= answer.status < 300 for name, answer in found if name.startswith("GET")):
        raise ControlFailed(f"GET {api.health_path} is answered {health.status}, so there is no good answer to look at")
    found.append(("GET a path that does not exist", missing_answer(ctx)))
    wrong_method = ctx.shared("wrong-method-answer", lambda: ctx.http.request("PUT", api.health_path))
    if wrong_method.status == 405:
        found.append((f"PUT {api.health_path}", wrong_method))
    elif api.auth is not None and api.auth.login is not None and (api.auth.login.method or "POST").upper() == "POST":
        # Some health pages answer whatever one asks; a login is posted.
        login = api.auth.login.path
        got = ctx.shared("login-got", lambda: ctx.http.get(login))
        found += [(f"GET {login}", got)] if got.status == 405 else []
    try:
        malformed = malformed_answers(ctx)
    except Unreachable:
        raise
    except MaestroError:
        malformed = []
    seen = {401, 404, 429, 502, 503, 504}
    for name, answer in malformed:
        if answer.status >= 400 and answer.status not in seen:
            seen.add(answer.status)
            found.append((name, answer))
    return found
