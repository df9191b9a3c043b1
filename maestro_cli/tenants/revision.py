"""The plan as a revision of a team's own Alembic chain: it does the same, and needs no maestro to run.

The lock policy goes with it: the file holds a short `_when_free` that looks first, as `maestro migrate apply` does.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from maestro_cli.errors import Refused, UsageError
from maestro_cli.tenants import sql
from maestro_cli.tenants.locks import CONFLICTS
from maestro_cli.tenants.plan_script import loop
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import LockMode, Mode, Plan, Step

_HEAD = '''\
"""Divide the database among tenants.

Written by `maestro migrate plan --alembic`; no maestro is needed to run it. Every statement is safe on a live database:
strong locks are taken for milliseconds, at a moment when nobody is in the way; the long steps block nobody.

Revision ID: {revision}
Revises: {revises}
"""

import time

from alembic import op

revision = {revision!r}
down_revision = {down!r}
branch_labels = None
depends_on = None

MAX_LOCK_WAIT_S = 600
MAX_STALL_MS = 50

LOOK = """
SELECT l.pid, a.usename, a.application_name, a.state, a.query_start
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.relation = to_regclass('{{table}}') OR l.relation IN
       (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('{{table}}')))
  AND l.mode IN ({{modes}})
"""


def _run(statement):
    op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def _when_free(locks, *statements):
    """Run the statements in one transaction at a moment when nobody holds what conflicts; never queue."""
    if op.get_context().as_sql:
        for statement in statements:
            op.execute(statement)
        return
    until = time.monotonic() + MAX_LOCK_WAIT_S
    misses = 0
    while True:
        holders = []
        for table, _, modes in locks:
            look = LOOK.replace("{{table}}", table.replace("'", "''")).replace("{{modes}}", modes)
            holders += op.get_bind().exec_driver_sql(look.replace("%", "%%")).fetchall()
        if not holders or misses > 200:
            try:
                _run("BEGIN")
                _run(f"SET LOCAL lock_timeout = '{{MAX_STALL_MS}}ms'")
                for table, mode, _ in locks:
                    _run(f"LOCK TABLE {{table}} IN {{mode}} MODE" + ("" if holders else " NOWAIT"))
                for statement in statements:
                    _run(statement)
                _run("COMMIT")
                return
            except Exception as error:
                _run("ROLLBACK")
                if getattr(error.orig, "sqlstate", None) != "55P03" and getattr(error.orig, "pgcode", None) != "55P03":
                    raise
        if time.monotonic() > until:
            raise RuntimeError(f"no moment was found to lock {{locks[-1][0]}}; in the way: {{holders}}")
        misses = 0 if misses > 200 else misses + 1
        time.sleep(0.01)


def upgrade():
    # Outside a transaction: each step has its own, and an index can't be built concurrently within one.
    with op.get_context().autocommit_block():
        _steps()


def _steps():
'''


def head_of(directory: Path) -> str | None:
    """The newest revision in a folder of revision files; None where there is none.

    Raises:
        UsageError: There is no such folder.
        Refused: It has several heads.
    """
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}", hint="--alembic names the folder of your revision files.")
    revisions: set[str] = set()
    revised: set[str] = set()
    for path in sorted(directory.glob("*.py")):
        found = _assigned(path)
        if isinstance(found.get("revision"), str):
            revisions.add(str(found["revision"]))
            down = found.get("down_revision")
            revised |= {down} if isinstance(down, str) else set(down) if isinstance(down, tuple | list) else set()
    heads = sorted(revisions - revised)
    if len(heads) > 1:
        raise Refused(
            f"{directory} has several heads: {', '.join(heads)}", hint="Merge them first: alembic merge heads"
        )
    return heads[0] if heads else None


def _assigned(path: Path) -> dict[str, object]:
    values: dict[str, object] = {}
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return values
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"} and value is not None:
            try:
                values[target.id] = ast.literal_eval(value)
            except ValueError:
                continue
    return values


def render_revision(up: Plan, spec: Spec, *, after: str | None) -> tuple[str, str]:
    """The file's name and text.

    Args:
        up: What is left to do.
        spec: Names.
        after: The revision that it follows.
    """
    revision = hashlib.sha256(repr((up.to_json(), after)).encode()).hexdigest()[:12]
    text = _HEAD.format(revision=revision, revises=after or "", down=after)
    text += "".join(_steps(up, spec)) or "    pass\n"
    text += "\n\ndef downgrade():\n"
    text += _downgrade(up, spec)
    return f"{revision}_tenants.py", text


def _steps(plan: Plan, spec: Spec) -> Iterator[str]:
    for step in plan.steps:
        yield f"    # {step.table}: {step.title}\n".replace("\r", " ")
        statements = list(step.sql) if step.backfill is None else [loop(step.backfill, spec).rstrip().rstrip(";")]
        if step.mode is Mode.BRIEF and step.locks:
            yield "    _when_free(\n        [\n"
            for lock in step.locks:
                modes = ", ".join(sql.literal(mode) for mode in CONFLICTS[lock.mode])
                yield f"            ({spec.qualified(lock.table)!r}, {str(lock.mode)!r}, {modes!r}),\n"
            yield "        ],\n"
            for statement in statements:
                yield f"        {_source(statement)},\n"
            yield "    )\n"
        else:
            if step.mode is not Mode.BRIEF:
                yield "    _run(\"SET lock_timeout = '0'\")\n"
            for statement in statements:
                yield from _dropping_first(step, statement, spec)
                yield f"    _run({_source(statement)})\n"


def _downgrade(up: Plan, spec: Spec) -> str:
    """The way back of an expansion: refused while another tenant has rows. More than that is maestro's own business."""
    kinds = {step.id.partition(":")[0] for step in up.steps}
    added = [step.table for step in up.steps if step.id.startswith("column:")]
    if not kinds <= {"tenants", "default-tenant", "column", "validate", "index", "backfill"} or not added:
        return '    raise RuntimeError("this goes back with: maestro migrate rollback")\n'
    column = sql.identifier(spec.column)
    lines = []
    for table in added:
        query = f"SELECT 1 FROM {spec.qualified(table)} WHERE {column} <> {spec.default} LIMIT 1"
        lines.append(f"    if op.get_bind().exec_driver_sql({query.replace('%', '%%')!r}).fetchone():\n")
        lines.append(
            f"        raise RuntimeError({f'other tenants have rows in {table}: whose would nobody know'!r})\n"
        )
    lines.append("    with op.get_context().autocommit_block():\n")
    for step in up.steps:
        if step.id.startswith("index:") and step.builds is not None and step.mode is Mode.CONCURRENT:
            drop = f"DROP INDEX CONCURRENTLY IF EXISTS {spec.qualified(step.builds)}"
            lines.append(f"        _run({drop!r})\n")
    modes = ", ".join(sql.literal(mode) for mode in CONFLICTS[LockMode.ACCESS_EXCLUSIVE])
    for table in reversed(added):
        locks = [(spec.qualified(name), "ACCESS EXCLUSIVE", modes) for name in (spec.tenants, table)]
        drop = f"ALTER TABLE {spec.qualified(table)} DROP COLUMN IF EXISTS {column}"
        lines.append(f"        _when_free({locks!r}, {drop!r})\n")
    if "tenants" in kinds:
        lines.append(f"        _run({f'DROP TABLE {spec.qualified(spec.tenants)}'!r})\n")
    return "".join(lines)


def _dropping_first(step: Step, statement: str, spec: Spec) -> Iterator[str]:
    """An interrupted build leaves an invalid index, which IF NOT EXISTS would keep."""
    if step.builds is None or not statement.startswith("CREATE"):
        return
    name = sql.literal(spec.qualified(step.builds))
    query = f"SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({name}) AND NOT indisvalid"
    drop = f"DROP INDEX CONCURRENTLY {spec.qualified(step.builds)}"
    yield f"    if op.get_bind().exec_driver_sql({query.replace('%', '%%')!r}).fetchone():\n        _run({drop!r})\n"


def _source(statement: str) -> str:
    quotes = '"""'
    if "\n" not in statement or quotes in statement or "\\" in statement or statement.endswith('"'):
        return repr(statement)
    return f"{quotes}{statement}{quotes}"
