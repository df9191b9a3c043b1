"""Does a CI pipeline run the gate, and does it stop when the gate is not met?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.pipeline import MAXIMUM_BYTES, PipelineError, parse_pipeline, runs_gate
from maestro_cli.observe.project_files import matches, read_limited, shown


@check(
    "readiness.pipeline",
    component="deployment",
    priority="medium",
    faults=("pipeline-missing", "pipeline-without-gate", "pipeline-ignores-gate", "pipeline-broken"),
)
def pipeline(ctx: Context) -> Finding:
    """A CI pipeline runs the gate.

    Why: a gate that nobody runs stops nothing.
    Fails when: a pattern of readiness.project.pipelines matches no file, a file is not YAML, none of them runs
    `maestro readiness`, or each that does ignores its failure (continue-on-error, allow_failure, `|| true`).
    Fix: add a step that runs `maestro readiness`; `maestro init --with ci-github` writes one.
    Source: DORA, Continuous integration; GitHub Actions, Workflow syntax (jobs.<id>.steps[*].run)
    """
    project = ctx.require(ctx.settings.readiness.project, "readiness.project")
    patterns = ctx.require(project.pipelines, "readiness.project.pipelines")
    ignored: list[Evidence] = []
    read: list[str] = []
    gate: list[Evidence] = []
    for pattern in patterns:
        files = matches(ctx, pattern)
        if not files:
            return failed(f"There is no pipeline at {pattern}.", Evidence(pattern, "no file", "a CI pipeline"))
        for path in files:
            name = shown(ctx, path)
            try:
                commands = parse_pipeline(read_limited(path, MAXIMUM_BYTES))
            except PipelineError as error:
                return failed(
                    f"The pipeline {name} cannot run: {error.message}.", Evidence(name, error.message, "valid YAML")
                )
            except FileNotFoundError:
                return errored(f"The pipeline {name} vanished while it was being read.")
            read.append(name)
            for command in filter(runs_gate, commands):
                if command.ignored is None:
                    gate.append(Evidence(name, command.line[:120], "maestro readiness"))
                else:
                    ignored.append(Evidence(name, command.ignored, "the pipeline stops"))
    if gate:
        return passed(f"{gate[0].name} runs maestro readiness.", *gate[:5])
    if ignored:
        return failed(f"{ignored[0].name} runs maestro readiness, but {ignored[0].observed}.", *ignored[:5])
    return failed(
        "No pipeline runs maestro readiness.", Evidence("pipelines read", ", ".join(read), "one with maestro readiness")
    )
