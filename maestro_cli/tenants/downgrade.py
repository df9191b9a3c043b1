"""`maestro migrate rollback`: back to one tenant, by the rules.

While more than one tenant has rows it is refused: afterwards nobody could tell whose row is whose. Forced, the map of
primary keys to tenants is saved first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import Refused
from maestro_cli.tenants import tenant_map, version
from maestro_cli.tenants.catalog_read import read_for
from maestro_cli.tenants.locks import Pace
from maestro_cli.tenants.planner_down import make_down, obstacles
from maestro_cli.tenants.progress import Listener
from maestro_cli.tenants.provenance import found_by
from maestro_cli.tenants.runner import Budgets, Runner
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec, specify, with_proposals
from maestro_cli.tenants.steps import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """What a rollback did."""

    steps: tuple[str, ...]
    saved: tuple[Path, ...] = ()
    """The files of the map."""
    kept_tenants: bool = False
    """The table of tenants stays: it holds more than the default tenant, or is not maestro's."""
    elapsed_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "steps": list(self.steps),
            "saved": [str(path) for path in self.saved],
            "kept_tenants": self.kept_tenants,
            "elapsed_s": round(self.elapsed_s, 3),
        }


def down_plan(session: Session, tenancy: Tenancy) -> tuple[Plan, Spec, dict[str, list[str]]]:
    """What a rollback would do, and which tenants have rows in which tables.

    Raises:
        Refused: Something that maestro did not make depends on the column.
    """
    spec = specify(tenancy)
    catalog = read_for(session, spec)
    spec = with_proposals(spec, tenancy, catalog)
    found = obstacles(spec, catalog)
    if found:
        raise Refused("; ".join(found), hint="Then run again: maestro migrate rollback")
    # A column that stays goes on telling whose row is whose.
    dropped = tuple(table for table in spec.tables if found_by(table, spec, catalog) is None)
    tenants = tenant_map.tenants_with_rows(session, replace(spec, tables=dropped), catalog)
    keep = False
    if spec.tenants in catalog.tables:
        count = session.execute(f"SELECT count(*) FROM (SELECT FROM {spec.qualified(spec.tenants)} LIMIT 2) AS few")
        keep = bool(count[0][0] > 1)
    return make_down(spec, catalog, keep_tenants=keep), spec, tenants


def rollback(
    url: str,
    tenancy: Tenancy,
    *,
    force: bool = False,
    map_directory: Callable[[], Path] | None = None,
    record: bool = True,
    on_progress: Listener | None = None,
    budgets: Budgets | None = None,
    pace: Pace | None = None,
) -> Rolled:
    """Take the tenants out of the tables again.

    Args:
        url: URL of the role that owns the tables.
        tenancy: What was asked for.
        force: Although more than one tenant has rows; needs `map_directory`.
        map_directory: Names the folder for the map.
        record: Remove the record from Alembic's version table; False when Alembic itself is at work.
        on_progress: Hears of every step.
        budgets: Limits.
        pace: Clock, sleep and chance.

    Raises:
        Refused: More than one tenant has rows; nothing was changed.
        Blocked: Somebody was in the way for longer than the budget.
    """
    with (
        Session(url, schema=tenancy.schema) as session,
        Runner(session, url, tenancy, budgets or Budgets(), pace or Pace(), on_progress) as runner,
    ):
        began = runner.pace.monotonic()
        plan, spec, tenants = down_plan(session, tenancy)
        others = sorted(set(tenants) - {spec.default_id})
        if others and (not force or map_directory is None):
            raise _refused(others, tenants, spec)
        saved: list[Path] = []
        if others and map_directory is not None:
            saved = tenant_map.save(url, spec, read_for(session, spec), map_directory(), tenants)
        runner.run_steps(plan.steps, spec)
        if record:
            version.stamp(session, None)
        kept = bool(session.execute("SELECT to_regclass(%s)", (spec.qualified(spec.tenants),))[0][0])
        return Rolled(
            steps=tuple(runner.ran),
            saved=tuple(saved),
            kept_tenants=kept,
            elapsed_s=runner.pace.monotonic() - began,
        )


def _refused(others: list[str], tenants: dict[str, list[str]], spec: Spec) -> Refused:
    some = "; ".join(f"{tenant} in {', '.join(tenants[tenant][:3])}" for tenant in others[:3])
    return Refused(
        f"{len(others)} tenants besides the default one ({spec.default_name}) have rows ({some}): without the column"
        " nobody could tell whose row is whose",
        hint="To go back all the same, with the map of rows to tenants saved first: maestro migrate rollback --force",
    )
