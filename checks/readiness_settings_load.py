"""Does the application's own settings loader succeed with the environment it will get?"""

from __future__ import annotations

from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.application import ApplicationError, outcome_of, run_application


@check(
    "readiness.settings-load",
    component="configuration",
    priority="high",
    faults=("setting-missing", "setting-invalid", "secret-short", "settings-module-broken", "settings-loader-exits"),
    deadline_s=12,
)
def settings_load(ctx: Context) -> Finding:
    """The application's settings load.

    Why: only the application's own loader knows what it needs; a variable that is missing shows at the next restart.
    Fails when: readiness.project.settings, run in a process of its own with the process environment over env_file, raises,
    exits or crashes.
    Fix: set the variables that are named, in env_file or in the environment.
    Source: The Twelve-Factor App, III. Config (https://12factor.net/config)
    """
    project = ctx.require(ctx.settings.readiness.project, "readiness.project")
    target = ctx.require(project.settings, "readiness.project.settings")
    try:
        outcome = outcome_of(run_application(ctx, "settings", target))
    except ApplicationError as error:
        if "died" in error.message:
            return failed(
                f"The settings loader {target} does not return: {error.message}.",
                Evidence(target, error.message, "settings"),
            )
        return errored(f"The settings loader {target} could not be observed: {error.message}.")
    if "misnamed" in outcome:
        return errored(
            f"readiness.project.settings names {target}, but {outcome['misnamed']}.",
            fix="Write MODULE:CALLABLE as the application imports it, seen from the folder of maestro.yaml.",
        )
    if "error" in outcome:
        return _refused(target, outcome)
    return passed(f"The settings load with {target}.", Evidence(target, str(outcome["made"]), "settings"))


def _refused(target: str, outcome: dict[str, Any]) -> Finding:
    names = [str(name) for name in outcome.get("names", ())]
    about = f" about {', '.join(names)}" if names else ""
    fix = None
    if outcome["error"] == "ModuleNotFoundError":
        fix = "Install what it imports; where the service has an environment of its own, name its Python in readiness.project.python."
    return failed(
        f"The settings do not load: {target} raises {outcome['error']}{about}.",
        Evidence(target, str(outcome["error"]), "settings"),
        *(Evidence("setting", name, "set and valid") for name in names),
        fix=fix,
    )
