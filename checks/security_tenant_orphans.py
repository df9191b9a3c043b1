"""Rows that belong to two tenants, or to none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.tenancy import tenant_schema

if TYPE_CHECKING:
    from maestro_cli.observe.tenancy import TenantSchema
    from maestro_cli.tenants.spec import TableSpec

MAXIMUM_TENANTS = 20
MAXIMUM_ROWS = 1000
_KEYS = """
SELECT c.conname, t.relname, p.relname, a.attname, b.attname
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_class p ON p.oid = c.confrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]
JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = c.confkey[1]
WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 AND n.nspname = %s
  AND t.relname = ANY (%s) AND p.relname = ANY (%s)
ORDER BY 2, 1
"""


@check(
    "security.tenant-orphans",
    component="multi_tenancy",
    priority="high",
    deadline_s=20,
    faults=("tenant-row-crosses", "tenant-row-orphaned"),
)
def tenant_orphans(ctx: Context) -> Finding:
    """Every row belongs to the tenant that its parent belongs to, and to one that exists.

    Why: a row that hangs on another tenant's object is shown to one of them, deleted with the other, and proves that
    something once got across.
    Fails when: a row's foreign key points to a row of another tenant, or its tenant is not in the table of tenants. Seen
    as the application's role, tenant by tenant (the first twenty); what row-level security hides is forbidden by a valid
    foreign key, or nothing is proved.
    Fix: find out how they came about, then give them to the right tenant; `composite_keys: true` in maestro.yaml keeps
    new ones out.
    Source: OWASP ASVS 5.0 8.4.1; PostgreSQL manual, Foreign Keys
    """
    schema = tenant_schema(ctx)
    spec = schema.spec
    names = [table.name for table in spec.tables if schema.catalog.column(table.name, spec.column) is not None]
    evidence: list[Evidence] = []
    bad: list[str] = []
    with ctx.database.transaction() as cursor:
        cursor.execute(_KEYS, (spec.schema, names, names))
        keys = cursor.fetchall()
        tenants = _tenants(cursor, spec)
        for tenant in tenants:
            cursor.execute("SELECT set_config(%s, %s, true)", (spec.setting or "maestro.none", tenant))
            for _, child, parent, column, target in keys:
                crossing = _count(cursor, _crossing(spec, child, parent, column, target), (tenant,))
                if crossing:
                    bad.append(f"{child}.{column}")
                    evidence.append(Evidence(f"{child}.{column} → {parent}", f"{crossing} rows cross", "none"))
        for table in names:
            lost = _count(cursor, _lost(spec, table))
            if lost:
                bad.append(f"{table}.{spec.column}")
                evidence.append(Evidence(f"{table}.{spec.column}", f"{lost} rows of no tenant", "none"))
    hidden = [] if bad else [table.name for table in spec.tables if table.name in names and _unseen(table, schema)]
    if hidden:
        return errored(
            f"Rows of no tenant cannot be ruled out in {', '.join(hidden[:5])}: row-level security hides them, and no valid "
            "foreign key forbids them.",
            *(Evidence(f"{name}.{spec.column}", "no valid foreign key to the tenants", "one") for name in hidden[:20]),
        )
    if bad:
        return failed(f"Rows belong to two tenants or to none: {', '.join(dict.fromkeys(bad))}.", *evidence[:20])
    looked = Evidence(
        "looked at", f"{len(keys)} keys and {len(names)} tables for {len(tenants)} tenants", "no such row"
    )
    return passed("Every row belongs to one tenant that exists.", looked)


def _unseen(table: TableSpec, schema: TenantSchema) -> bool:
    """Whether a row of no tenant could be there without being seen."""
    from maestro_cli.tenants.provenance import key_of

    key = key_of(table, schema.spec, schema.catalog)
    return schema.catalog.tables[table.name].row_security and (key is None or not key.validated)


def _crossing(spec: Any, child: str, parent: str, column: str, target: str) -> str:
    tenant = _id(spec.column)
    same = f"SELECT 1 FROM {_name(spec, parent)} p WHERE p.{_id(target)} = c.{_id(column)} AND p.{tenant} = c.{tenant}"  # noqa: S608 - names from the catalog, quoted
    # Another tenant's rows, where a policy shows them, may hang on what its own policy hides: only a seen parent tells.
    others = f"SELECT 1 FROM {_name(spec, parent)} p WHERE p.{_id(target)} = c.{_id(column)}"  # noqa: S608 - the same
    judged = f"(c.{tenant}::text = %s OR EXISTS ({others}))"
    return (
        f"SELECT 1 FROM {_name(spec, child)} c WHERE c.{_id(column)} IS NOT NULL AND {judged} AND NOT EXISTS ({same})"  # noqa: S608 - the same
    )


def _lost(spec: Any, table: str) -> str:
    there = f"SELECT 1 FROM {_name(spec, spec.tenants)} t WHERE t.id = c.{_id(spec.column)}"  # noqa: S608 - the same
    return f"SELECT 1 FROM {_name(spec, table)} c WHERE NOT EXISTS ({there})"  # noqa: S608 - the same


def _tenants(cursor: Any, spec: Any) -> list[str]:
    """Their ids, as far as the role sees them; the default tenant's at least."""
    cursor.execute("SELECT set_config(%s, %s, true)", (spec.setting or "maestro.none", spec.default_id))
    cursor.execute(f"SELECT id::text FROM {_name(spec, spec.tenants)} ORDER BY 1 LIMIT {MAXIMUM_TENANTS}")  # noqa: S608 - a quoted name
    return [row[0] for row in cursor.fetchall()] or [spec.default_id]


def _count(cursor: Any, query: str, parameters: tuple[str, ...] = ()) -> int:
    cursor.execute(f"SELECT count(*) FROM ({query} LIMIT {MAXIMUM_ROWS}) few", parameters)  # noqa: S608 - made above
    return int(cursor.fetchone()[0])


def _name(spec: Any, table: str) -> str:
    return str(spec.qualified(table))


def _id(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
