"""The section `tenancy:` of maestro.yaml: which tables are divided among tenants, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from maestro_cli.config.keys import key, section


@section
class DefaultTenant:
    """The tenant that existing rows belong to."""

    id: str = key("Its id, of the column's type.", default="371191e4-9748-4b2a-9c7f-2d986463afa7")
    name: str = key("Its name.", default="Default Organization")
    slug: str = key("Its slug.", default="default")


@section
class TenantTable:
    """How one table becomes multi-tenant."""

    indexes: tuple[tuple[str, ...], ...] = key(
        "Indexes to have, each a list of columns; the tenant column alone where nothing is written.", default=()
    )
    on_delete: Literal["cascade", "restrict", "no action"] | None = key(
        "What deleting a tenant does to its rows; tenancy.on_delete where absent.", default=None
    )
    assign: str | None = key(
        "Whose row is it: a constant, an SQL expression over the row, or `column → table` (also `->`).",
        default=None,
        example="project_id → projects",
    )
    unique: Literal["keep", "per_tenant"] | None = key(
        "What becomes of unique constraints; tenancy.unique where absent.", default=None
    )
    composite_keys: bool | None = key(
        "Add composite foreign keys (tenant, parent); tenancy.composite_keys where absent.", default=None
    )


@section
class Rls:
    """Row-level security."""

    role: str = key("The application's role.", example="maestro_app")
    setting: str = key("The setting that holds the current tenant.", default="app.tenant_id")


@section
class Tenancy:
    """How the database is divided among tenants."""

    column: str = key("The tenant column.", default="tenant_id")
    type: Literal["uuid", "bigint", "text"] = key("Its type.", default="uuid")
    schema: str = key("PostgreSQL schema of the tables.", default="public")
    tenants_table: str = key("The table of tenants.", default="tenants")
    default_tenant: DefaultTenant = key("The tenant of existing rows.", factory=DefaultTenant)
    on_delete: Literal["cascade", "restrict", "no action"] = key("What deleting a tenant does.", default="cascade")
    unique: Literal["keep", "per_tenant"] = key("What becomes of unique constraints.", default="keep")
    composite_keys: bool = key("Add composite foreign keys (tenant, parent).", default=False)
    tables: Mapping[str, TenantTable] = key(
        "Table → how; where empty, `maestro migrate plan` proposes them from the catalog.", factory=dict
    )
    shared: tuple[str, ...] = key(
        "Tables that are no tenant's on purpose: neither proposed nor reported.", default=(), example="[users]"
    )
    rls: Rls | None = key("Row-level security.", default=None)
