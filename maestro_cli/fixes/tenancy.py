"""The default tenant, present and active; indexes of tenants' tables whose build was broken off, rebuilt online."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from maestro_cli.api import Fix, FixContext

if TYPE_CHECKING:
    from maestro_cli.config.tenancy_settings import Tenancy
    from maestro_cli.tenants.spec import Spec


def _configured(ctx: FixContext) -> tuple[Tenancy, str] | None:
    settings = ctx.loaded.settings
    database = settings.database
    url = None if database is None else database.admin_url or database.url
    return None if settings.tenancy is None or url is None or not url else (settings.tenancy, url.reveal())


def _plan_tenant(ctx: FixContext) -> Sequence[str]:
    from maestro_cli.errors import UsageError
    from maestro_cli.tenants.rows import Tenants

    found = _configured(ctx)
    if found is None:
        return ()
    tenancy, url = found
    default = tenancy.default_tenant
    with Tenants(url, tenancy) as tenants:
        try:
            tenant = tenants.find(default.id)
        except UsageError:
            return [f"insert the default tenant {default.name!r} ({default.id}) into {tenancy.tenants_table}"]
    return () if tenant.is_active else [f"activate the default tenant {tenant.slug}"]


def _apply_tenant(ctx: FixContext) -> str:
    from maestro_cli.errors import UsageError
    from maestro_cli.tenants.rows import Tenants

    found = _configured(ctx)
    if found is None:
        return ""
    tenancy, url = found
    default = tenancy.default_tenant
    with Tenants(url, tenancy) as tenants:
        try:
            tenants.find(default.id)
        except UsageError:
            made = tenants.create(default.name, slug=default.slug, identity=default.id, limits={})
            return f"delete the row {made.id} of {tenancy.tenants_table}, while no other row refers to it"
        tenant, changed = tenants.set_active(default.id, active=True)
    return f"maestro tenants deactivate {tenant.slug}" if changed else ""


DEFAULT_TENANT = Fix("inserts or activates the default tenant", _plan_tenant, _apply_tenant)


@contextmanager
def _session(ctx: FixContext) -> Iterator[tuple[Any, Spec] | None]:
    from maestro_cli.tenants.session import Session
    from maestro_cli.tenants.spec import specify
    from maestro_cli.tenants.urls import is_sqlite

    found = _configured(ctx)
    if found is None or is_sqlite(found[1]):
        yield None
        return
    tenancy, url = found
    with Session(url, schema=tenancy.schema, application="maestro fix") as session:
        yield session, specify(tenancy)


_INVALID = """
    SELECT table_class.relname, index_class.relname
    FROM pg_index
    JOIN pg_class AS index_class ON index_class.oid = pg_index.indexrelid
    JOIN pg_class AS table_class ON table_class.oid = pg_index.indrelid
    JOIN pg_namespace ON pg_namespace.oid = table_class.relnamespace
    WHERE NOT pg_index.indisvalid AND index_class.relkind = 'i'
      AND pg_namespace.nspname = %s AND table_class.relname = ANY(%s)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = pg_index.indexrelid)
    ORDER BY 1, 2
"""


def _invalid(session: Any, spec: Spec) -> list[tuple[str, str]]:
    tables = [spec.tenants, *(table.name for table in spec.tables)]
    return [(str(table), str(index)) for table, index in session.execute(_INVALID, (spec.schema, tables))]


def _plan_indexes(ctx: FixContext) -> Sequence[str]:
    with _session(ctx) as opened:
        if opened is None:
            return ()
        return [f"REINDEX INDEX CONCURRENTLY {index} (of {table})" for table, index in _invalid(*opened)]


def _apply_indexes(ctx: FixContext) -> str:
    with _session(ctx) as opened:
        if opened is None:
            return ""
        session, spec = opened
        for _, index in _invalid(session, spec):
            session.execute(f"REINDEX INDEX CONCURRENTLY {spec.qualified(index)}")
    return "nothing to undo: the same indexes, now valid"


INVALID_INDEXES = Fix("rebuilds invalid indexes online", _plan_indexes, _apply_indexes)
