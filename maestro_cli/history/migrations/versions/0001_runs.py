"""One row a run: what lists and trends are made of in columns, the whole report packed beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the index that every list reads."""
    op.create_table(
        "maestro_runs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("service", sa.String(255), nullable=False),
        sa.Column("environment", sa.String(32), nullable=False),
        sa.Column("commit_id", sa.String(64)),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Float(53)),
        sa.Column("coverage", sa.Float(53), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
    )
    op.create_index("maestro_runs_started", "maestro_runs", ["started_at", "id"])
    op.create_index("maestro_runs_subject", "maestro_runs", ["service", "environment", "started_at", "id"])


def downgrade() -> None:
    """Drop it, and every run with it."""
    op.drop_table("maestro_runs")
