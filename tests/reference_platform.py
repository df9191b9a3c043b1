"""The reference service on the test's own servers, and a client that speaks to it over verified HTTPS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import redis
import urllib3

from maestro_cli.certs.generate import ensure_pair
from maestro_cli.certs.store import Pair
from maestro_cli.config import load
from maestro_cli.demo.preloader import Preloader
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.demo.service import APPLICATION_ROLE, OWNER_ROLE, RunningService, ServiceProject, provision
from maestro_cli.redaction import Secret
from maestro_cli.tenants.runner import apply

DEFAULT_TENANT = "371191e4-9748-4b2a-9c7f-2d986463afa7"
SECOND_TENANT = "5b2c2a6e-0d6c-4f0b-9a58-6f1f3a9b7c21"
ORIGINS = ("https://app.example.test", "https://admin.example.test", "https://docs.example.test")
SAMPLE_ROWS = 5
ACCOUNTS = {account: f"PROBE_{account.upper()}_PASSWORD" for account in ("a", "b", "viewer", "inactive")}


@dataclass(frozen=True)
class Answer:
    """A status, headers and a body."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    """Speaks to one service; `token` is sent as bearer."""

    url: str
    ca: Path
    token: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    _pool: urllib3.PoolManager | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.clear()

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Send one request; `body` as JSON, or `raw` bytes as they are."""
        if self._pool is None:
            self._pool = urllib3.PoolManager(ca_certs=str(self.ca), retries=False, timeout=20)
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        if token or self.token:
            sent["Authorization"] = f"Bearer {token or self.token}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self.url + path, body=data, headers=sent, redirect=False)
        return Answer(answer.status, answer.headers, answer.data.decode("utf-8", "replace"))


@dataclass
class ReferencePlatform:
    """Project, environment and certificates; the servers belong to the test session."""

    project: ServiceProject
    environment: dict[str, str]
    pair: Pair
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    preloader: Preloader

    def start(self, *faults: str, **environment: str) -> RunningService:
        """Run the service, with faults planted and variables added. The caller stops it."""
        name = "-".join(faults[:2])[:40] or "healthy"
        return self.project.start(
            {**self.environment, **environment},
            cert=self.pair.fullchain,
            key=self.pair.key,
            faults=faults,
            log=self.project.directory / f"{name}-{secrets.token_hex(3)}.log",
            preloader=self.preloader,
        )

    def client(self, service: RunningService, **headers: str) -> Client:
        """A client without a token."""
        return Client(service.url, self.pair.ca, headers=headers)

    def login(self, service: RunningService, account: str = "a") -> Answer:
        """Log an account in: a and b are administrators of two tenants, viewer may only read in a's."""
        with self.client(service) as client:
            credentials = {"email": f"{account}@example.test", "password": self.environment[ACCOUNTS[account]]}
            return client("POST", "/auth/login", credentials)

    def as_account(self, service: RunningService, account: str) -> Client:
        """A client that is logged in."""
        return Client(service.url, self.pair.ca, token=self.login(service, account).json["access_token"])

    def forget_requests(self) -> None:
        """Begin new rate-limit windows."""
        with redis.Redis.from_url(self.valkey.admin_url.reveal()) as client:
            for key in client.scan_iter("rate:*"):
                client.delete(key)


def build_platform(
    folder: Path, postgres: EmbeddedPostgres, valkey: EmbeddedValkey, preloader: Preloader
) -> ReferencePlatform:
    """Copy, provision, migrate, make multi-tenant, seed, certify."""
    owner, application = Secret(secrets.token_urlsafe(24)), Secret(secrets.token_urlsafe(24))
    database = f"maestro_ml_{secrets.token_hex(4)}"
    provision(postgres.admin_url, owner_password=owner, app_password=application, database=database)
    environment = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": postgres.url_for(database, APPLICATION_ROLE, application).reveal(),
        "ADMIN_DATABASE_URL": postgres.url_for(database, OWNER_ROLE, owner).reveal(),
        "POSTGRES_PASSWORD": application.reveal(),
        "REDIS_URL": valkey.url.reveal(),
        "REDIS_PASSWORD": valkey.password.reveal(),
        "CORS_ORIGINS": ",".join(ORIGINS),
        **{name: secrets.token_urlsafe(32) for name in ("JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY")},
        **{name: secrets.token_urlsafe(32) for name in ("API_SECRET_KEY", "ENCRYPTION_KEY")},
        **{name: secrets.token_urlsafe(16) for name in ACCOUNTS.values()},
    }
    project = ServiceProject.create(folder / "service")
    project.migrate(environment)
    project.seed(environment, sample_rows=SAMPLE_ROWS)
    (project.directory / ".env").touch(0o600)
    tenancy = load(project.directory / "maestro.yaml", environ=environment).settings.tenancy
    assert tenancy is not None
    apply(environment["ADMIN_DATABASE_URL"], tenancy, contract=True)
    project.seed(environment)
    pair = ensure_pair(project.directory / "certs", key_type="ec-p256", now=datetime.now(UTC))
    return ReferencePlatform(project, environment, pair, postgres, valkey, preloader)
