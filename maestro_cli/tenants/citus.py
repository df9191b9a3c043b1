"""When one machine is outgrown: is the schema ready to be distributed with Citus, and the ordered hand-over script.

Rules: https://docs.citusdata.com/en/stable/develop/migration_mt_schema.html and
https://docs.citusdata.com/en/stable/develop/reference_ddl.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint
from maestro_cli.tenants.catalog_read import read_for
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec, specify, with_proposals


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the schema can be distributed.

    Attributes:
        findings: What is in the way (errors) and what to know (warnings).
        script: The hand-over, statement by statement, in order.
        tables: The tables that would be distributed.
    """

    findings: tuple[Finding, ...]
    script: str
    tables: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is in the way."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "ready": self.ready,
            "tables": list(self.tables),
            "findings": [finding.to_json() for finding in self.findings],
            "script": self.script,
        }


def report(url: str, tenancy: Tenancy) -> Readiness:
    """Look at the schema; changes nothing.

    Raises:
        OutOfReach: No server.
    """
    with Session(url, schema=tenancy.schema) as session:
        spec = specify(tenancy)
        catalog = read_for(session, spec)
        spec = with_proposals(spec, tenancy, catalog)
    names = tuple(table.name for table in spec.tables if table.name in catalog.tables)
    findings = tuple(sorted(_findings(spec, catalog, names), key=lambda finding: finding.severity))
    return Readiness(findings=findings, script=_script(spec, catalog, names), tables=names)


def _findings(spec: Spec, catalog: Catalog, names: tuple[str, ...]) -> Iterator[Finding]:
    for name in names:
        column = catalog.column(name, spec.column)
        if column is None or not column.not_null:
            yield Finding("no-tenant", name, f"has no {spec.column} that is always set", fix="maestro migrate apply")
            continue
        yield from _keys(name, spec, catalog)
        yield from _references(name, spec, catalog)
        triggers = catalog.triggers.get(name, ())
        if triggers:
            message = f"{len(triggers)} triggers: Citus runs none on distributed tables unless told to"
            yield Finding("triggers", name, message, Severity.WARNING, "SET citus.enable_unsafe_triggers TO on")
    types = {catalog.tables[name].columns[spec.column].type for name in names if catalog.column(name, spec.column)}
    if len(types) > 1:
        message = f"{spec.column} has different types ({', '.join(sorted(types))}): such tables can't be colocated"
        yield Finding("different-types", spec.schema, message)
    for name in spec.shared:
        if name in catalog.tables:
            yield Finding(
                "reference-table",
                name,
                "is shared: it becomes a reference table, whole on every node",
                Severity.WARNING,
            )


def _keys(name: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """Every primary key and unique has to hold the distribution column: a node only sees its own rows."""
    key = catalog.primary_key(name)
    if not key:
        yield Finding("no-primary-key", name, "has no primary key", Severity.WARNING)
    elif spec.column not in key:
        fix = f"PRIMARY KEY ({sql.columns((spec.column, *key))})"
        yield Finding("key-without-tenant", name, f"the primary key ({', '.join(key)}) lacks {spec.column}", fix=fix)
    for index in catalog.uniques(name):
        if spec.column not in index.columns:
            fix = "unique: per_tenant, then maestro migrate apply --contract"
            yield Finding("unique-without-tenant", f"{name}.{index.name}", f"lacks {spec.column}", fix=fix)
    for constraint in catalog.constraints.get(name, ()):
        if constraint.kind == "x" and spec.column not in constraint.columns:
            yield Finding("exclusion-without-tenant", f"{name}.{constraint.name}", f"lacks {spec.column}")


def _references(name: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    for key in catalog.foreign_keys(name):
        where = f"{name}.{key.name}"
        inside = key.referenced in {table.name for table in spec.tables}
        if key.on_delete in "nd" and spec.column in key.columns:
            yield Finding("set-null", where, "ON DELETE SET NULL would have to change the distribution column")
        if inside and spec.column not in key.columns:
            fix = "composite_keys: true, then maestro migrate apply; the script drops the plain one"
            twin = any(_same(other, key, spec) for other in catalog.foreign_keys(name))
            severity = Severity.WARNING if twin else Severity.ERROR
            yield Finding("plain-key", where, f"does not hold {spec.column}", severity, None if twin else fix)
        if not inside and key.referenced != spec.tenants and key.referenced not in spec.shared:
            message = f"points to {key.referenced}, which would have to be a reference table"
            yield Finding("outside-key", where, message, fix=f"tenancy.shared: [{key.referenced}]")


def _same(other: Constraint, key: Constraint, spec: Spec) -> bool:
    return (
        other.referenced == key.referenced and spec.column in other.columns and set(key.columns) <= set(other.columns)
    )


def _script(spec: Spec, catalog: Catalog, names: tuple[str, ...]) -> str:
    return "\n".join(_statements(spec, catalog, names)) + "\n"


def _statements(spec: Spec, catalog: Catalog, names: tuple[str, ...]) -> Iterator[str]:
    yield "-- Hand-over to Citus, in this order. Run it on a restored copy first; writes to a table stop while it moves."
    yield "CREATE EXTENSION IF NOT EXISTS citus;"
    yield ""
    yield "-- 1. Foreign keys between the tables: added again below, with the tenant in them."
    dropped = [(name, key) for name in names for key in catalog.foreign_keys(name) if not key.inherited]
    for name, key in dropped:
        yield f"ALTER TABLE {spec.qualified(name)} DROP CONSTRAINT {sql.identifier(key.name)};"
    yield ""
    yield f"-- 2. Primary keys that lack {spec.column}."
    for name in names:
        yield from _primary_key(name, spec, catalog)
    yield ""
    yield "-- 3. Reference tables: whole on every node."
    for name in (spec.tenants, *(name for name in spec.shared if name in catalog.tables)):
        yield f"SELECT create_reference_table({sql.literal(spec.qualified(name))});"
    yield ""
    yield "-- 4. The tables, each tenant's rows together on one node."
    for number, name in enumerate(names):
        together = "" if number == 0 else f", colocate_with => {sql.literal(spec.qualified(names[0]))}"
        arguments = f"{sql.literal(spec.qualified(name))}, {sql.literal(spec.column)}{together}"
        yield f"SELECT create_distributed_table_concurrently({arguments});"
    yield ""
    yield "-- 5. The foreign keys again."
    for name, key in dropped:
        yield from _added(name, key, spec, catalog)


def _primary_key(name: str, spec: Spec, catalog: Catalog) -> Iterator[str]:
    key = catalog.primary_key(name)
    constraint = next((c.name for c in catalog.constraints.get(name, ()) if c.kind == "p"), None)
    if constraint is not None and spec.column not in key:
        alter = f"ALTER TABLE {spec.qualified(name)}"
        yield f"{alter} DROP CONSTRAINT {sql.identifier(constraint)},"
        yield f"    ADD CONSTRAINT {sql.identifier(constraint)} PRIMARY KEY ({sql.columns((spec.column, *key))});"


_ACTIONS = {"c": " ON DELETE CASCADE", "r": " ON DELETE RESTRICT"}


def _added(name: str, key: Constraint, spec: Spec, catalog: Catalog) -> Iterator[str]:
    inside = spec.table(str(key.referenced)) is not None
    if inside and spec.column not in key.columns and any(_same(k, key, spec) for k in catalog.foreign_keys(name)):
        return  # its twin with the tenant stands for it
    ours, theirs = key.columns, key.referenced_columns
    if inside and spec.column not in ours:
        ours, theirs = (spec.column, *ours), (spec.column, *theirs)
    parent = sql.qualified(str(key.referenced_schema), str(key.referenced))
    yield (
        f"ALTER TABLE {spec.qualified(name)} ADD CONSTRAINT {sql.identifier(key.name)} FOREIGN KEY ({sql.columns(ours)})"
        f" REFERENCES {parent} ({sql.columns(theirs)}){_ACTIONS.get(key.on_delete, '')};"
    )
