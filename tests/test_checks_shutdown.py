"""Ending in order: real ASGI applications, started in a process of their own and sent SIGTERM."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_support import context, expect, run_check
from reference_platform import ReferencePlatform

from maestro_cli.api import Context
from maestro_cli.config import load
from maestro_cli.redaction import Redactor

pytestmark = pytest.mark.timeout(120)

APP = """
import asyncio, atexit, os, signal, sys, threading, time


async def lifespan(receive, send):
    await receive()
    {started}
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    {stopping}
    await send({{"type": "lifespan.shutdown.complete"}})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    more = {reads}
    while more:
        more = (await receive()).get("more_body", False)
    {working}
    await send({{"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]}})
    await send({{"type": "http.response.body", "body": b"no"}})
"""


def planted(
    folder: Path, *, started: str = "pass", stopping: str = "pass", reads: str = "True", working: str = "pass"
) -> Context:
    text = APP.format(started=started, stopping=stopping, reads=reads, working=working)
    (folder / "planted_app.py").write_text(text)
    return configured(folder)


def configured(folder: Path, app: str = "planted_app:app", more: str = "") -> Context:
    login = "auth: {login: {path: /login}, accounts: [{username: a@example.test, password: a-password}]}"
    yaml = (
        f"api: {{url: 'http://127.0.0.1:1', app: '{app}', {login}}}\nreadiness: {{shutdown: {{within_s: 2{more}}}}}\n"
    )
    return context(folder, yaml)


def test_a_service_that_ends_in_order(project: Path) -> None:
    result = run_check("readiness.graceful-shutdown", planted(project))
    expect(result, "pass", "401", "refused after", "ended after")


def test_a_service_that_is_slow_to_answer_is_waited_for(project: Path) -> None:
    ctx = planted(project, working="await asyncio.sleep(0.7)")
    expect(run_check("readiness.graceful-shutdown", ctx), "pass", "401")


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        pytest.param(
            "started",
            "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))",
            ("dropped",),
            id="shutdown-drops-requests",
        ),
        pytest.param(
            "started",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            ("new requests are served as before", "does not end within 2 s"),
            id="shutdown-signal-ignored",
        ),
        pytest.param("stopping", "await asyncio.sleep(60)", ("does not end within 2 s",), id="shutdown-hangs"),
        pytest.param(
            "started",
            "threading.Thread(target=time.sleep, args=(60,)).start()",
            ("does not end within 2 s",),
            id="shutdown-hangs-in-a-thread",
        ),
        pytest.param("stopping", "atexit.register(os._exit, 3)", ("exit code 3",), id="shutdown-fails"),
        pytest.param(
            "started", "signal.signal(signal.SIGTERM, lambda *_: os.abort())", ("signal 6",), id="shutdown-aborts"
        ),
    ],
)
def test_a_service_that_does_not_end_in_order(project: Path, where: str, code: str, words: tuple[str, ...]) -> None:
    expect(run_check("readiness.graceful-shutdown", planted(project, **{where: code})), "fail", *words)


def test_a_request_that_is_not_under_way_proves_nothing(project: Path) -> None:
    result = run_check("readiness.graceful-shutdown", planted(project, reads="False"))
    expect(result, "error", "answered before its body is whole", "401")


def test_a_service_that_is_ill_before_it_ends_is_not_judged(project: Path) -> None:
    ctx = planted(project, working='raise RuntimeError("no database")')
    expect(run_check("readiness.graceful-shutdown", ctx), "error", "not well: 500")


def test_a_service_that_does_not_start(project: Path) -> None:
    ctx = planted(project, started='return await send({"type": "lifespan.startup.failed", "message": "no"})')
    expect(run_check("readiness.graceful-shutdown", ctx), "error", "does not start")
    (project / "planted_app.py").write_text("import os\nos.environ['NO_SUCH_NAME']\n")
    expect(run_check("readiness.graceful-shutdown", configured(project)), "error", "KeyError about NO_SUCH_NAME")
    expect(run_check("readiness.graceful-shutdown", configured(project, "elsewhere.main:app")), "skip", "is not here")
    expect(
        run_check(
            "readiness.graceful-shutdown", context(project, "readiness: {shutdown: {}}\napi: {url: 'http://x'}\n")
        ),
        "skip",
        "api.app",
    )
    unasked = context(project, "api: {url: 'http://x', app: 'planted_app:app'}\n")
    expect(run_check("readiness.graceful-shutdown", unasked), "skip", "readiness.shutdown is not configured")


def test_a_request_of_ones_own(project: Path) -> None:
    planted(project)
    ctx = configured(project, more=", request: {path: /upload, method: PUT, body: {text: '{nonce}'}}")
    expect(run_check("readiness.graceful-shutdown", ctx), "pass")


def test_the_reference_service_ends_in_order(reference_platform: ReferencePlatform) -> None:
    reference_platform.forget_requests()
    folder = reference_platform.project.directory
    environ = {**reference_platform.environment, "API_PORT": "8443"}
    loaded = load(folder / "maestro.yaml", environ=environ)
    ctx = Context(loaded, redact=Redactor(loaded.secrets), environ=environ, probe_production=True)
    expect(run_check("readiness.graceful-shutdown", ctx), "pass", "401")
