"""The seed's six tables as they are before tenancy, and the tenancy of the contract."""

from __future__ import annotations

from maestro_cli.config.tenancy_settings import Rls, Tenancy, TenantTable

SEED = """
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text UNIQUE NOT NULL);
CREATE TABLE projects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, problem_class text, complexity_score float,
    team_size int, start_date timestamptz DEFAULT now(), completion_date timestamptz, success_score float,
    model_performance float, compute_cost float, business_impact float, meta json);
CREATE TABLE artifacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, type text NOT NULL DEFAULT 'template', version text,
    created_by text, created_at timestamptz DEFAULT now(), usage_count int, avg_impact_score float, tags text[],
    content_hash text, storage_path text, meta json, is_active boolean DEFAULT true);
CREATE TABLE artifact_usage (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), artifact_id uuid NOT NULL REFERENCES artifacts,
    project_id uuid NOT NULL REFERENCES projects, used_at timestamptz DEFAULT now(), impact_score float, context json);
CREATE TABLE team_members (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects, role text,
    experience_level text, contribution_hours float, performance_score float);
CREATE TABLE process_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects,
    metric_type text NOT NULL, metric_value float, timestamp timestamptz DEFAULT now(), meta json);
CREATE TABLE predictions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects,
    predicted_success_score float, confidence float, created_at timestamptz DEFAULT now());
"""

ROWS = """
INSERT INTO projects (name) SELECT 'project ' || i FROM generate_series(1, 20) i;
INSERT INTO artifacts (name) SELECT 'artifact ' || i FROM generate_series(1, 500) i;
INSERT INTO artifact_usage (artifact_id, project_id)
    SELECT a.id, (SELECT id FROM projects ORDER BY id LIMIT 1) FROM artifacts a;
INSERT INTO team_members (project_id) SELECT id FROM projects;
INSERT INTO process_metrics (project_id, metric_type) SELECT p.id, 'm' || i FROM projects p, generate_series(1, 100) i;
INSERT INTO predictions (project_id) SELECT id FROM projects;
"""

TABLES = {
    "projects": TenantTable(indexes=(("tenant_id",), ("tenant_id", "start_date"), ("tenant_id", "name"))),
    "artifacts": TenantTable(
        indexes=(("tenant_id",), ("tenant_id", "created_at"), ("tenant_id", "type"), ("tenant_id", "is_active"))
    ),
    "artifact_usage": TenantTable(indexes=(("tenant_id",), ("tenant_id", "used_at"))),
    "team_members": TenantTable(indexes=(("tenant_id",),)),
    "process_metrics": TenantTable(indexes=(("tenant_id",), ("tenant_id", "timestamp"), ("tenant_id", "metric_type"))),
    "predictions": TenantTable(indexes=(("tenant_id",), ("tenant_id", "created_at"))),
}

TENANCY = Tenancy(tables=TABLES, shared=("users",))


def isolated(role: str, **more: object) -> Tenancy:
    """The same, with row-level security, composite keys and uniques per tenant."""
    settings: dict[str, object] = {"composite_keys": True, "unique": "per_tenant", "rls": Rls(role=role), **more}
    return Tenancy(**{"tables": TABLES, "shared": ("users",), **settings})  # type: ignore[arg-type] # keys of the section
