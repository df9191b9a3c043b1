"""`python -m service.seed`: accounts to try the service with; `--sample-rows N` adds projects and what hangs on them.

Needs ADMIN_DATABASE_URL: the service's own role may not write accounts. Accounts need the tenants table, so run
`maestro migrate apply` first; sample rows can be added before, as a database with a history would have them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, create_engine, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from service import faults
from service.database import TENANT_SETTING
from service.models import Artifact, ArtifactUsage, Prediction, ProcessMetric, Project, TeamMember, Tenant, User, uuid7
from service.passwords import hash_password
from service.settings import psycopg2_url

DEFAULT_TENANT = uuid.UUID("371191e4-9748-4b2a-9c7f-2d986463afa7")
SECOND_TENANT = uuid.UUID("5b2c2a6e-0d6c-4f0b-9a58-6f1f3a9b7c21")
ACCOUNTS = (
    ("a@example.test", "PROBE_A_PASSWORD", DEFAULT_TENANT, "admin", True),
    ("b@example.test", "PROBE_B_PASSWORD", SECOND_TENANT, "admin", True),
    ("viewer@example.test", "PROBE_VIEWER_PASSWORD", DEFAULT_TENANT, "viewer", True),
    ("inactive@example.test", "PROBE_INACTIVE_PASSWORD", DEFAULT_TENANT, "member", False),
)
"""E-mail, variable of the password, tenant, role, whether active. The last two are made only where their variable is set."""
BEGINNING = datetime(2025, 1, 6, 9, tzinfo=UTC)


def seed_accounts(connection: Connection, environ: Mapping[str, str]) -> list[str]:
    """Make the second tenant and the accounts, or set their passwords anew.

    Returns:
        The e-mail addresses.
    """
    tenant = {"id": SECOND_TENANT, "name": "Second Organization", "slug": "second"}
    connection.execute(upsert(Tenant).values(tenant).on_conflict_do_nothing())
    made = []
    for email, variable, tenant_id, role, active in ACCOUNTS:
        if variable not in environ:
            continue
        values = {"tenant_id": tenant_id, "role": role, "is_active": active}
        values["password_hash"] = hash_password(environ[variable])
        statement = upsert(User).values(id=uuid7(), email=email, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["email"], set_=values))
        made.append(email)
    return made


def _add(connection: Connection, model: Any, **values: Any) -> uuid.UUID:
    """Insert without naming the tenant column: it may not be there yet."""
    row_id = uuid7()
    connection.execute(insert(model.__table__).values(id=row_id, **values))
    return row_id


def seed_rows(connection: Connection, count: int) -> None:
    """Add `count` projects, each with an artifact, its use, a member, a metric and a prediction."""
    connection.execute(text(f"SELECT set_config('{TENANT_SETTING}', '{DEFAULT_TENANT}', true)"))
    for number in range(count):
        day = BEGINNING + timedelta(days=number % 250)
        digest = hashlib.sha256(f"artifact {number}".encode()).hexdigest()
        project = _add(
            connection,
            Project,
            name=f"project {number}",
            problem_class=("classification", "regression", "ranking")[number % 3],
            complexity_score=number % 10,
            team_size=2 + number % 7,
            start_date=day.date(),
        )
        artifact = _add(
            connection,
            Artifact,
            name=f"features {number}",
            type=("feature", "model", "template")[number % 3],
            created_by="seed",
            content_hash=digest,
        )
        _add(connection, ArtifactUsage, artifact_id=artifact, project_id=project, used_at=day, impact_score=0.5)
        _add(connection, TeamMember, project_id=project, role="data scientist", experience_level="senior")
        _add(
            connection, ProcessMetric, project_id=project, metric_type="lead_time_days", metric_value=float(number % 30)
        )
        _add(connection, Prediction, project_id=project, predicted_success_score=0.8, confidence=0.6)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service.seed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample-rows", type=int, metavar="N", help="add N projects instead of the accounts")
    arguments = parser.parse_args()
    faults.announce()
    url = os.environ.get("ADMIN_DATABASE_URL")
    required = [] if arguments.sample_rows else ["PROBE_A_PASSWORD", "PROBE_B_PASSWORD"]
    missing = [name for name in ["ADMIN_DATABASE_URL", *required] if not os.environ.get(name)]
    if url is None or missing:
        print(f"error: not set: {', '.join(missing)}", file=sys.stderr)  # noqa: T201 - a command line's answer
        return 2
    engine = create_engine(psycopg2_url(url), hide_parameters=True)
    with engine.begin() as connection:
        if arguments.sample_rows:
            seed_rows(connection, arguments.sample_rows)
            print(f"added {arguments.sample_rows} projects")  # noqa: T201 - the same
            return 0
        if connection.execute(select(Tenant.id).where(Tenant.id == DEFAULT_TENANT)).first() is None:
            print("error: the default tenant is missing; run: maestro migrate apply", file=sys.stderr)  # noqa: T201
            return 1
        for email in seed_accounts(connection, os.environ):
            print(f"account {email}")  # noqa: T201 - the same
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
