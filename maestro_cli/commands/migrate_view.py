"""How a migration looks on a terminal: the plan as a table, the progress as one line."""

from __future__ import annotations

import shutil
from types import TracebackType
from typing import TYPE_CHECKING, Self

from maestro_cli.commands.base import Invocation
from maestro_cli.commands.columns import columns

if TYPE_CHECKING:
    from maestro_cli.tenants.citus import Readiness
    from maestro_cli.tenants.findings import Verification
    from maestro_cli.tenants.progress import Progress
    from maestro_cli.tenants.state import Status
    from maestro_cli.tenants.steps import Plan, Step


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in {"B", "kB"} else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError  # pragma: no cover


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def plan_table(plan: Plan) -> str:
    """The plan for people."""
    lines = [f"Database {plan.database}, schema {plan.schema}: {len(plan.tables)} tables, {len(plan.steps)} steps left"]
    if plan.proposed:
        lines += [
            "",
            "tenancy.tables names no table; these are proposed. To fix the choice, put into maestro.yaml:",
            "",
        ]
        lines += [
            "tenancy:",
            "  tables:",
            *(f"    {_key(name)}: {{indexes: [[{plan.column}]]}}" for name in plan.tables),
        ]
        shared = ", ".join(map(_key, plan.shared))
        lines += [f"  shared: [{shared}]   # tables that are no tenant's"]
    if plan.steps:
        rows = [("#", "step", "lock", "expected", "blocks")]
        rows += [(str(number), *_row(step)) for number, step in enumerate(plan.steps, 1)]
        total = f"Expected: {seconds(plan.expected_s)} in all; {size(plan.disk)} of disk for indexes and moved rows."
        lines += ["", columns(rows), "", total]
    if plan.notes:
        lines += ["", "To know and decide:"]
        lines += [f"  - {note.kind}: {note.object}: {note.message}" for note in plan.notes]
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and not name[0].isdigit() else f'"{name}"'


def _row(step: Step) -> tuple[str, str, str, str]:
    lock = step.locks[-1] if step.locks else None
    return (f"{step.table}: {step.title}", str(lock.mode) if lock else "-", seconds(step.expected_s), step.blocks)


def status_table(status: Status) -> str:
    """The status for people."""
    rows = [("table", "column", "foreign key", "indexes", "row security", "rows", "size", "left")]
    for table in status.tables:
        indexes = f"{table.indexes}/{table.indexes_wanted}"
        if table.invalid_indexes:
            indexes += f", {len(table.invalid_indexes)} invalid"
        facts = (table.name, table.column, table.foreign_key, indexes, table.row_security)
        rows.append((*facts, f"~{table.rows:,}", size(table.bytes), str(table.steps_left)))
    lines = [
        f"Database {status.database}, schema {status.schema}: {len(status.steps_left)} steps left, contract {status.contract}",
        "",
        columns(rows),
        "",
    ]
    if status.multixact_age is not None:
        lines.append(f"Multixact age of the table of tenants: {status.multixact_age:,}")
    if status.running:
        lines.append(f"A migration is running: {status.running}")
    if status.appeared:
        lines.append(f"Neither in tenancy.tables nor in tenancy.shared: {', '.join(status.appeared)}")
    return "\n".join(lines).rstrip()


def findings_table(found: Verification) -> str:
    """The verification for people."""
    lines = []
    for finding in found.findings:
        lines.append(f"{finding.severity}  {finding.kind}  {finding.object}: {finding.message}")
        if finding.fix:
            lines.append(f"       fix: {finding.fix}")
    if lines:
        lines.append("")
    lines.append(f"Looked at {len(found.tables)} tables: {'; '.join(found.checked)}.")
    if found.multixact_age is not None:
        lines.append(f"Multixact age of the table of tenants: {found.multixact_age:,}.")
    errors = sum(finding.severity == "error" for finding in found.findings)
    if found.proof is not None and found.proof.holds and found.holds:
        lines.append(f"Isolation holds: {found.proof.attempts} attempts of {found.proof.role}, no leak.")
    elif found.holds:
        lines.append("The migration is whole. Isolation is not proved: tenancy.rls is not configured.")
    else:
        lines.append(f"{errors} errors. The fix of each stands below it; then run again: maestro migrate verify")
    return "\n".join(lines)


def citus_table(found: Readiness) -> str:
    """The Citus report for people."""
    lines = []
    for finding in found.findings:
        lines.append(f"{finding.severity}  {finding.kind}  {finding.object}: {finding.message}")
        if finding.fix:
            lines.append(f"       fix: {finding.fix}")
    if lines:
        lines.append("")
    errors = sum(finding.severity == "error" for finding in found.findings)
    verdict = "ready to be distributed" if found.ready else f"not ready: {errors} errors"
    lines.append(f"{len(found.tables)} tables: {verdict}.")
    return "\n".join(lines)


class ProgressLine:
    """Draws progress on stderr: one line that is rewritten on a terminal, nothing otherwise.

    Args:
        invocation: Whose stderr.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._drawn = False
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clear()

    def __call__(self, progress: Progress) -> None:
        """Hear of a moment of a step."""
        if not self._invocation.progress:
            self._note(progress)
            return
        text = self._text(progress)
        width = shutil.get_terminal_size().columns - 1
        self._clear()
        if progress.state == "done":
            self._invocation.stderr.write(f"  done  {text}"[:width] + "\n")
        else:
            self._invocation.stderr.write(text[:width])
            self._drawn = True
        self._invocation.stderr.flush()

    def _note(self, progress: Progress) -> None:
        """Where no progress is drawn, a wait is still worth a line: it is why nothing seems to happen."""
        if progress.state == "waiting" and progress.step.id not in self._warned:
            self._warned.add(progress.step.id)
            self._invocation.say(f"waiting: {progress.step.title} on {progress.step.table}: {progress.what}")

    def _clear(self) -> None:
        if self._drawn:
            self._invocation.stderr.write("\r\x1b[2K")
            self._drawn = False

    @staticmethod
    def _text(progress: Progress) -> str:
        step = progress.step
        parts = [f"[{progress.number}/{progress.total}] {step.table}: {step.title}"]
        if progress.state == "waiting":
            parts.append(f"waiting for {progress.what}")
        elif progress.whole and progress.state == "running":
            share = 100 * progress.done / progress.whole
            parts.append(f"{share:.0f} % of {progress.whole:,} {progress.unit}, {progress.rate:,.0f}/s")
            if progress.unit == "blocks":
                parts.append(f"{size(progress.done * 8192)} of {size(progress.whole * 8192)}")
            if progress.left_s is not None:
                parts.append(f"{seconds(progress.left_s)} left")
        parts.append(seconds(progress.elapsed_s))
        return ", ".join(parts)
