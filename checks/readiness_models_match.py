"""Do the application's models and its database say the same?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.application import ApplicationError
from maestro_cli.observe.migrations import compare_models


@check(
    "readiness.models-match",
    component="deployment",
    priority="medium",
    faults=("model-without-migration", "database-changed-by-hand", "tenant-index-missing", "tenant-column-nullable"),
    deadline_s=12,
)
def models_match(ctx: Context) -> Finding:
    """The models match the database.

    Why: a model that was changed without a migration, or a table changed by hand, works until the code meets it.
    Fails when: `alembic check`, run with the project's Python and environment, finds operations that a new migration would hold.
    Fix: `alembic revision --autogenerate`, read what it wrote, and `alembic upgrade head`.
    Source: Alembic, Running Alembic Check (https://alembic.sqlalchemy.org/en/latest/autogenerate.html)
    """
    try:
        outcome = compare_models(ctx)
    except FileNotFoundError as error:
        return errored(f"The models could not be compared: there is no {error}.")
    except ApplicationError as error:
        return errored(f"The models could not be compared: {error.message}.")
    if "error" in outcome:
        names = ", ".join(map(str, outcome.get("names", ())))
        about = f" about {names}" if names else ""
        return errored(f"The models could not be compared: alembic check raises {outcome['error']}{about}.")
    if "refused" in outcome:
        return errored(f"The models could not be compared: the database is {outcome['refused']}.")
    differences = [str(item) for item in outcome["differences"]]
    if differences:
        return failed(
            f"The models and the database differ in {len(differences)} places.",
            *(Evidence("pending operation", item, "none") for item in differences[:10]),
        )
    return passed("The models match the database.", Evidence("pending operations", "0", "0"))
