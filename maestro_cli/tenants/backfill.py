"""Giving rows their tenant, by primary key, in transactions of 2,000 rows.

By primary key and not by physical position: an UPDATE of the live application moves a row, and a sweep by position
misses it. Nothing is written down about how far it got: a run that is repeated reads the rows that are done and
writes only those that are not, and the foreign key that is validated afterwards says that it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maestro_cli.tenants import sql
from maestro_cli.tenants.locks import RETRIED, Pace
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Backfill

BATCH_ROWS = 2000


def batch_statement(work: Backfill, spec: Spec, *, after: Sequence[str] | None, rows: int = BATCH_ROWS) -> str:
    """One batch: answers with its own last key (an array of text), its rows, and how many of them were changed.

    The keys are found first and without a lock; rows that are no business of this backfill are read and left alone.

    Args:
        work: What to assign.
        spec: Names.
        after: The last key of the batch before, an SQL expression a column; None to begin.
        rows: Rows in a batch.
    """
    table, column = spec.qualified(work.table), sql.identifier(spec.column)
    alias = sql.identifier(work.table)
    keys = [sql.identifier(part) for part in work.key]
    listed = ", ".join(keys)
    ours = ", ".join(f"{alias}.{part}" for part in keys)
    since = "" if after is None else f" WHERE ({listed}) > ({', '.join(after)})"
    last = ", ".join(f"{part}::text" for part in keys)
    downwards = ", ".join(f"{part} DESC" for part in keys)
    joined = " AND ".join(f"{alias}.{part} = maestro_batch.{part}" for part in keys)
    return (
        f"WITH maestro_keys AS MATERIALIZED (SELECT {listed} FROM {table}{since} ORDER BY {listed} LIMIT {rows}),\n"
        f"maestro_new AS MATERIALIZED (SELECT {ours}, {work.expression} AS maestro_tenant\n"
        f"    FROM {table} AS {alias} JOIN maestro_keys AS maestro_batch ON {joined} WHERE {work.only}),\n"
        f"maestro_changed AS (UPDATE {table} AS {alias} SET {column} = maestro_batch.maestro_tenant\n"
        f"    FROM maestro_new AS maestro_batch\n"
        f"    WHERE {joined} AND {work.only} AND maestro_batch.maestro_tenant IS NOT NULL\n"
        f"    AND maestro_batch.maestro_tenant IS DISTINCT FROM {alias}.{column} RETURNING 1)\n"
        f"SELECT (SELECT ARRAY[{last}] FROM maestro_keys ORDER BY {downwards} LIMIT 1),\n"
        f"    (SELECT count(*) FROM maestro_keys), (SELECT count(*) FROM maestro_changed)"
    )


_PARAMETER = "\0"
"""Stands for a parameter while the percent signs of the expression are doubled."""


def _parametrised(work: Backfill, spec: Spec, *, first: bool, rows: int) -> str:
    after = None if first else [f"{_PARAMETER}::{type_}" for type_ in work.key_types]
    statement = batch_statement(work, spec, after=after, rows=rows)
    return statement.replace("%", "%%").replace(_PARAMETER, "%s")


def run(
    work: Backfill,
    spec: Spec,
    session: Session,
    pace: Pace,
    *,
    before_batch: Callable[[], None],
    on_rows: Callable[[int], None],
    rows: int = BATCH_ROWS,
) -> int:
    """Assign every row.

    Args:
        work: What to assign.
        spec: Names.
        session: Where.
        pace: Sleep and chance.
        before_batch: Called before each batch; the throttle waits in it.
        on_rows: Called with the rows looked at so far.
        rows: Rows in a batch.

    Returns:
        The number of rows changed.

    Raises:
        DatabaseError: The expression failed, or names a tenant that does not exist (23503).
    """
    last: list[str] | None = None
    seen = changed = 0
    while True:
        before_batch()
        statement = _parametrised(work, spec, first=last is None, rows=rows)
        last, count, touched = _retried(session, statement, last, pace)
        seen, changed = seen + count, changed + touched
        on_rows(seen)
        if count < rows:
            return changed


def _retried(
    session: Session, statement: str, parameters: list[str] | None, pace: Pace
) -> tuple[list[str] | None, int, int]:
    for attempt in range(20):
        try:
            key, count, changed = session.execute(statement, parameters or ())[0]
        except DatabaseError as error:
            session.rollback()
            if error.sqlstate not in (*RETRIED, "40001") or attempt == 19:
                raise
            pace.sleep(0.05 * (1 + attempt) * (0.5 + pace.random()))
        else:
            return key, count, changed
    raise AssertionError("unreachable")  # pragma: no cover
