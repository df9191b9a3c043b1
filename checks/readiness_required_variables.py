"""Is every variable that the configuration speaks of really set?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, failed, passed
from maestro_cli.observe.variables import is_stand_in, variables


@check(
    "readiness.required-variables",
    component="configuration",
    priority="critical",
    faults=("variable-missing", "variable-empty", "secret-placeholder"),
)
def required_variables(ctx: Context) -> Finding:
    """Every required variable is set.

    Why: an empty password or the text `changeme` starts the service as well as a real value does.
    Fails when: a variable of secrets.required, or one that maestro.yaml refers to by its name, is set nowhere, is empty,
    or holds a placeholder of a template.
    Fix: set it in env_file; `maestro secrets generate` writes the secrets.
    Source: The Twelve-Factor App, III. Config; OWASP ASVS 5.0 13.2.3
    """
    required = ctx.settings.secrets.required if ctx.settings.secrets is not None else {}
    referenced = {name for names in ctx.loaded.references.values() for name in names}
    names = sorted({*required, *referenced})
    if not names:
        raise NotConfigured("secrets.required is not configured, and maestro.yaml refers to no variable")
    found = variables(ctx)
    wrong = {name: why for name in names if (why := _problem(name, found.get(name))) is not None}
    if wrong:
        said = ", ".join(f"{name} {why}" for name, why in wrong.items())
        return failed(
            f"{len(wrong)} of {len(names)} required variables lack a value of their own: {said}.",
            *(Evidence(name, why, "set") for name, why in wrong.items()),
            fix="Set them in env_file or in the environment of the service.",
            command="maestro secrets generate" if set(wrong) <= set(required) else None,
        )
    return passed(f"All {len(names)} required variables are set.", Evidence("variables", ", ".join(names), "set"))


def _problem(name: str, value: str | None) -> str | None:
    if value is None:
        return "is missing"
    if not value.strip():
        return "is empty"
    return "is a placeholder" if is_stand_in(name, value) else None
