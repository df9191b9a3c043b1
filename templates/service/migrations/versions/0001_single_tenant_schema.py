"""The schema as it was for one organisation: no tenants yet.

`maestro migrate apply` makes it multi-tenant afterwards, on the live database.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import os
import re

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("projects", "artifacts", "artifact_usage", "team_members", "process_metrics", "predictions")

SCHEMA = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL,
    password_hash text NOT NULL,
    tenant_id uuid NOT NULL,
    role text NOT NULL DEFAULT 'viewer',
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_users_email UNIQUE (email)
);
CREATE TABLE projects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    problem_class text,
    complexity_score integer,
    team_size integer,
    start_date date,
    completion_date date,
    success_score double precision,
    model_performance double precision,
    compute_cost double precision,
    business_impact double precision,
    meta jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE artifacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    type text NOT NULL,
    version text NOT NULL DEFAULT '1',
    created_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    usage_count integer NOT NULL DEFAULT 0,
    avg_impact_score double precision,
    tags text[] NOT NULL DEFAULT '{}',
    content_hash text,
    storage_path text,
    meta jsonb NOT NULL DEFAULT '{}',
    is_active boolean NOT NULL DEFAULT true
);
CREATE TABLE artifact_usage (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    artifact_id uuid NOT NULL,
    project_id uuid NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    impact_score double precision,
    context jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT fk_artifact_usage_artifact_id_artifacts FOREIGN KEY (artifact_id) REFERENCES artifacts ON DELETE CASCADE,
    CONSTRAINT fk_artifact_usage_project_id_projects FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE
);
CREATE INDEX ix_artifact_usage_artifact_id ON artifact_usage (artifact_id);
CREATE INDEX ix_artifact_usage_project_id ON artifact_usage (project_id);
CREATE TABLE team_members (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    role text NOT NULL,
    experience_level text,
    contribution_hours double precision,
    performance_score double precision,
    CONSTRAINT fk_team_members_project_id_projects FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE
);
CREATE INDEX ix_team_members_project_id ON team_members (project_id);
CREATE TABLE process_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    metric_type text NOT NULL,
    metric_value double precision NOT NULL,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    meta jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT fk_process_metrics_project_id_projects FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE
);
CREATE INDEX ix_process_metrics_project_id ON process_metrics (project_id);
CREATE TABLE predictions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    predicted_success_score double precision,
    predicted_completion_date date,
    predicted_compute_cost double precision,
    confidence double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_predictions_project_id_projects FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE
);
CREATE INDEX ix_predictions_project_id ON predictions (project_id);
"""

GRANTS = """
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role};
GRANT SELECT ON users, alembic_version TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {role};
"""
"""Least privilege for the service's role: it reads accounts and tenants, and owns nothing."""

REVOKE = "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM {role}"


def _application_role() -> str:
    role = os.environ.get("APP_DATABASE_ROLE", "maestro_app")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise SystemExit("error: APP_DATABASE_ROLE must be a plain lower-case name")
    return role


def upgrade() -> None:
    op.execute(SCHEMA)
    op.execute(GRANTS.format(role=_application_role(), tables=", ".join(TABLES)))


def downgrade() -> None:
    op.execute(REVOKE.format(role=_application_role()))
    op.execute(f"DROP TABLE {', '.join(reversed((*TABLES, 'users')))}")
