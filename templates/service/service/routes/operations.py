"""What operators and load balancers ask."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from functools import partial

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from service import careless, database, faults, redis_store
from service.accounts import bearer_token, unauthorized
from service.request_log import ANSWERS
from service.settings import current

router = APIRouter(tags=["operations"])
DEADLINE_SECONDS = 2.0
"""A dependency that is silent for this long counts as down; a load balancer has no patience for more."""
_threads = CapacityLimiter(8)
"""Of their own: a dependency that hangs must not use up the threads that answer requests."""


async def _state(ping: Callable[[], None]) -> str:
    run = partial(to_thread.run_sync, ping, abandon_on_cancel=True, limiter=_threads)
    try:
        await asyncio.wait_for(run(), DEADLINE_SECONDS)
    except TimeoutError:
        return "no answer"
    except Exception:  # noqa: BLE001 - whatever is wrong, it is unreachable; details are not for the public
        return "unreachable"
    return "ok"


async def _states() -> tuple[str, str]:
    return await asyncio.gather(_state(database.ping), _state(redis_store.ping))


@router.get("/health")
async def health(response: Response) -> dict[str, object]:
    """Whether the service and what it depends on can do their work: 200, or 503 naming what can't."""
    if faults.on("health-500"):
        raise RuntimeError("planted")
    if faults.on("health-slow"):
        await asyncio.sleep(1.5)
    if faults.on("health-lies"):
        return {"status": "ok", "checks": {"postgresql": "ok", "redis": "ok"}}
    if faults.on("health-remembered"):
        postgresql, redis = await careless.remembered(_states)
    else:
        postgresql, redis = await _states()
    well = postgresql == redis == "ok" and not faults.on("health-unavailable")
    response.status_code = 200 if well else 503
    return {"status": "ok" if well else "unavailable", "checks": {"postgresql": postgresql, "redis": redis}}


@router.get("/live")
async def live() -> dict[str, str]:
    """Whether the process answers at all; restart it if not. Says nothing about its dependencies."""
    return {"status": "ok"}


@router.get("/metrics")
async def metrics(request: Request) -> PlainTextResponse:
    """Answers by status, for Prometheus; needs API_SECRET_KEY as bearer token."""
    if not faults.on("metrics-open"):
        given, wanted = bearer_token(request).encode(), current().api_key.encode()
        if not hmac.compare_digest(given, wanted):
            raise unauthorized()
    lines = ["# HELP service_answers_total Answers by status.", "# TYPE service_answers_total counter"]
    lines += [f'service_answers_total{{status="{status}"}} {count}' for status, count in sorted(ANSWERS.items())]
    return PlainTextResponse("\n".join(lines) + "\n")
