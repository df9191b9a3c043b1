"""The database: one pool, and work that is always inside one transaction and one tenant."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, create_engine, func, select, text
from sqlalchemy.orm import Session

from service.models import Artifact, ArtifactUsage, Base, Owned, Prediction, ProcessMetric, Project, TeamMember
from service.settings import current

Row = TypeVar("Row", Project, Artifact, ArtifactUsage, TeamMember, ProcessMetric, Prediction)

TENANT_SETTING = "app.tenant_id"
CONNECT_SECONDS = 2
STATEMENT_MS = 5_000


class NotFound(LookupError):  # noqa: N818 - said to a client as 404, not a failure of ours
    """There is no such object, or it is another tenant's: the two can't be told apart."""


@cache
def engine() -> Engine:
    """The pool; made on first use."""
    return create_engine(
        current().database_url,
        pool_size=5,
        max_overflow=5,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # values stay out of errors and logs
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "service",
            "options": f"-c statement_timeout={STATEMENT_MS} -c idle_in_transaction_session_timeout=10000",
        },
    )


def ping() -> None:
    """Ask the database something; raises where it does not answer."""
    with engine().connect() as connection:
        connection.execute(text("SELECT 1"))


@contextmanager
def transaction() -> Iterator[Session]:
    """A transaction outside any tenant: accounts and tenants. The six tables show no row in it."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


class TenantScope:
    """A transaction that sees and writes the rows of one tenant.

    Row-level security keeps it so in the database; the condition in each query says the same once more.
    """

    def __init__(self, session: Session, tenant_id: uuid.UUID) -> None:
        self.session = session
        self.tenant_id = tenant_id
        self.enter(tenant_id)

    def enter(self, tenant_id: uuid.UUID) -> None:
        """Set the tenant for what follows in this transaction."""
        self.tenant_id = tenant_id
        self.session.execute(select(func.set_config(TENANT_SETTING, str(tenant_id), True)))

    def select(self, model: type[Row]) -> Select[Any]:
        """A query over the tenant's rows."""
        return select(model).where(model.tenant_id == self.tenant_id)

    def get(self, model: type[Row], row_id: uuid.UUID) -> Row:
        """One row.

        Raises:
            NotFound: The tenant has no such row.
        """
        found: Row | None = self.session.scalars(self.select(model).where(model.id == row_id)).one_or_none()
        if found is None:
            raise NotFound
        return found

    def page(self, model: type[Row], *, before: uuid.UUID | None, limit: int) -> list[Row]:
        """Up to `limit` rows, newest first, older than the row `before`."""
        query = self.select(model).order_by(model.id.desc()).limit(limit)
        return list(self.session.scalars(query if before is None else query.where(model.id < before)))

    def add(self, row: Row) -> Row:
        """Store a new row of the tenant, with the database's defaults filled in."""
        row.tenant_id = self.tenant_id
        self.session.add(row)
        self.session.flush()
        self.session.refresh(row)
        return row


@contextmanager
def tenant_scope(tenant_id: uuid.UUID) -> Iterator[TenantScope]:
    """A transaction of one tenant; committed at the end, before the answer is sent."""
    with transaction() as session:
        yield TenantScope(session, tenant_id)


__all__ = ["Base", "NotFound", "Owned", "TenantScope", "engine", "ping", "tenant_scope", "transaction"]
