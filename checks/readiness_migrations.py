"""Is the database at the head of the application's migrations?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.application import ApplicationError
from maestro_cli.observe.migrations import ScriptsError, read_scripts, version_rows


@check(
    "readiness.migrations",
    component="deployment",
    priority="high",
    faults=("migration-pending", "migration-two-heads", "migration-unknown", "migration-never-run", "migration-broken"),
    deadline_s=12,
)
def migrations(ctx: Context) -> Finding:
    """The database is at the single head of the migrations.

    Why: code that meets yesterday's schema fails at the first query of a new column, and two heads stop the next upgrade.
    Fails when: the scripts behind database.alembic_ini have more than one head or cannot be read, or the version table is
    missing, behind, or at a revision that the scripts do not know.
    Fix: `alembic upgrade head`; for two heads, `alembic merge heads` first; for an unknown revision, deploy the code that has it.
    Source: Alembic, Working with Branches; Alembic, Auto Generating Migrations (https://alembic.sqlalchemy.org)
    """
    try:
        scripts = read_scripts(ctx)
    except FileNotFoundError as error:
        return failed(f"There is no {error}.", Evidence("database.alembic_ini", "no file", "the Alembic configuration"))
    except ScriptsError as error:
        return failed(
            f"The migration scripts are broken: {error.message}.", Evidence("scripts", error.message, "readable")
        )
    except ApplicationError as error:
        return errored(f"The migration scripts could not be read: {error.message}.")
    heads = ", ".join(scripts.heads)
    if len(scripts.heads) != 1:
        many = "no migration" if not scripts.heads else f"{len(scripts.heads)} heads"
        return failed(f"The scripts have {many}.", Evidence("heads", heads or "none", "one"), command="alembic heads")
    seen = version_rows(ctx, scripts.version_table)
    if seen is None:
        return failed(
            f"The database has no table {scripts.version_table}: no migration was ever run.",
            Evidence("database", "no version table", heads),
            command="alembic upgrade head",
        )
    at = Evidence("database", ", ".join(seen) or "no revision", heads)
    unknown = [revision for revision in seen if revision not in scripts.revisions]
    if unknown:
        return failed(f"The database is at {', '.join(unknown)}, which the scripts do not know.", at)
    if seen != list(scripts.heads):
        return failed(f"The database is at {at.observed}, not at the head {heads}.", at, command="alembic upgrade head")
    return passed(f"The database is at the head {heads}.", at, Evidence("revisions", str(len(scripts.revisions))))
