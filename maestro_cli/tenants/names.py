"""The names that the migration gives to constraints and indexes. One rule, kept for good.

An application's own models must use the same names, or its `alembic check` would find a difference:

    index          ix_<table>_<columns joined by _>               ix_artifacts_tenant_id_created_at
    foreign key    fk_<table>_<column>_<tenants table>            fk_artifacts_tenant_id_tenants
    composite key  fk_<table>_<columns joined by _>_<parent>      fk_artifact_usage_tenant_id_project_id_projects
    unique         uq_<table>_<columns joined by _>               uq_projects_tenant_id_name
    check          ck_<table>_<column>_not_null                   (there only while NOT NULL is on its way)

PostgreSQL keeps 63 bytes of a name. A longer one is cut and ends in `_` and 8 hexadecimal digits of its SHA-256, so
that two long names that begin alike stay apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

LIMIT = 63
"""Bytes in a PostgreSQL identifier (NAMEDATALEN - 1)."""


def name(kind: str, *parts: str) -> str:
    """A name by the rule above: `name("ix", "artifacts", "tenant_id")`."""
    whole = "_".join((kind, *parts))
    raw = whole.encode()
    if len(raw) <= LIMIT:
        return whole
    digest = hashlib.sha256(raw).hexdigest()[:8]
    # Cut between characters, never within one.
    return f"{raw[: LIMIT - 9].decode(errors='ignore')}_{digest}"


def index_name(table: str, columns: Iterable[str]) -> str:
    """Name of a plain index."""
    return name("ix", table, *columns)


def foreign_key_name(table: str, columns: Iterable[str], referenced: str) -> str:
    """Name of a foreign key."""
    return name("fk", table, *columns, referenced)


def unique_name(table: str, columns: Iterable[str]) -> str:
    """Name of a unique constraint or index."""
    return name("uq", table, *columns)
