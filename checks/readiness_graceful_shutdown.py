"""Does the service end as a deployment needs it to?"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.application import ApplicationError
from maestro_cli.observe.ending import Ending, observe_ending, request_of, see_it_answer
from maestro_cli.observe.own_service import OwnService

IN_ORDER = (0, -15)
"""Exit codes of a service that was asked to end: its own zero, or the signal's."""


@check(
    "readiness.graceful-shutdown",
    component="deployment",
    priority="medium",
    writes=True,
    sessionless=True,
    deadline_s=60,
    faults=(
        "shutdown-drops-requests",
        "shutdown-signal-ignored",
        "shutdown-hangs",
        "shutdown-fails",
    ),
)
def graceful_shutdown(ctx: Context) -> Iterator[Finding]:
    """The service ends in order.

    Why: each deployment ends the old processes; what they were answering is an error for somebody, unless they finish it
    first, and one that does not end is killed in the middle of its work.
    Fails when: api.app, started once more on a port of this machine as `maestro serve` does, and sent SIGTERM while a
    request is under way, does not answer that request, goes on serving new ones, does not end within
    readiness.shutdown.within_s, or ends with another exit code than 0. The request is the login of a user that does not
    exist, with half of its body held back, or readiness.shutdown.request.
    Fix: leave SIGTERM to the server (uvicorn, gunicorn); end background tasks and threads in the application's shutdown; give
    each of them a time limit.
    Source: The Twelve-Factor App, IX. Disposability; Kubernetes, Pod Lifecycle (termination)
    """
    # Not by itself: a second copy of somebody's service may have more to do than answer requests.
    shutdown = ctx.require(ctx.settings.readiness.shutdown, "readiness.shutdown")
    api = ctx.require(ctx.settings.api, "api")
    app = ctx.require(api.app, "api.app")
    request_of(ctx)
    within = shutdown.within_s
    try:
        with OwnService(ctx, app, drain_s=within) as service:
            seen = observe_ending(ctx, service, within_s=within)
        if seen.dropped:  # an answer is its own control
            with OwnService(ctx, app, drain_s=within) as service:
                see_it_answer(ctx, service)
    except ApplicationError as error:
        yield errored(f"The service could not be started to be ended: {error.message}.", fix=_start(app))
        return
    yield from _judge(seen, within)


def _start(app: str) -> str:
    if importlib.util.find_spec("uvicorn") is None:
        return "Install uvicorn: pip install 'maestro-readiness[serve]'; or name the project's Python in readiness.project.python."
    return f"See what it says: maestro serve http {app}"


def _judge(seen: Ending, within_s: float) -> Iterator[Finding]:
    if seen.answered is None:
        under_way = Evidence("request under way at SIGTERM", "the connection ended without an answer", "answered")
        yield failed("A request that is under way at SIGTERM is dropped.", under_way)
    elif seen.answered >= 500:
        under_way = Evidence("request under way at SIGTERM", str(seen.answered), "answered as ever")
        yield failed(f"A request that is under way at SIGTERM is answered {seen.answered}.", under_way)
    else:
        yield passed(
            "What is under way is answered.", Evidence("request under way at SIGTERM", str(seen.answered), "answered")
        )
    if seen.refused_s is None:
        yield failed("After SIGTERM new requests are served as before.", Evidence("new requests", "served", "refused"))
    else:
        yield passed("New requests are refused.", Evidence("new requests", f"refused after {seen.refused_s:.1f} s"))
    if seen.ended_s is None:
        yield failed(
            f"The process does not end within {within_s:g} s of SIGTERM.",
            Evidence("process", f"runs after {within_s:g} s", "ended"),
        )
    elif seen.code not in IN_ORDER:
        code = f"signal {-seen.code}" if seen.code is not None and seen.code < 0 else f"exit code {seen.code}"
        yield failed(f"The process ends with {code}.", Evidence("process", code, "exit code 0"))
    else:
        yield passed(
            "The service ends in order.",
            Evidence("process", f"ended after {seen.ended_s:.1f} s", f"within {within_s:g} s, exit code 0"),
        )
