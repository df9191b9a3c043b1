"""The tables, as they are after `maestro migrate apply`: every row of the six tables belongs to a tenant.

The names of constraints and indexes are those that the migration gives, so that `alembic check` finds no difference.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.encryption import EncryptedText

NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
NOW = text("now()")
EMPTY_OBJECT = text("'{}'::jsonb")


def uuid7() -> uuid.UUID:
    """A UUID that sorts by the time it was made (RFC 9562, section 5.7): new rows stand together in the index."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


class Base(DeclarativeBase):
    """What all tables share: uuid keys, `text` for strings, instants with a time zone."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text,
        float: Float(53),
        int: Integer,
        bool: Boolean,
        date: Date,
        datetime: TIMESTAMP(timezone=True),
        uuid.UUID: UUID(as_uuid=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7, server_default=text("gen_random_uuid()"))


class Tenant(Base):
    """A customer. Made by `maestro migrate apply` and `maestro tenants create`; the service only reads it."""

    __tablename__ = "tenants"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    name: Mapped[str] = mapped_column(unique=True)
    slug: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    max_users: Mapped[int | None] = mapped_column(BigInteger)
    max_projects: Mapped[int | None] = mapped_column(BigInteger)
    max_artifacts: Mapped[int | None] = mapped_column(BigInteger)
    meta: Mapped[dict[str, Any] | None]


class User(Base):
    """Somebody who can log in. Found by e-mail before any tenant is known, hence outside row-level security."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    tenant_id: Mapped[uuid.UUID]
    role: Mapped[str] = mapped_column(server_default=text("'viewer'"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Owned:
    """A row of a tenant."""

    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))


def own(parent: str, column: str) -> ForeignKeyConstraint:
    """A foreign key that can't point to another tenant's row: PostgreSQL checks keys past row-level security."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{parent}.tenant_id", f"{parent}.id"], ondelete="CASCADE")


class Project(Owned, Base):
    """A machine-learning project."""

    __tablename__ = "projects"
    __table_args__ = (
        Index("uq_projects_tenant_id_id", "tenant_id", "id", unique=True),
        Index(None, "tenant_id"),
        Index(None, "tenant_id", "start_date"),
        Index(None, "tenant_id", "name"),
    )

    name: Mapped[str]
    problem_class: Mapped[str | None]
    complexity_score: Mapped[int | None]
    team_size: Mapped[int | None]
    start_date: Mapped[date | None]
    completion_date: Mapped[date | None]
    success_score: Mapped[float | None]
    model_performance: Mapped[float | None]
    compute_cost: Mapped[float | None]
    business_impact: Mapped[float | None]
    meta: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT, default=dict)


class Artifact(Owned, Base):
    """A data set, feature pipeline, model or template that projects share."""

    __tablename__ = "artifacts"
    __table_args__ = (
        Index("uq_artifacts_tenant_id_id", "tenant_id", "id", unique=True),
        Index(None, "tenant_id"),
        Index(None, "tenant_id", "created_at"),
        Index(None, "tenant_id", "type"),
        Index(None, "tenant_id", "is_active"),
    )

    name: Mapped[str]
    type: Mapped[str]
    version: Mapped[str] = mapped_column(server_default=text("'1'"))
    created_by: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    usage_count: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    avg_impact_score: Mapped[float | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"), default=list)
    content_hash: Mapped[str | None]
    storage_path: Mapped[str | None] = mapped_column(EncryptedText)
    meta: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT, default=dict)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"), default=True)


class ArtifactUsage(Owned, Base):
    """A use of an artifact by a project."""

    __tablename__ = "artifact_usage"
    __table_args__ = (
        own("artifacts", "artifact_id"),
        own("projects", "project_id"),
        Index(None, "tenant_id"),
        Index(None, "tenant_id", "used_at"),
    )

    artifact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    used_at: Mapped[datetime] = mapped_column(server_default=NOW)
    impact_score: Mapped[float | None]
    context: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT, default=dict)


class TeamMember(Owned, Base):
    """Somebody's part in a project."""

    __tablename__ = "team_members"
    __table_args__ = (own("projects", "project_id"), Index(None, "tenant_id"))

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    role: Mapped[str]
    experience_level: Mapped[str | None]
    contribution_hours: Mapped[float | None]
    performance_score: Mapped[float | None]


class ProcessMetric(Owned, Base):
    """A measurement of how a project goes."""

    __tablename__ = "process_metrics"
    __table_args__ = (
        own("projects", "project_id"),
        Index(None, "tenant_id"),
        Index(None, "tenant_id", "timestamp"),
        Index(None, "tenant_id", "metric_type"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    metric_type: Mapped[str]
    metric_value: Mapped[float]
    timestamp: Mapped[datetime] = mapped_column(server_default=NOW)
    meta: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT, default=dict)


class Prediction(Owned, Base):
    """How a project is expected to turn out."""

    __tablename__ = "predictions"
    __table_args__ = (
        own("projects", "project_id"),
        Index(None, "tenant_id"),
        Index(None, "tenant_id", "created_at"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    predicted_success_score: Mapped[float | None]
    predicted_completion_date: Mapped[date | None]
    predicted_compute_cost: Mapped[float | None]
    confidence: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
