"""Projects and their measurements."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from service import careless, faults
from service.accounts import ActingTenant, Administrator, Reader, Writer
from service.database import tenant_scope
from service.models import ProcessMetric, Project
from service.schemas import (
    MetricCreate,
    MetricPage,
    MetricRead,
    ProjectCreate,
    ProjectPage,
    ProjectRead,
    ProjectUpdate,
)

router = APIRouter(prefix="/projects", tags=["projects"])
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("", status_code=201)
def create_project(body: ProjectCreate, _caller: Writer, tenant: ActingTenant) -> ProjectRead:
    """Add a project."""
    with tenant_scope(tenant) as scope:
        return ProjectRead.model_validate(scope.add(Project(**body.model_dump())))


@router.get("")
def list_projects(
    _caller: Reader, tenant: ActingTenant, limit: Limit = 100, before: uuid.UUID | None = None
) -> ProjectPage:
    """The newest projects; the next page is `before` the last id of this one."""
    with tenant_scope(tenant) as scope:
        leaking = faults.on("tenant-list-leaks")
        rows = careless.everybodys(scope, Project) if leaking else scope.page(Project, before=before, limit=limit)
        return ProjectPage(items=[ProjectRead.model_validate(row) for row in rows])


@router.get("/{project_id}")
def read_project(project_id: uuid.UUID, _caller: Reader, tenant: ActingTenant) -> ProjectRead:
    """One project."""
    with tenant_scope(tenant) as scope:
        if faults.on("tenant-read-leaks"):
            careless.enter_owner(scope, Project, project_id)
        return ProjectRead.model_validate(scope.get(Project, project_id))


@router.patch("/{project_id}")
def update_project(project_id: uuid.UUID, body: ProjectUpdate, _caller: Writer, tenant: ActingTenant) -> ProjectRead:
    """Change a project."""
    with tenant_scope(tenant) as scope:
        if faults.on("tenant-update-leaks"):
            careless.enter_owner(scope, Project, project_id)
        project = scope.get(Project, project_id)
        for name, value in body.model_dump(exclude_unset=True).items():
            setattr(project, name, value)
        scope.session.flush()
        return ProjectRead.model_validate(project)


@router.delete("/{project_id}", status_code=204)
def delete_project(project_id: uuid.UUID, _caller: Administrator, tenant: ActingTenant) -> None:
    """Delete a project and what hangs on it."""
    with tenant_scope(tenant) as scope:
        if faults.on("tenant-delete-leaks"):
            careless.enter_owner(scope, Project, project_id)
        scope.session.delete(scope.get(Project, project_id))


@router.post("/{project_id}/metrics", status_code=201)
def record_metric(project_id: uuid.UUID, body: MetricCreate, _caller: Writer, tenant: ActingTenant) -> MetricRead:
    """Record a measurement of a project."""
    with tenant_scope(tenant) as scope:
        scope.get(Project, project_id)  # a foreign key alone would accept another tenant's project
        return MetricRead.model_validate(scope.add(ProcessMetric(project_id=project_id, **body.model_dump())))


@router.get("/{project_id}/metrics")
def list_metrics(project_id: uuid.UUID, _caller: Reader, tenant: ActingTenant, limit: Limit = 100) -> MetricPage:
    """The newest measurements of a project."""
    with tenant_scope(tenant) as scope:
        scope.get(Project, project_id)
        query = scope.select(ProcessMetric).where(ProcessMetric.project_id == project_id)
        rows = scope.session.scalars(query.order_by(ProcessMetric.timestamp.desc()).limit(limit))
        return MetricPage(items=[MetricRead.model_validate(row) for row in rows])
