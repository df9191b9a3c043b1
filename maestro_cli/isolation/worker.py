"""In a worker process: run one check after another and answer with findings."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
from collections.abc import Mapping
from typing import Any

from maestro_cli.api import Check
from maestro_cli.isolation.frames import ClosedError, receive_bytes, send
from maestro_cli.isolation.messages import describe_error, describe_finding
from maestro_cli.observe.context import Context, FixContext, Observations


def work(connection: socket.socket, checks: Mapping[str, Check]) -> None:
    """Answer requests until the other end closes. The first request carries the run's context.

    A worker serves the next check only after a plain finding: one that raised may have left anything behind.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the checks' own subprocesses need it
    ctx: Any = None
    folder, environ = os.getcwd(), dict(os.environ)  # noqa: PTH109 - a path object would be no clearer
    own = os.getpid()
    with contextlib.suppress(ClosedError):
        while True:
            request = pickle.loads(receive_bytes(connection))  # noqa: S301 - from maestro itself, our parent
            if "context" in request:
                ctx = request["context"]
                continue
            answer = _answer(request, checks[request["id"]], ctx)
            if os.getpid() != own:
                os._exit(0)  # the check forked, and this is the other one: it would answer a second time
            answer["number"] = request["number"]
            if isinstance(ctx, Context):
                answer["left"] = _clean_up(ctx)
            send(connection, answer)
            if "raised" in answer:
                return
            os.chdir(folder)
            if os.environ != environ:
                os.environ.clear()
                os.environ.update(environ)


def _clean_up(ctx: Context) -> list[str]:
    """Take away what the check made in the service: maestro cannot, and this process will be killed. What stayed."""
    if ctx.cleanup.pending:
        ctx.cleanup.run()
        # Logged out, deleted: the next check makes its own.
        ctx.observations.close()
        ctx.observations = Observations()
    left, ctx.cleanup.left = ctx.cleanup.left, []
    return [ctx.redact(what) for what in left]


def _answer(request: Mapping[str, Any], check: Check, ctx: Any) -> dict[str, Any]:
    redact = ctx.redact if isinstance(ctx, Context) else str
    try:
        if request["do"] == "run":
            return describe_finding(check(ctx), redact)
        if check.fix is None or not isinstance(ctx, FixContext):
            raise TypeError(f"{check.id} offers no fix")
        if request["do"] == "plan":
            return {"plan": [str(line) for line in check.fix.plan(ctx)]}
        return {"undo": str(check.fix.apply(ctx))}
    except BaseException as error:  # noqa: BLE001 - sys.exit and MemoryError included: it costs this check only
        try:
            return describe_error(error, redact)
        except BaseException:  # noqa: BLE001 - an exception whose __str__ raises
            return {"raised": "", "message": type(error).__name__}
