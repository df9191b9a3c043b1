"""`maestro migrate`: turn a live single-tenant database into a multi-tenant one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import ConfigurationError, ExitCode, UsageError

if TYPE_CHECKING:
    from maestro_cli.config.tenancy_settings import Tenancy
    from maestro_cli.tenants.steps import Plan

app = typer.Typer(
    cls=MaestroGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Turn a live single-tenant database into a multi-tenant one, without stopping anybody.",
)


def admin_url(invocation: Invocation) -> str:
    """The URL of the role that owns the tables.

    Raises:
        ConfigurationError: No database is configured.
    """
    database = invocation.require_config().settings.database
    url = None if database is None else database.admin_url or database.url
    if url is None:
        raise ConfigurationError(
            "maestro.yaml names no database", hint="Add to maestro.yaml:\ndatabase:\n  url: ${DATABASE_URL}"
        )
    return url.reveal()


def tenancy_of(invocation: Invocation, *, required: bool = True) -> Tenancy:
    """The `tenancy:` section; the defaults where it is absent and not required."""
    from maestro_cli.config.tenancy_settings import Tenancy

    tenancy = invocation.require_config().settings.tenancy
    if tenancy is None and required:
        raise ConfigurationError(
            "maestro.yaml has no tenancy: section",
            hint="See what it could be with: maestro migrate plan        (then add it; `tenancy: {}` takes the proposal)",
        )
    return tenancy if tenancy is not None else Tenancy()


CONTRACT = typer.Option(
    False,
    "--contract",
    help="With the contract step: strict default, old uniques dropped, row-level security. Code that does not set the"
    " tenant stops working.",
)
AS_JSON = typer.Option(False, "--json", help="Write JSON to stdout.")


@app.command(cls=MaestroCommand)
def plan(
    contract: bool = CONTRACT,
    as_sql: bool = typer.Option(False, "--sql", help="Write the SQL script to stdout, for review and psql."),
    alembic: Annotated[
        Path | None,
        typer.Option("--alembic", metavar="DIR", help="Write a revision file into this folder of your Alembic chain."),
    ] = None,
    as_json: bool = AS_JSON,
) -> None:
    """Show what is left to do: each step, its lock, its expected time and what it blocks. Changes nothing.

    Example: `maestro migrate plan --sql > migration.sql`
    """
    from maestro_cli.commands.migrate_view import plan_table
    from maestro_cli.tenants import alembic_revision, script
    from maestro_cli.tenants import plan as make

    invocation = current()
    if sum((as_sql, as_json, alembic is not None)) > 1:
        raise UsageError("--sql, --json and --alembic are three formats", hint="Choose one.")
    tenancy = tenancy_of(invocation, required=False)
    url = admin_url(invocation)
    if as_sql:
        invocation.out(script(url, tenancy, contract=contract))
        return
    if alembic is not None:
        invocation.out(str(alembic_revision(url, tenancy, alembic, contract=contract)))
        invocation.say("Next: read it, then alembic upgrade head")
        return
    found = make(url, tenancy, contract=contract)
    if as_json:
        invocation.out_json(found.to_json())
        return
    invocation.out(plan_table(found))
    _what_next(invocation, found)


def _what_next(invocation: Invocation, found: Plan) -> None:
    if found.steps:
        invocation.say("Next: maestro migrate apply" + (" --contract" if found.contract else ""))
    else:
        invocation.say("Nothing is left to do. Prove it with: maestro migrate verify")


@app.command(cls=MaestroCommand)
def apply(
    contract: bool = CONTRACT,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and change nothing."),
    max_lock_wait: float = typer.Option(
        600, "--max-lock-wait", metavar="SECONDS", min=0, help="How long a step may look for a moment to take its lock."
    ),
    max_stall: float = typer.Option(
        50, "--max-stall", metavar="MS", min=1, max=60_000, help="How long others may be made to wait for a lock."
    ),
    max_replica_lag: float = typer.Option(
        10, "--max-replica-lag", metavar="SECONDS", min=0, help="Long steps wait while a replica is further behind."
    ),
    max_transaction_age: float = typer.Option(
        300, "--max-transaction-age", metavar="SECONDS", min=0, help="A backfill waits while a transaction is older."
    ),
    batch_size: int = typer.Option(
        2000, "--batch-size", metavar="ROWS", min=1, max=100_000, help="Rows in one transaction of a backfill."
    ),
    index_memory: int = typer.Option(
        256,
        "--index-memory",
        metavar="MB",
        min=0,
        max=65_536,
        help="What an index build may take; never less than the server's own.",
    ),
    map_directory: Annotated[
        Path | None,
        typer.Option("--map", metavar="DIR", help="A map that `rollback --force` saved: rows get their tenants again."),
    ] = None,
    as_json: bool = AS_JSON,
) -> None:
    """Do what `plan` shows, while the application goes on. Resumable: after an interruption, run it again.

    Exit code 0: done. 2: the tenancy does not fit the database, nothing was changed. 3: it could not finish (a blocker
    is named by pid, user, application, age and query start); what was done stays.

    Example: `maestro migrate apply --max-lock-wait 60`
    """
    if dry_run:
        plan(contract=contract, as_sql=False, alembic=None, as_json=as_json)
        return
    from maestro_cli.commands.migrate_view import ProgressLine
    from maestro_cli.tenants import apply as run
    from maestro_cli.tenants.runner import Budgets

    invocation = current()
    tenancy = tenancy_of(invocation)
    url = admin_url(invocation)
    budgets = Budgets(
        max_lock_wait_s=max_lock_wait,
        max_stall_s=max_stall / 1000,
        max_replica_lag_s=max_replica_lag,
        max_transaction_age_s=max_transaction_age,
        batch_rows=batch_size,
        index_memory_mb=index_memory,
    )
    with ProgressLine(invocation) as line:
        outcome = run(url, tenancy, contract=contract, map_directory=map_directory, on_progress=line, budgets=budgets)
    if as_json:
        invocation.out_json(outcome.to_json())
    else:
        count = len(outcome.steps)
        done = f"{count} steps in {outcome.elapsed_s:.1f} s" if count else "nothing was left to do"
        rows = f", {outcome.assigned_rows:,} rows assigned" if outcome.assigned_rows else ""
        invocation.out(f"{len(outcome.tables)} tables are multi-tenant: {done}{rows}.")
        if not outcome.recorded:
            invocation.say("note: this role may not create schema maestro, so no revision was recorded for Alembic")
        invocation.say("Next: maestro migrate verify")


@app.command(cls=MaestroCommand)
def status(as_json: bool = AS_JSON) -> None:
    """Show how far each table is. Reads the catalog only.

    Exit code 0: nothing is left to do. 1: something is.

    Example: `maestro migrate status`
    """
    from maestro_cli.commands.migrate_view import status_table
    from maestro_cli.tenants import status as look

    invocation = current()
    found = look(admin_url(invocation), tenancy_of(invocation))
    if as_json:
        invocation.out_json(found.to_json())
    else:
        invocation.out(status_table(found))
        invocation.say("Next: maestro migrate verify" if found.done else "Next: maestro migrate apply")
    if not found.done:
        raise typer.Exit(ExitCode.NOT_MET)


@app.command(cls=MaestroCommand)
def verify(
    test_the_proof: bool = typer.Option(
        False, "--self-test", help="Also break each table's isolation, rolled back: the proof has to notice."
    ),
    as_json: bool = AS_JSON,
) -> None:
    """Prove it: what is missing, orphaned rows, ways round the policies, and attempts to get across tenants.

    With `tenancy.rls`, two tenants and their rows are planted in a transaction that is rolled back, and the
    application's role tries to read, write, move and delete what is not its own.

    Exit code 0: whole, and no leak. 1: findings.

    Example: `maestro migrate verify --self-test`
    """
    from maestro_cli.commands.migrate_view import findings_table
    from maestro_cli.tenants import verify as look

    invocation = current()
    found = look(admin_url(invocation), tenancy_of(invocation), test_the_proof=test_the_proof)
    if as_json:
        invocation.out_json(found.to_json())
    else:
        invocation.out(findings_table(found))
    if not found.holds:
        raise typer.Exit(ExitCode.NOT_MET)


@app.command(cls=MaestroCommand)
def rollback(
    force: bool = typer.Option(
        False, "--force", help="Although several tenants have rows: saves which row was whose first."
    ),
    map_directory: Annotated[
        Path | None,
        typer.Option("--map", metavar="DIR", help="Where --force saves it (default: .maestro/tenant-map-<time>)."),
    ] = None,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the steps and change nothing."),
    max_lock_wait: float = typer.Option(
        600, "--max-lock-wait", metavar="SECONDS", min=0, help="How long a step may look for a moment to take its lock."
    ),
    as_json: bool = AS_JSON,
) -> None:
    """Go back to one tenant: policies, composite keys, indexes, then the column. Resumable.

    Refused (exit code 1) while more than one tenant has rows: afterwards nobody could tell whose row is whose.

    Example: `maestro migrate rollback --dry-run`
    """
    from maestro_cli.commands.migrate_view import ProgressLine, plan_table
    from maestro_cli.tenants import rollback as run
    from maestro_cli.tenants import rollback_plan
    from maestro_cli.tenants.runner import Budgets

    invocation = current()
    tenancy, url = tenancy_of(invocation), admin_url(invocation)
    if dry_run:
        found = rollback_plan(url, tenancy)
        if as_json:
            invocation.out_json(found.to_json())
        else:
            invocation.out(plan_table(found))
        return

    def directory() -> Path:
        return map_directory or invocation.root / ".maestro" / f"tenant-map-{invocation.now():%Y%m%dT%H%M%SZ}"

    with ProgressLine(invocation) as line:
        done = run(
            url,
            tenancy,
            force=force,
            map_directory=directory,
            on_progress=line,
            budgets=Budgets(max_lock_wait_s=max_lock_wait),
        )
    if as_json:
        invocation.out_json(done.to_json())
        return
    invocation.out(f"{len(done.steps)} steps in {done.elapsed_s:.1f} s: the tables are as before.")
    if done.saved:
        folder = done.saved[0].parent
        invocation.out(f"Which row was whose is saved in {folder}.")
        invocation.say(f"Forward again with it: maestro migrate apply --map {folder}")
    if done.kept_tenants:
        invocation.say(
            f"note: {tenancy.tenants_table} stays: it holds more than the default tenant, or is not maestro's"
        )


@app.command(cls=MaestroCommand)
def citus(
    as_sql: bool = typer.Option(False, "--sql", help="Write the hand-over script to stdout."),
    as_json: bool = AS_JSON,
) -> None:
    """Say whether the schema can be distributed with Citus, when one machine is outgrown, and write the hand-over.

    Exit code 0: nothing is in the way. 1: something is.

    Example: `maestro migrate citus --sql > citus.sql`
    """
    from maestro_cli.commands.migrate_view import citus_table
    from maestro_cli.tenants.citus import report

    invocation = current()
    found = report(admin_url(invocation), tenancy_of(invocation))
    if as_sql:
        invocation.out(found.script)
    elif as_json:
        invocation.out_json(found.to_json())
    else:
        invocation.out(citus_table(found))
        invocation.say("Next: maestro migrate citus --sql" if found.ready else "Next: maestro migrate apply")
    if not found.ready:
        raise typer.Exit(ExitCode.NOT_MET)
