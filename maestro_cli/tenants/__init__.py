"""Tenant migration: from one tenant to many on a live database.

Plain Python, nothing printed, nothing read from the environment:

    plan(url, tenancy)               what is left to do
    apply(url, tenancy)              do it
    status(url, tenancy)             how far it is
    verify(url, tenancy)             what is wrong, with the proof of isolation
    prove_isolation(url, tenancy)    the proof alone
    rollback(url, tenancy)           back to one tenant

The functions import what they need when they are called: importing this package costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.tenants.urls import is_sqlite

if TYPE_CHECKING:
    from maestro_cli.tenants.downgrade import Rolled
    from maestro_cli.tenants.findings import Proof, Verification
    from maestro_cli.tenants.progress import Listener
    from maestro_cli.tenants.runner import Budgets, Outcome
    from maestro_cli.tenants.state import Status
    from maestro_cli.tenants.steps import Plan


def plan(url: str, tenancy: Tenancy, *, contract: bool = False) -> Plan:
    """What is left to do, read from the catalog; changes nothing.

    Args:
        url: Any PostgreSQL URL.
        tenancy: What is asked for.
        contract: With the contract step.

    Raises:
        ConfigurationError: The tenancy does not fit the database.
        OutOfReach: No server.
    """
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.plan(url, tenancy, contract=contract)
    from maestro_cli.tenants.runner import current_plan
    from maestro_cli.tenants.session import Session

    with Session(url, schema=tenancy.schema) as session:
        return current_plan(session, tenancy, contract=contract)[0]


def script(url: str, tenancy: Tenancy, *, contract: bool = False) -> str:
    """The plan as an SQL script that passes review: linted, to be run with psql.

    Raises:
        ConfigurationError: The tenancy does not fit the database.
        OutOfReach: No server.
    """
    if is_sqlite(url):
        found = plan(url, tenancy, contract=contract)
        statements = [f"{statement};" for step in found.steps for statement in step.sql]
        return "\n".join(["PRAGMA foreign_keys = OFF;", *statements])
    from maestro_cli.tenants.plan_script import render
    from maestro_cli.tenants.runner import current_plan
    from maestro_cli.tenants.session import Session

    with Session(url, schema=tenancy.schema) as session:
        return render(*current_plan(session, tenancy, contract=contract))


def alembic_revision(url: str, tenancy: Tenancy, directory: Path, *, contract: bool = False) -> Path:
    """Write the plan as a revision file of a team's own Alembic chain, behind its head.

    Args:
        url: Any PostgreSQL URL.
        tenancy: What is asked for.
        directory: The folder of the chain's revision files.
        contract: With the contract step.

    Returns:
        The file, which is not overwritten where it is there.

    Raises:
        UsageError: There is no such folder, or the database is SQLite.
        Refused: The chain has several heads, nothing is left to do, or the file is there already.
    """
    from maestro_cli.errors import Refused, UsageError
    from maestro_cli.tenants.revision import head_of, render_revision
    from maestro_cli.tenants.runner import current_plan
    from maestro_cli.tenants.session import Session

    if is_sqlite(url):
        raise UsageError("--alembic writes for PostgreSQL", hint="SQLite needs no plan: maestro migrate apply")
    after = head_of(directory)
    with Session(url, schema=tenancy.schema) as session:
        found, spec = current_plan(session, tenancy, contract=contract)
    if not found.steps:
        raise Refused("nothing is left to do: there is no revision to write")
    name, text = render_revision(found, spec, after=after)
    path = directory / name
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise Refused(f"{path} is there already", hint="It holds this very plan: alembic upgrade head") from None
    return path


def rollback_plan(url: str, tenancy: Tenancy) -> Plan:
    """What a rollback would do; changes nothing.

    Raises:
        Refused: Something that maestro did not make depends on the column.
        OutOfReach: No server.
    """
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.down_plan(url, tenancy)
    from maestro_cli.tenants.downgrade import down_plan
    from maestro_cli.tenants.session import Session

    with Session(url, schema=tenancy.schema) as session:
        return down_plan(session, tenancy)[0]


def apply(
    url: str,
    tenancy: Tenancy,
    *,
    contract: bool = False,
    map_directory: Path | None = None,
    record: bool = True,
    on_progress: Listener | None = None,
    budgets: Budgets | None = None,
) -> Outcome:
    """Do what `plan` shows, resumably and idempotently; see `maestro_cli.tenants.runner.apply`."""
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.apply(url, tenancy, contract=contract, on_progress=on_progress)
    from maestro_cli.tenants.runner import apply as run

    return run(
        url,
        tenancy,
        contract=contract,
        map_directory=map_directory,
        record=record,
        on_progress=on_progress,
        budgets=budgets,
    )


def status(url: str, tenancy: Tenancy) -> Status:
    """How far each table is; see `maestro_cli.tenants.state.status`."""
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.status(url, tenancy)
    from maestro_cli.tenants.state import status as look

    return look(url, tenancy)


def verify(url: str, tenancy: Tenancy, *, test_the_proof: bool = False, prove_it: bool = True) -> Verification:
    """What is wrong, with typed findings; see `maestro_cli.tenants.verification.verify`."""
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.verify(url, tenancy)
    from maestro_cli.tenants.verification import verify as look

    return look(url, tenancy, test_the_proof=test_the_proof, prove_it=prove_it)


def prove_isolation(url: str, tenancy: Tenancy, *, role: str | None = None) -> Proof:
    """Try to get across as the application's role; see `maestro_cli.tenants.verification.prove_isolation`."""
    from maestro_cli.tenants.verification import prove_isolation as prove

    return prove(url, tenancy, role=role)


def rollback(
    url: str,
    tenancy: Tenancy,
    *,
    force: bool = False,
    map_directory: Callable[[], Path] | None = None,
    record: bool = True,
    on_progress: Listener | None = None,
    budgets: Budgets | None = None,
) -> Rolled:
    """Back to one tenant, by the rules; see `maestro_cli.tenants.downgrade.rollback`."""
    if is_sqlite(url):
        from maestro_cli.tenants import sqlite

        return sqlite.rollback(url, tenancy, on_progress=on_progress)
    from maestro_cli.tenants.downgrade import rollback as run

    return run(
        url,
        tenancy,
        force=force,
        map_directory=map_directory,
        record=record,
        on_progress=on_progress,
        budgets=budgets,
    )
