"""What comes in and goes out. Unknown fields are refused: nobody gets to set a column that is not listed here."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from service import faults

MAXIMUM_META_BYTES = 16 * 1024
MAXIMUM_META_DEPTH = 20
"""Deeper JSON can be stored, but whoever reads it may choke on it."""


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """JSON that PostgreSQL can store and everybody can read: no NaN, no NUL, no deep nesting."""
    try:
        text = json.dumps(value, allow_nan=False)
        deep = _depth(value) > MAXIMUM_META_DEPTH
    except (ValueError, RecursionError):
        raise ValueError("must be plain JSON") from None
    if deep or "\\u0000" in text or len(text) > MAXIMUM_META_BYTES:
        raise ValueError(f"must hold no NUL, at most {MAXIMUM_META_DEPTH} levels and {MAXIMUM_META_BYTES} bytes")
    return value


NO_NUL = r"^[^\x00]*$"
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL, strip_whitespace=True)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Meta = Annotated[dict[str, Any], AfterValidator(_storable)]


class Incoming(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="ignore" if faults.on("tenant-body-believed") else "forbid")


class Outgoing(BaseModel):
    """An answer's body, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Credentials(Incoming):
    """A login."""

    email: Annotated[str, StringConstraints(max_length=320, pattern=NO_NUL)]
    password: Annotated[str, StringConstraints(max_length=1024)]


class RefreshRequest(Incoming):
    """A refresh; browsers send the cookie instead."""

    refresh_token: str | None = None


class TokenPair(Outgoing):
    """The tokens of a login (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int


class ProjectFields(Incoming):
    """What a project may say of itself besides its name."""

    problem_class: Line | None = None
    complexity_score: Count | None = None
    team_size: Count | None = None
    start_date: date | None = None
    completion_date: date | None = None
    success_score: Score | None = None
    model_performance: Score | None = None
    compute_cost: Amount | None = None
    business_impact: Score | None = None
    meta: Meta = Field(default_factory=dict)


class ProjectCreate(ProjectFields):
    """A new project."""

    name: Line


class ProjectUpdate(ProjectFields):
    """Changes to a project; what is left out stays."""

    name: Line = ""


class ProjectRead(Outgoing):
    """A project."""

    id: uuid.UUID
    name: str
    problem_class: str | None
    complexity_score: int | None
    team_size: int | None
    start_date: date | None
    completion_date: date | None
    success_score: float | None
    model_performance: float | None
    compute_cost: float | None
    business_impact: float | None
    meta: dict[str, Any]


class ProjectPage(Outgoing):
    """Some projects, newest first."""

    items: list[ProjectRead]


class ArtifactFields(Incoming):
    """What an artifact may say of itself besides name and type."""

    version: Line = "1"
    tags: Annotated[list[Line], Field(max_length=50)] = Field(default_factory=list)
    content_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    storage_path: Annotated[str, StringConstraints(max_length=2000, pattern=NO_NUL)] | None = None
    meta: Meta = Field(default_factory=dict)
    is_active: bool = True


class ArtifactCreate(ArtifactFields):
    """A new artifact."""

    name: Line
    type: Line


class ArtifactUpdate(ArtifactFields):
    """Changes to an artifact; what is left out stays."""

    name: Line = ""
    type: Line = ""


class ArtifactRead(Outgoing):
    """An artifact."""

    id: uuid.UUID
    name: str
    type: str
    version: str
    created_by: str | None
    created_at: datetime
    usage_count: int
    avg_impact_score: float | None
    tags: list[str]
    content_hash: str | None
    storage_path: str | None
    meta: dict[str, Any]
    is_active: bool


class ArtifactPage(Outgoing):
    """Some artifacts, newest first."""

    items: list[ArtifactRead]


class UsageCreate(Incoming):
    """A use of an artifact by a project."""

    project_id: uuid.UUID
    impact_score: Score | None = None
    context: Meta = Field(default_factory=dict)


class UsageRead(Outgoing):
    """A recorded use."""

    id: uuid.UUID
    artifact_id: uuid.UUID
    project_id: uuid.UUID
    used_at: datetime
    impact_score: float | None


class MetricCreate(Incoming):
    """A measurement of a project."""

    metric_type: Line
    metric_value: Annotated[float, Field(allow_inf_nan=False)]
    meta: Meta = Field(default_factory=dict)


class MetricRead(Outgoing):
    """A recorded measurement."""

    id: uuid.UUID
    project_id: uuid.UUID
    metric_type: str
    metric_value: float
    timestamp: datetime


class MetricPage(Outgoing):
    """Some measurements, newest first."""

    items: list[MetricRead]
