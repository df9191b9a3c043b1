"""Are the tenants' indexes there, and does every one of them serve?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.fixes.tenancy import INVALID_INDEXES
from maestro_cli.observe.tenancy import TenantSchema, tenant_schema


@check(
    "readiness.tenant-indexes",
    component="multi_tenancy",
    priority="high",
    faults=("tenant-index-missing", "tenant-index-invalid", "foreign-key-unvalidated"),
    fix=INVALID_INDEXES,
)
def tenant_indexes(ctx: Context) -> Finding:
    """The tenants' indexes are there and valid.

    Why: every query of a tenant filters by its column; without an index it reads all tenants' rows. An index whose build
    was broken off costs every write and serves no read.
    Fails when: an index of tenancy.tables is missing (a valid one over exactly these columns, whatever its name), one of
    these tables or of the tenants has an invalid index, or a foreign key that is not validated.
    Fix: `maestro migrate apply` builds what is missing and rebuilds what is invalid, online.
    Source: PostgreSQL manual, CREATE INDEX (Building Indexes Concurrently) and ALTER TABLE (VALIDATE CONSTRAINT)
    """
    from maestro_cli.tenants.planner_index import covering

    schema = tenant_schema(ctx)
    wrong = list(_wrong(schema))
    asked = [(table.name, columns) for table in schema.spec.tables for columns in table.indexes]
    if not asked:
        wrong.append(Evidence(f"schema {schema.spec.schema}", "no table of a tenant", "at least one"))
    for table, columns in asked:
        name = f"{table} ({', '.join(columns)})"
        if table in schema.catalog.tables and covering(table, columns, schema.catalog) is None:
            wrong.append(Evidence(name, "no valid index", "a valid index"))
        elif table not in schema.catalog.tables:
            wrong.append(Evidence(name, "no such table", "a valid index"))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(f"{wrong[0].name}: {wrong[0].observed}{more}.", *wrong[:20], command="maestro migrate apply")
    keys = sum(len(list(schema.catalog.foreign_keys(table.name))) for table in schema.spec.tables)
    return passed(
        f"All {len(asked)} tenant indexes are there and valid.",
        Evidence("indexes", f"{len(asked)} valid", f"{len(asked)}"),
        Evidence("foreign keys", f"{keys} validated", "all"),
    )


def _wrong(schema: TenantSchema) -> Iterator[Evidence]:
    for name in (schema.spec.tenants, *(table.name for table in schema.spec.tables)):
        for index in schema.catalog.indexes.get(name, ()):
            if not (index.valid and index.ready):
                yield Evidence(f"{name}: index {index.name}", "invalid", "valid")
        for key in schema.catalog.foreign_keys(name):
            if not key.validated:
                yield Evidence(f"{name}: foreign key {key.name}", "not validated", "validated")
