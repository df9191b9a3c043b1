"""The service in this process, on the database and Redis of `.env` (or the environment); without them, unit tests only."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from service import settings

STAND_INS = {
    "DATABASE_URL": "postgresql+asyncpg://app@localhost:1/none",
    "REDIS_URL": "redis://localhost:1/0",
    "CORS_ORIGINS": "https://app.example.test,https://admin.example.test",
    **{name: f"{name:x<40}" for name in settings.KEYS},
}
"""Enough to import every module, not enough to reach anything."""


def pytest_configure() -> None:
    try:
        settings.load()
    except settings.SettingsError:
        os.environ.update(STAND_INS)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Api:
    """Sends requests straight to the application, from an address of its own."""

    runner: asyncio.Runner
    token: str | None = None
    address: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"content-type": "application/json", **(headers or {})}
        if token or self.token:
            sent["authorization"] = f"Bearer {token or self.token}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.runner.run(self._call(method, path, sent, data))

    def log_in(self, email: str, variable: str) -> Answer:
        values = {**settings.read_env_file(Path(".env")), **os.environ}
        answer = self("POST", "/auth/login", {"email": email, "password": values[variable]})
        assert answer.status == 200, answer.text
        return answer

    def logged_in(self, email: str, variable: str) -> Api:
        return Api(self.runner, self.log_in(email, variable).json["access_token"])

    async def _call(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        from service.main import app

        path, _, query = target.partition("?")
        sent = {**headers, "Content-Length": str(len(body))}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": (self.address, 1),
            "server": ("localhost", 8443),
        }
        messages: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await app(scope, receive, send)
        received = {name.decode().title(): value.decode() for name, value in messages[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in messages[1:]).decode()
        return Answer(messages[0]["status"], received, text)


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="session")
def reachable() -> None:
    from service import database, redis_store

    try:
        database.ping()
        redis_store.ping()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not there
        pytest.skip(f"needs the database and Redis of .env: {type(error).__name__}")


@pytest.fixture
def api(runner: asyncio.Runner, reachable: None) -> Api:
    """Nobody, from a new address."""
    return Api(runner)


@pytest.fixture(scope="session")
def a(runner: asyncio.Runner, reachable: None) -> Api:
    """The administrator of one tenant."""
    return Api(runner).logged_in("a@example.test", "PROBE_A_PASSWORD")


@pytest.fixture(scope="session")
def b(runner: asyncio.Runner, reachable: None) -> Api:
    """The administrator of another one."""
    return Api(runner).logged_in("b@example.test", "PROBE_B_PASSWORD")
