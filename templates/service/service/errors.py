"""What a client is told when something is wrong: enough to mend its request, nothing about our insides."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import redis
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.responses import PlainTextResponse, Response

from service import faults
from service.database import NotFound

_log = logging.getLogger("service.errors")


def _answer(status: int, detail: Any, headers: dict[str, str] | None = None) -> Response:
    # ASCII only: a lone surrogate in a client's field name must not break our answer, too.
    return Response(json.dumps({"detail": detail}), status, headers, "application/json")


async def invalid(_request: Request, error: Exception) -> Response:
    """422: where and what, but not the value, which may be a password."""
    if faults.on("malformed-500"):
        return _answer(500, "internal error")
    if faults.on("debug-errors"):
        return PlainTextResponse("".join(traceback.format_exception(error)), 422)
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    told = [{"loc": [str(part) for part in problem["loc"]], "msg": str(problem["msg"])} for problem in problems]
    return _answer(422, told)


async def not_found(_request: Request, _error: Exception) -> Response:
    """404: no such object, or another tenant's."""
    return _answer(404, "not found")


async def unstorable(_request: Request, _error: Exception) -> Response:
    """422: a value that PostgreSQL can't hold and that our own checks let through."""
    return _answer(422, "a value cannot be stored")


async def conflict(_request: Request, _error: Exception) -> Response:
    """409: the request contradicts what is stored."""
    return _answer(409, "this contradicts what is stored")


async def unavailable(_request: Request, error: Exception) -> Response:
    """503: the database or Redis does not answer. Without Redis nobody can tell a revoked token, so nobody gets in."""
    _log.error("a dependency does not answer: %s", type(error).__name__)
    return _answer(503, "temporarily unavailable", {"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Register them."""
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(NotFound, not_found)
    app.add_exception_handler(DataError, unstorable)
    app.add_exception_handler(IntegrityError, conflict)
    for unreachable in (OperationalError, InterfaceError, PoolTimeout, redis.ConnectionError, redis.TimeoutError):
        app.add_exception_handler(unreachable, unavailable)
