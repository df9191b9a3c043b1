"""The migration that is asked for: `tenancy:` of maestro.yaml, checked and typed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from maestro_cli.config.tenancy_settings import Tenancy, TenantTable
from maestro_cli.errors import ConfigurationError
from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.proposals import bookkeeping, shared_reason

_PATH = re.compile(r"""^\s*(?P<column>"[^"]+"|[^\s→>('"-]+)\s*(?:→|->)\s*(?P<parent>"[^"]+"|[^\s→>('"]+)\s*$""")


@dataclass(frozen=True, slots=True)
class JoinPath:
    """The tenant of the row that `column` points to."""

    column: str
    parent: str


@dataclass(frozen=True, slots=True)
class Expression:
    """An SQL expression over the row."""

    sql: str


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table's part."""

    name: str
    indexes: tuple[tuple[str, ...], ...]
    on_delete: str
    per_tenant: bool
    composite_keys: bool
    default: str
    """Literal of the tenant that rows belong to where nothing else says so."""
    assign: JoinPath | Expression | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """The whole migration, names unquoted, literals ready."""

    schema: str
    column: str
    type: str
    tenants: str
    default_id: str
    default: str
    """`default_id` as a literal of the column's type."""
    default_name: str
    default_slug: str
    role: str | None
    setting: str | None
    tables: tuple[TableSpec, ...]
    shared: tuple[str, ...]
    proposed: bool = False
    """The tables come from the catalog and not from maestro.yaml."""

    def table(self, name: str) -> TableSpec | None:
        """One table's part, or None."""
        return next((t for t in self.tables if t.name == name), None)

    def qualified(self, name: str) -> str:
        """A table's name with the schema, quoted where needed."""
        return sql.qualified(self.schema, name)


def specify(tenancy: Tenancy) -> Spec:
    """Type the configuration.

    Raises:
        ConfigurationError: The default tenant's id is not of `tenancy.type`, or the tenants table is listed as a tenant's.
    """
    default_id = tenancy.default_tenant.id
    default = sql.tenant_literal(default_id, tenancy.type)
    if tenancy.type == "uuid":
        default_id = str(uuid.UUID(default_id))
    if tenancy.tenants_table in tenancy.tables:
        raise ConfigurationError(
            f"tenancy.tables: {tenancy.tenants_table} is the table of tenants and can't belong to one",
            hint=f"Remove {tenancy.tenants_table} from tenancy.tables.",
        )
    return Spec(
        schema=tenancy.schema,
        column=tenancy.column,
        type=tenancy.type,
        tenants=tenancy.tenants_table,
        default_id=default_id,
        default=default,
        default_name=tenancy.default_tenant.name,
        default_slug=tenancy.default_tenant.slug,
        role=tenancy.rls.role if tenancy.rls else None,
        setting=tenancy.rls.setting if tenancy.rls else None,
        tables=tuple(_table(name, table, tenancy, default) for name, table in tenancy.tables.items()),
        shared=tuple(tenancy.shared),
    )


def _table(name: str, table: TenantTable, tenancy: Tenancy, default: str) -> TableSpec:
    constant = _constant(table.assign, tenancy.type)
    composite = tenancy.composite_keys if table.composite_keys is None else table.composite_keys
    return TableSpec(
        name=name,
        indexes=tuple(dict.fromkeys(table.indexes)) or ((tenancy.column,),),
        on_delete=table.on_delete or tenancy.on_delete,
        per_tenant=(table.unique or tenancy.unique) == "per_tenant",
        composite_keys=composite,
        default=default if constant is None else sql.tenant_literal(constant, tenancy.type),
        assign=None if constant is not None else _assign(table.assign),
    )


def _constant(assign: str | None, type_: str) -> str | None:
    """The tenant's id where `assign` is a constant: such a table needs no backfill at all."""
    if assign is None:
        return None
    text = assign.strip()
    quoted = re.fullmatch(r"'((?:[^']|'')*)'(?:::\w+)?", text)
    if quoted:
        return quoted.group(1).replace("''", "'")
    if type_ == "bigint" and re.fullmatch(r"-?[0-9]+", text):
        return text
    if type_ == "uuid":
        try:
            return str(uuid.UUID(text))
        except ValueError:
            return None
    return None


def _assign(assign: str | None) -> JoinPath | Expression | None:
    if assign is None or not assign.strip():
        return None
    path = _PATH.match(assign)
    if path:
        return JoinPath(path["column"].strip('"'), path["parent"].strip('"'))
    return Expression(assign.strip())


def heirs_last(tables: Iterable[TableSpec], catalog: Catalog) -> list[TableSpec]:
    """The tables so that one that inherits from another comes after it: the column comes to it, and goes, with that one."""

    def depth(name: str | None) -> int:
        found = catalog.tables.get(name) if name is not None else None
        return 0 if found is None else 1 + depth(found.parent)

    return sorted(tables, key=lambda table: depth(table.name))


def candidates(spec: Spec, catalog: Catalog) -> Iterator[str]:
    """Tables that could be a tenant's: not the tenants', not shared, not a tool's, not an extension's, no partition."""
    left_out = {spec.tenants, *spec.shared}
    for table in catalog.tables.values():
        plain = table.kind != "f" and not table.is_partition and not table.extension
        if plain and table.name not in left_out and not bookkeeping(table):
            yield table.name


def proposed_shared(spec: Spec, catalog: Catalog) -> dict[str, str]:
    """Tables that are proposed as nobody's, with the reason."""
    reasons = {name: shared_reason(catalog.tables[name], catalog) for name in candidates(spec, catalog)}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def with_proposals(spec: Spec, tenancy: Tenancy, catalog: Catalog) -> Spec:
    """The specification with the candidates of the catalog, where maestro.yaml names no table."""
    if spec.tables:
        return spec
    shared = proposed_shared(spec, catalog)
    return with_proposals_of(spec, tenancy, (name for name in candidates(spec, catalog) if name not in shared))


def with_proposals_of(spec: Spec, tenancy: Tenancy, names: Iterable[str]) -> Spec:
    """The specification with these tables, where maestro.yaml names none."""
    if spec.tables:
        return spec
    found = tuple(_table(name, TenantTable(), tenancy, spec.default) for name in names)
    return replace(spec, tables=found, proposed=True)


def parent_key(path: JoinPath, table: str, spec: Spec, catalog: Catalog) -> str | None:
    """The column that a join path points to: the foreign key's, else the parent's primary key."""
    for key in catalog.foreign_keys(table):
        if key.columns == (path.column,) and key.referenced == path.parent and key.referenced_schema == spec.schema:
            return key.referenced_columns[0]
    primary = catalog.primary_key(path.parent)
    return primary[0] if len(primary) == 1 else None
