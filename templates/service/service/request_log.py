"""One log line per request, and an answer without a stack trace where something breaks."""

from __future__ import annotations

import logging
import time
import traceback
import uuid
from collections import Counter

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import faults

ANSWERS: Counter[int] = Counter()
"""Answers by status, since the start of the process."""
_log = logging.getLogger("service.request")


class RequestLog:
    """Logs method, path without query, status, time and caller; never headers or bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, begun, status = uuid.uuid4().hex, time.perf_counter(), 0
        scope.setdefault("state", {})

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        fields = {"request_id": request_id, "method": scope["method"], "path": scope["path"]}
        try:
            await self.app(scope, receive, observed)
        except Exception as error:
            _log.exception("internal error", extra=fields)
            if status:  # the answer has begun: it can only be cut off
                raise
            await self._answer(error, request_id)(scope, receive, observed)
        finally:
            ANSWERS[status] += 1
            fields |= {"status": status, "client": (scope.get("client") or ("?",))[0]}
            fields |= {"duration_ms": round(1000 * (time.perf_counter() - begun), 1)}
            fields |= {"user": scope["state"].get("caller")}
            _log.info("request", extra=fields)

    @staticmethod
    def _answer(error: Exception, request_id: str) -> Response:
        if faults.on("debug-errors"):
            return PlainTextResponse("".join(traceback.format_exception(error)), 500)
        return JSONResponse({"detail": "internal error", "request_id": request_id}, 500)
