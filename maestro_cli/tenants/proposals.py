"""Whose tables are nobody's: what migration tools and frameworks keep, told by names and by shapes.

A proposal that made these a tenant's would break the framework: who somebody is, and what a session holds, is looked
up before any tenant is known.
"""

from __future__ import annotations

import re

from maestro_cli.tenants.catalog import Catalog, Table

VERSION_TABLES = frozenset(
    [
        "alembic_version",
        "maestro_alembic_version",
        "django_migrations",
        "south_migrationhistory",
        "schema_migrations",
        "data_migrations",
        "ar_internal_metadata",
        "flyway_schema_history",
        "databasechangelog",
        "databasechangeloglock",
        "_prisma_migrations",
        "knex_migrations",
        "knex_migrations_lock",
        "goose_db_version",
        "gorp_migrations",
        "_sqlx_migrations",
        "refinery_schema_history",
        "__diesel_schema_migrations",
        "__EFMigrationsHistory",
        "SequelizeMeta",
        "typeorm_metadata",
        "mikro_orm_migrations",
        "kysely_migration",
        "kysely_migration_lock",
        "pgmigrations",
        "phinxlog",
        "aerich",
        "_yoyo_log",
        "_yoyo_migration",
        "_yoyo_version",
        "yoyo_lock",
        "spatial_ref_sys",
    ]
)
"""Tables of migration tools: no tenant's, whatever the application."""

_SHAPES = (frozenset(["version_num"]), frozenset(["id", "migration", "batch"]))
"""Columns of a version table of Alembic (under any name) and of Laravel."""

_ACCOUNTS = "accounts and permissions are looked up before a tenant is known; move it to tables: if it is a tenant's"
_SHARED = {
    r"django_content_type|django_site": "Django's own: it describes the application",
    r"django_session|sessions": "sessions are looked up before a tenant is known",
    r"auth_(user|group|permission|user_groups|user_user_permissions|group_permissions)|authtoken_token": _ACCOUNTS,
    r"ab_(user|role|permission|permission_view|permission_view_role|view_menu|user_role|register_user|group|user_group"
    r"|group_role)": _ACCOUNTS,
}


def bookkeeping(table: Table) -> bool:
    """Whether a migration tool keeps its versions there."""
    return table.name in VERSION_TABLES or frozenset(table.columns) in _SHAPES


def shared_reason(table: Table, catalog: Catalog) -> str | None:
    """Why a table is proposed as shared; None where it is proposed as a tenant's."""
    for pattern, reason in _SHARED.items():
        if re.fullmatch(pattern, table.name):
            return reason
    if _holds_one_row(table, catalog):
        return "it can hold one row only"
    users = _django_users(catalog)
    if users is not None and re.fullmatch(rf"{re.escape(users)}(_groups|_user_permissions)?", table.name):
        return _ACCOUNTS
    return None


def _holds_one_row(table: Table, catalog: Catalog) -> bool:
    key = catalog.primary_key(table.name)
    if len(key) != 1:
        return False
    constant = re.compile(rf'CHECK \(\(*"?{re.escape(key[0])}"?( = [^()]+)?\)*\)')
    checks = (c for c in catalog.constraints.get(table.name, ()) if c.kind == "c" and c.columns == key)
    return any(constant.fullmatch(check.definition or "") for check in checks)


def _django_users(catalog: Catalog) -> str | None:
    """The table of accounts of a Django application, whatever its model is called: its own log points to it."""
    keys = catalog.foreign_keys("django_admin_log")
    return next((key.referenced for key in keys if key.columns == ("user_id",)), None)
