"""Divide the database among tenants, as maestro.yaml says.

Revision ID: 0001_tenants
Revises:
"""

from __future__ import annotations

from alembic import context

revision = "0001_tenants"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What `maestro migrate apply` does."""
    context.config.attributes["maestro"].up()


def downgrade() -> None:
    """What `maestro migrate rollback` does; refused while more than one tenant has rows."""
    context.config.attributes["maestro"].down()
