"""Bodies that no honest client sends, sent to the login: made once per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.observe import session as sessions
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

JSON = "application/json"
BODIES: tuple[tuple[str, str, bytes], ...] = (
    ("broken JSON", JSON, b'{"maestro-probe": '),
    ("a list for an object", JSON, b"[1, 2, 3]"),
    ("numbers for texts", JSON, b'{"username": 1, "email": {"a": []}, "password": [null]}'),
    ("bytes that are no UTF-8", JSON, b'{"username": "\xff\xfe", "email": "\xc3\x28", "password": "\x80"}'),
    ("an empty body", JSON, b""),
)
MALFORMED_REQUESTS = len(BODIES)


def malformed_answers(ctx: Context) -> list[tuple[str, Answer]]:
    """What was sent to api.auth.login, and the answer.

    Raises:
        NotConfigured: Without api.auth.login.
    """
    return ctx.shared("malformed-answers", lambda: _malformed_answers(ctx))


def _malformed_answers(ctx: Context) -> list[tuple[str, Answer]]:
    auth = sessions.settings_of(ctx)
    login = auth.login
    path = login.path if login is not None else ""
    method = (login.method if login is not None else None) or "POST"
    return [
        (
            f"{method} {path} with {name}",
            ctx.http.request(method.upper(), path, body=body, headers={"Content-Type": kind}),
        )
        for name, kind, body in BODIES
    ]
