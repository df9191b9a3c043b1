"""The application: `uvicorn service.main:app`, or better `python -m service`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service import careless, errors, faults, logging_setup, redis_store
from service.cross_origin import CrossOrigin
from service.database import engine
from service.limits import RateLimit, RequestLimits
from service.request_log import RequestLog
from service.routes import artifacts, authentication, operations, projects
from service.security_headers import SecurityHeaders
from service.settings import Settings, current


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    engine().dispose()
    redis_store.client().close()


def create_app(settings: Settings) -> FastAPI:
    """Put the parts together."""
    logging_setup.configure()
    faults.announce()
    docs = settings.development or faults.on("docs-open")
    app = FastAPI(
        title="maestro-ml",
        lifespan=_lifespan,
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
    )
    errors.install(app)
    routers = [part.router for part in (authentication, projects, artifacts, operations)]
    for router in routers:
        app.include_router(router)
    careless.expose(app)
    # The last one added is the first to see a request and the last to see its answer.
    app.add_middleware(RateLimit, settings=settings, routes=[route for router in routers for route in router.routes])
    app.add_middleware(RequestLimits, settings=settings)
    app.add_middleware(RequestLog)
    app.add_middleware(CrossOrigin, origins=settings.cors_origins)
    app.add_middleware(SecurityHeaders, docs_path="/docs" if docs else None)
    return app


app = create_app(current())
