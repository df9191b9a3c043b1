"""A plan as an SQL script that a reviewer can read, lint and run with psql."""

from __future__ import annotations

import re
from collections.abc import Iterator

from maestro_cli.tenants.backfill import batch_statement
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Backfill, Mode, Plan, Step

_HEAD = """\
-- maestro: {direction} of schema {schema} in database {database}, {count} steps.
-- Run it with: psql --set ON_ERROR_STOP=1 --file THIS_FILE   (it ends at the first error).
-- A statement that finds no moment for its lock within 50 ms fails and changes nothing: ask for the script again, it
-- holds what is left. `maestro migrate {command}` looks for such a moment by itself.
SET statement_timeout = '0';
SET lock_timeout = '50ms';
"""


def render(plan: Plan, spec: Spec, *, direction: str = "tenant migration", command: str = "apply") -> str:
    """The script.

    Args:
        plan: What to write.
        spec: Names.
        direction: What the head calls it.
        command: The subcommand that does the same.
    """
    database, schema = (text.replace("\n", " ") for text in (plan.database, plan.schema))
    head = _HEAD.format(direction=direction, schema=schema, database=database, count=len(plan.steps), command=command)
    return head + "".join(_lines(plan, spec))


def _lines(plan: Plan, spec: Spec) -> Iterator[str]:
    limited = True
    for number, step in enumerate(plan.steps, 1):
        if (step.mode is Mode.BRIEF) != limited:
            limited = not limited
            # A timeout would kill an index build and leave an invalid index.
            yield f"\nSET lock_timeout = '{'50ms' if limited else '0'}';\n"
        locks = "; ".join(f"{lock.mode} on {lock.table}" for lock in step.locks) or "no lock on a table"
        yield f"\n-- {number}. {step.table}: {step.title} ({locks}; blocks {step.blocks})\n".replace("\0", "")
        yield from _body(step, spec)


def _body(step: Step, spec: Spec) -> Iterator[str]:
    if step.backfill is not None:
        yield loop(step.backfill, spec)
        return
    together = step.mode in {Mode.BRIEF, Mode.ONLINE}
    if together:
        yield "BEGIN;\n"
    for statement in step.sql:
        yield from _allowed(statement)
    if together:
        yield "COMMIT;\n"


_RULES = {
    r"^ALTER TABLE .*DROP CONSTRAINT": "ban-drop-constraint",
    r"^DROP FUNCTION": "ban-drop-function",
    r"^ALTER TABLE .*DROP COLUMN": "ban-drop-column",
    r"^ALTER TABLE .*DROP DEFAULT": "ban-drop-default",
    r"^DROP INDEX (?!CONCURRENTLY)": "require-concurrent-index-deletion",
    r"^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)": "require-concurrent-index-creation",
    r"^ALTER TABLE ONLY .*ADD CONSTRAINT .* UNIQUE ": "disallowed-unique-constraint, constraint-missing-not-valid",
}
"""What the linter asks about, and this script does on purpose: only what the migration itself made, or replaced, goes;
an index of a partitioned table alone holds nothing, and is made and dropped in a moment."""


def _allowed(statement: str) -> Iterator[str]:
    rules = [rule for pattern, rule in _RULES.items() if re.match(pattern, statement, re.DOTALL)]
    if re.search(r"FOREIGN KEY .*REFERENCES", statement, re.DOTALL) and not statement.endswith("NOT VALID"):
        # The partitions' validated keys are taken over.
        rules += ["adding-foreign-key-constraint", "constraint-missing-not-valid"]
    if rules:
        statement = statement.replace("\n    ", " ")  # the linter's comment holds for the next line only
        yield f"-- squawk-ignore {', '.join(rules)}\n"
    yield f"{statement};\n"


def loop(work: Backfill, spec: Spec) -> str:
    """A backfill as one statement that commits after each batch."""
    into = " INTO maestro_last, maestro_count, maestro_changed"
    after = [f"maestro_last[{number}]::{type_}" for number, type_ in enumerate(work.key_types, 1)]
    first = batch_statement(work, spec, after=None) + into
    following = batch_statement(work, spec, after=after) + into
    return (
        "DO $maestro$\nDECLARE\n    maestro_last text[];\n    maestro_count bigint;\n    maestro_changed bigint;\nBEGIN\n"
        f"LOOP\nIF maestro_last IS NULL THEN\n{first};\nELSE\n{following};\nEND IF;\n"
        "COMMIT;\nEXIT WHEN maestro_count < 2000;\nEND LOOP;\nEND $maestro$;\n"
    )
