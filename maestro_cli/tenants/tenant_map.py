"""Which row was whose: saved before the column is dropped, read when the migration is done again.

One CSV file a table, `<table>.csv`, mode 0600: the primary key's columns, then the tenant; only rows that are not the
default tenant's.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from maestro_cli.errors import Refused, UsageError
from maestro_cli.tenants import sql
from maestro_cli.tenants.backfill import BATCH_ROWS
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.urls import libpq_url


def tenants_with_rows(session: Session, spec: Spec, catalog: Catalog) -> dict[str, list[str]]:
    """Tenant → tables that hold rows of it.

    Raises:
        DatabaseError: 42501 where a policy would hide rows from this role.
    """
    found: dict[str, list[str]] = {}
    for table in spec.tables:
        if catalog.column(table.name, spec.column) is None:
            continue
        for tenant in distinct_tenants(session, spec, catalog, table.name):
            found.setdefault(tenant, []).append(table.name)
    return found


def distinct_tenants(session: Session, spec: Spec, catalog: Catalog, table: str) -> list[str]:
    """The tenants of a table, by hopping along its index: milliseconds for millions of rows.

    Policies are switched off for the question, which fails rather than hide rows from a role that is subject to them;
    then each tenant is asked for by itself.
    """
    column, name = sql.identifier(spec.column), spec.qualified(table)
    hop = (
        f"WITH RECURSIVE maestro_hop AS ((SELECT {column} AS t FROM {name} WHERE {column} IS NOT NULL"
        f" ORDER BY {column} LIMIT 1) UNION ALL SELECT (SELECT {column} FROM {name} WHERE {column} > maestro_hop.t"
        f" ORDER BY {column} LIMIT 1) FROM maestro_hop WHERE maestro_hop.t IS NOT NULL)"
        f" SELECT t::text FROM maestro_hop WHERE t IS NOT NULL"
    )
    if not any(i.valid and not i.partial and i.columns[:1] == (spec.column,) for i in catalog.indexes.get(table, ())):
        hop = f"SELECT DISTINCT {column}::text FROM {name} WHERE {column} IS NOT NULL"  # one scan, not one a tenant
    try:
        session.execute("SET row_security = off")
        return [row[0] for row in session.execute(hop)]
    except DatabaseError as error:
        session.rollback()
        if error.sqlstate != "42501" or spec.setting is None:
            raise
    finally:
        session.execute("SET row_security = on")
    found = []
    for (tenant,) in session.execute(f"SELECT {_key(session, spec)}::text FROM {spec.qualified(spec.tenants)}"):
        session.execute("SELECT set_config(%s, %s, false)", (spec.setting, tenant))
        if session.execute(f"SELECT EXISTS (SELECT FROM {name} WHERE {column} = %s::{spec.type})", (tenant,))[0][0]:
            found.append(tenant)
    session.execute("SELECT set_config(%s, '', false)", (spec.setting,))
    return found


def _key(session: Session, spec: Spec) -> str:
    query = (
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indisprimary AND i.indrelid = to_regclass(%s)"
    )
    return sql.identifier(session.execute(query, (spec.qualified(spec.tenants),))[0][0])


def save(url: str, spec: Spec, catalog: Catalog, directory: Path, tenants: dict[str, list[str]]) -> list[Path]:
    """Write the map.

    Args:
        url: URL of the role that owns the tables.
        spec: Names.
        catalog: What is there.
        directory: Made where missing; a file in it is never overwritten.
        tenants: What `tenants_with_rows` found.

    Raises:
        Refused: A table has no primary key, or a file is there already.
    """
    import psycopg2

    tables = sorted({table for tenant, found in tenants.items() if tenant != spec.default_id for table in found})
    for table in tables:
        if not catalog.primary_key(table):
            raise Refused(f"{table} has no primary key: which row was whose could not be told again")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    connection = psycopg2.connect(libpq_url(url), application_name="maestro migrate")
    try:
        for table in tables:
            path = directory / f"{table}.csv"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise Refused(f"{path} is there already", hint="Name another folder with --map.") from None
            with os.fdopen(descriptor, "w", newline="") as stream:
                _copy(connection, spec, catalog, table, [t for t in tenants if t != spec.default_id], stream)
                stream.flush()
                os.fsync(stream.fileno())
            written.append(path)
    finally:
        connection.close()
    return written


def _copy(connection: object, spec: Spec, catalog: Catalog, table: str, tenants: list[str], stream: object) -> None:
    keys, column = sql.columns(catalog.primary_key(table)), sql.identifier(spec.column)
    with connection.cursor() as cursor:  # type: ignore[attr-defined] # a psycopg2 connection, imported lazily
        csv.writer(stream).writerow([*catalog.primary_key(table), spec.column])  # type: ignore[arg-type] # a text file
        for tenant in tenants:
            value = sql.tenant_literal(tenant, spec.type)
            if spec.setting is not None:
                cursor.execute("SELECT set_config(%s, %s, false)", (spec.setting, tenant))
            query = f"SELECT {keys}, {column} FROM {spec.qualified(table)} WHERE {column} = {value}"
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", stream)


def restore(session: Session, spec: Spec, catalog: Catalog, directory: Path) -> int:
    """Give the rows of a saved map their tenants again, 2,000 to a transaction; repeatable.

    Args:
        session: Where.
        spec: Names.
        catalog: What is there, with the column.
        directory: Where `save` wrote.

    Returns:
        The number of rows changed.

    Raises:
        UsageError: The folder or a file is not a saved map.
    """
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}", hint="--map names the folder that rollback wrote.")
    changed = 0
    for table in spec.tables:
        path = directory / f"{table.name}.csv"
        if path.exists():
            with path.open(newline="") as stream:
                changed += _restore(session, spec, catalog, table.name, csv.reader(stream))
    return changed


def _restore(
    session: Session,
    spec: Spec,
    catalog: Catalog,
    table: str,
    rows: Iterator[list[str]],
) -> int:
    key = catalog.primary_key(table)
    if next(rows, None) != [*key, spec.column]:
        raise UsageError(f"{table}.csv is not a saved map of {table}: its first line should name {', '.join(key)}")
    types = [catalog.tables[table].columns[part].type for part in key]
    arrays = ", ".join(f"%s::text[]::{type_}[]" for type_ in [*types, spec.type])
    names = [f"k{number}" for number in range(len(key))]
    alias = sql.identifier(table)
    joined = " AND ".join(f"{alias}.{sql.identifier(part)} = m.{name}" for part, name in zip(key, names, strict=True))
    column = sql.identifier(spec.column)
    statement = (
        f"UPDATE {spec.qualified(table)} AS {alias} SET {column} = m.t FROM unnest({arrays}) AS m ({', '.join(names)}, t)"
        f" WHERE {joined} AND {alias}.{column} IS DISTINCT FROM m.t"
    )
    changed = 0
    while batch := list(islice(rows, BATCH_ROWS)):
        changed += session.affected(statement, [list(values) for values in zip(*batch, strict=True)])
    return changed
