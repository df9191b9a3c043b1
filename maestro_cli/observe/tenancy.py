"""The tenancy that is asked for beside the schema that is there, read once per run with the application's own role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import MaestroError

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.tenants.catalog import Catalog
    from maestro_cli.tenants.spec import Spec


@dataclass(frozen=True, slots=True)
class TenantSchema:
    """What is asked for and what is there.

    Attributes:
        spec: The tables of tenancy.tables, or every candidate of the catalog where none is named.
        default_active: Whether the default tenant's row says that it is active; None where it has no such column, or
            where there is no default tenant.
    """

    spec: Spec
    catalog: Catalog
    default_active: bool | None


def tenant_schema(ctx: Context) -> TenantSchema:
    """Read the schema.

    Raises:
        NotConfigured: Without tenancy or database.url.
        ConfigurationError: When tenancy contradicts itself.
        MaestroError: When the role may not look at the tenants.
        Unreachable: When the database is.
    """
    ctx.require(ctx.settings.tenancy, "tenancy")
    return ctx.shared("tenant-schema", lambda: _read(ctx))


def functions_around(ctx: Context) -> list[tuple[str, str]]:
    """Functions that the application's role may call and that run as somebody for whom no policy holds, and what each does."""
    from maestro_cli.tenants.reach_functions import function_leaks

    schema = tenant_schema(ctx)
    with ctx.database.transaction() as cursor:
        cursor.execute("SELECT current_user")
        parameters = {
            "role": cursor.fetchone()[0],
            "schema": schema.spec.schema,
            "tables": [table.name for table in schema.spec.tables],
        }
        session: Any = _Statements(cursor)
        found = function_leaks(session, schema.spec, parameters, set())
        return [(row.object, row.message) for row in found if row.kind in ("definer-function", "leakproof-function")]


def tenant_ids(ctx: Context, most: int) -> list[str]:
    """The tenants that the application's role is told of, the default one first.

    Args:
        ctx: The run.
        most: How many at the most.

    Returns:
        Their ids; the default tenant's alone where the role may not read the table of tenants.
    """
    from maestro_cli.tenants.sql import identifier

    tenancy = ctx.require(ctx.settings.tenancy, "tenancy")
    default = tenancy.default_tenant.id
    try:
        schema = tenant_schema(ctx)
    except MaestroError:
        return [default]  # health.postgres-up or security.multi-tenancy says so
    table, keys = schema.spec.tenants, schema.catalog.primary_key(schema.spec.tenants)
    if not keys:
        return [default]
    text = f"{identifier(keys[0])}::text"
    rows = ctx.database.query(
        f"SELECT {text} FROM {schema.spec.qualified(table)} ORDER BY {text} <> %s, 1 LIMIT %s",  # noqa: S608 - quoted by the engine
        (default, most),
    )
    return [str(row[0]) for row in rows] or [default]


class _Statements:
    """What the tenants engine asks of a session, on a cursor of ours: read-only, rolled back, with a timeout."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.server_version: int = cursor.connection.server_version

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall() if self._cursor.description else []


def _read(ctx: Context) -> TenantSchema:
    import psycopg2

    from maestro_cli.tenants.catalog_read import read_for
    from maestro_cli.tenants.spec import specify, with_proposals

    tenancy = ctx.require(ctx.settings.tenancy, "tenancy")
    spec = specify(tenancy)
    with ctx.database.transaction() as cursor:
        session: Any = _Statements(cursor)
        if tenancy.rls is not None:
            session.execute("SELECT set_config(%s, %s, true)", (tenancy.rls.setting, tenancy.default_tenant.id))
        try:
            catalog = read_for(session, spec)
            active = _default_active(session, spec, catalog)
        except psycopg2.errors.InsufficientPrivilege:
            raise MaestroError(
                f"the role of database.url may not read {spec.tenants}",
                hint=f"GRANT SELECT ON {spec.qualified(spec.tenants)} to it.",
            ) from None
    return TenantSchema(with_proposals(spec, tenancy, catalog), catalog, active)


def _default_active(session: Any, spec: Spec, catalog: Catalog) -> bool | None:
    from maestro_cli.tenants.sql import identifier

    if not catalog.default_tenant_present or catalog.column(spec.tenants, "is_active") is None:
        return None
    key = identifier(catalog.primary_key(spec.tenants)[0])
    rows = session.execute(
        f"SELECT is_active FROM {spec.qualified(spec.tenants)} WHERE {key} = %s::{spec.type}",  # noqa: S608 - quoted by the engine; the type is one of three
        (spec.default_id,),
    )
    return bool(rows and rows[0][0])
