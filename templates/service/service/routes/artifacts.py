"""Artifacts and the record of their use."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from service.accounts import ActingTenant, Administrator, Reader, Writer
from service.database import tenant_scope
from service.models import Artifact, ArtifactUsage, Project
from service.schemas import ArtifactCreate, ArtifactPage, ArtifactRead, ArtifactUpdate, UsageCreate, UsageRead

router = APIRouter(prefix="/artifacts", tags=["artifacts"])


@router.post("", status_code=201)
def create_artifact(body: ArtifactCreate, caller: Writer, tenant: ActingTenant) -> ArtifactRead:
    """Add an artifact."""
    with tenant_scope(tenant) as scope:
        return ArtifactRead.model_validate(scope.add(Artifact(created_by=str(caller.user_id), **body.model_dump())))


@router.get("")
def list_artifacts(
    _caller: Reader,
    tenant: ActingTenant,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    before: uuid.UUID | None = None,
) -> ArtifactPage:
    """The newest artifacts; the next page is `before` the last id of this one."""
    with tenant_scope(tenant) as scope:
        rows = scope.page(Artifact, before=before, limit=limit)
        return ArtifactPage(items=[ArtifactRead.model_validate(row) for row in rows])


@router.get("/{artifact_id}")
def read_artifact(artifact_id: uuid.UUID, _caller: Reader, tenant: ActingTenant) -> ArtifactRead:
    """One artifact."""
    with tenant_scope(tenant) as scope:
        return ArtifactRead.model_validate(scope.get(Artifact, artifact_id))


@router.patch("/{artifact_id}")
def update_artifact(
    artifact_id: uuid.UUID, body: ArtifactUpdate, _caller: Writer, tenant: ActingTenant
) -> ArtifactRead:
    """Change an artifact."""
    with tenant_scope(tenant) as scope:
        artifact = scope.get(Artifact, artifact_id)
        for name, value in body.model_dump(exclude_unset=True).items():
            setattr(artifact, name, value)
        scope.session.flush()
        return ArtifactRead.model_validate(artifact)


@router.delete("/{artifact_id}", status_code=204)
def delete_artifact(artifact_id: uuid.UUID, _caller: Administrator, tenant: ActingTenant) -> None:
    """Delete an artifact and the record of its use."""
    with tenant_scope(tenant) as scope:
        scope.session.delete(scope.get(Artifact, artifact_id))


@router.post("/{artifact_id}/usage", status_code=201)
def record_usage(artifact_id: uuid.UUID, body: UsageCreate, _caller: Writer, tenant: ActingTenant) -> UsageRead:
    """Record that a project uses an artifact."""
    with tenant_scope(tenant) as scope:
        artifact = scope.get(Artifact, artifact_id)
        scope.get(Project, body.project_id)  # a foreign key alone would accept another tenant's project
        artifact.usage_count = Artifact.usage_count + 1
        return UsageRead.model_validate(scope.add(ArtifactUsage(artifact_id=artifact_id, **body.model_dump())))
