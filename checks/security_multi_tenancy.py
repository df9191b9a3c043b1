"""Is the database divided among tenants, or does a flag say so?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.fixes.tenancy import DEFAULT_TENANT
from maestro_cli.observe.tenancy import TenantSchema, tenant_schema

if TYPE_CHECKING:
    from maestro_cli.tenants.spec import TableSpec


@check(
    "security.multi-tenancy",
    component="multi_tenancy",
    priority="critical",
    faults=(
        "tenants-table-missing",
        "default-tenant-missing",
        "default-tenant-inactive",
        "tenant-column-missing",
        "tenant-column-nullable",
        "tenant-key-missing",
        "tenant-key-unvalidated",
        "rls-off",
        "rls-not-forced",
        "rls-without-policy",
    ),
    fix=DEFAULT_TENANT,
)
def multi_tenancy(ctx: Context) -> Finding:
    """Every table of a tenant is bound to its tenant.

    Why: a flag named MULTI_TENANCY divides nothing; a column that is always set, a key that holds and a policy do.
    Fails when: the table of tenants or the default tenant is missing or inactive, or a table of tenancy.tables lacks the
    column, its type, NOT NULL, a validated foreign key to the tenants or, where tenancy.rls is configured, forced
    row-level security with a policy; or, where tenancy.composite_keys asks for it, a foreign key to another table of
    tenants does not name the tenant. A table that hangs on one of them, has no such column and is not in tenancy.shared is
    a warning.
    Fix: `maestro migrate plan`, then `maestro migrate apply` (with `--contract` for row-level security).
    Source: PostgreSQL manual, Row Security Policies; OWASP, Multi-Tenant Application Security
    """
    schema = tenant_schema(ctx)
    wrong = [*_tenants(schema), *(problem for table in schema.spec.tables for problem in _table(table, schema))]
    if not schema.spec.tables:
        wrong.append(Evidence(f"schema {schema.spec.schema}", "no table", "at least one table of a tenant"))
    if wrong:
        first = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(f"{first.name}: {first.observed}{more}.", *wrong[:20], command="maestro migrate plan")
    forgotten = list(_hanging(schema))
    if forgotten:
        more = f" (and {len(forgotten) - 1} more)" if len(forgotten) > 1 else ""
        return warned(f"{forgotten[0].name}: {forgotten[0].observed}{more}.", *forgotten[:20])
    guarded = ", forced row-level security" if schema.spec.role is not None else ""
    return passed(
        f"All {len(schema.spec.tables)} tables are bound to their tenant.",
        *(
            Evidence(table.name, f"{schema.spec.column} {schema.spec.type} NOT NULL, validated key{guarded}")
            for table in schema.spec.tables
        ),
        Evidence("default tenant", "present" if schema.default_active is None else "present and active"),
    )


def _hanging(schema: TenantSchema) -> Iterator[Evidence]:
    """Tables that hang on a tenant's rows and are bound to no tenant themselves."""
    from maestro_cli.tenants.spec import candidates

    spec, catalog = schema.spec, schema.catalog
    for name in candidates(spec, catalog):
        if spec.table(name) is not None or spec.column in catalog.tables[name].columns:
            continue
        parents = {key.referenced for key in catalog.foreign_keys(name) if spec.table(str(key.referenced)) is not None}
        if parents:
            said = f"its rows hang on {', '.join(sorted(map(str, parents)))}, and no tenant is told of them"
            yield Evidence(name, said, "in tenancy.tables, or in tenancy.shared")


def _tenants(schema: TenantSchema) -> Iterator[Evidence]:
    name = schema.spec.tenants
    if name not in schema.catalog.tables:
        yield Evidence(name, "there is no such table", "the table of tenants")
    elif not schema.catalog.default_tenant_present:
        yield Evidence(name, "the default tenant is missing", f"a row with id {schema.spec.default_id}")
    elif schema.default_active is False:
        yield Evidence(name, "the default tenant is inactive", "active")


def _table(table: TableSpec, schema: TenantSchema) -> Iterator[Evidence]:
    from maestro_cli.tenants.planner_checks import same_type
    from maestro_cli.tenants.provenance import key_of

    spec, catalog = schema.spec, schema.catalog
    found = catalog.tables.get(table.name)
    if found is None:
        yield Evidence(table.name, "there is no such table", f"a table of schema {spec.schema}")
        return
    column = found.columns.get(spec.column)
    if column is None:
        yield Evidence(table.name, f"it has no column {spec.column}", f"{spec.type} NOT NULL")
        return
    if not same_type(spec.type, column.type):
        yield Evidence(f"{table.name}.{spec.column}", f"it is {column.type}", spec.type)
    if not column.not_null:
        yield Evidence(f"{table.name}.{spec.column}", "it may be NULL", "NOT NULL")
    key = key_of(table, spec, catalog)
    if key is None:
        yield Evidence(f"{table.name}.{spec.column}", f"it has no foreign key to {spec.tenants}", "a validated one")
    elif not key.validated:
        yield Evidence(f"{table.name}.{spec.column}", "its foreign key is not validated", "validated")
    if table.composite_keys:
        yield from _crossing(table, schema)
    if spec.role is None:
        return
    if not found.row_security:
        yield Evidence(table.name, "row-level security is off", "enabled and forced")
    elif not found.forced:
        yield Evidence(table.name, "row-level security is not forced: the owner passes it", "forced")
    if not catalog.policies.get(table.name):
        yield Evidence(table.name, "it has no policy", "one on the tenant's column")


def _crossing(table: TableSpec, schema: TenantSchema) -> Iterator[Evidence]:
    """Keys to other tables of tenants that do not name the tenant, where composite_keys asks for those that do."""
    from maestro_cli.tenants.planner_composite import crossing_keys

    keys = list(schema.catalog.foreign_keys(table.name))
    for key in crossing_keys(table.name, schema.spec, schema.catalog):
        both = {schema.spec.column, *key.columns}
        if not any(set(other.columns) == both and other.referenced == key.referenced for other in keys):
            name = f"{table.name}.{', '.join(key.columns)}"
            yield Evidence(name, f"its foreign key may point to another tenant's {key.referenced}", "a composite one")
