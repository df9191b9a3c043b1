"""Which share of the lines do the tests run?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.coverage_report import MAXIMUM_BYTES, parse_cobertura
from maestro_cli.observe.project_files import judge_age, read_limited
from maestro_cli.observe.xml_events import BrokenXMLError, HostileXMLError


@check(
    "readiness.coverage",
    component="testing",
    priority="high",
    faults=("coverage-low", "coverage-missing", "coverage-stale", "coverage-empty", "coverage-truncated"),
)
def coverage(ctx: Context) -> Finding:
    """The tests run enough of the code.

    Why: a suite that passes says nothing of the lines that it never reaches.
    Fails when: readiness.evidence.coverage is missing, broken, stale or without a single line, or its line rate is below
    readiness.evidence.min_line_rate.
    Fix: measure it with the tests, for example `pytest --cov --cov-report=xml:reports/coverage.xml`; test what is not reached.
    Source: Cobertura XML; coverage.py, XML reporting (https://coverage.readthedocs.io/en/latest/cmd.html)
    """
    evidence = ctx.require(ctx.settings.readiness.evidence, "readiness.evidence")
    name = ctx.require(evidence.coverage, "readiness.evidence.coverage")
    path = ctx.path(name)
    try:
        found = parse_cobertura(read_limited(path, MAXIMUM_BYTES))
    except FileNotFoundError:
        return failed(f"There is no coverage report at {name}.", Evidence(name, "no file", "a Cobertura report"))
    except (BrokenXMLError, HostileXMLError) as error:
        return failed(
            f"The coverage report {name} cannot be believed: {error.message}.",
            Evidence(name, error.message, "a whole Cobertura report"),
        )
    age = judge_age(ctx, path, evidence.max_age_hours, stated=found.made)
    if age.stale is not None:
        return failed(
            f"The coverage report {name} is {age.stale}.", Evidence(name, age.stale, "made after the last commit")
        )
    if found.lines == 0:
        return failed(
            f"The coverage report {name} has measured no line.", Evidence("measured lines", "0", "at least 1")
        )
    # Rounded down: 79.96 % is not shown as 80.0 %.
    rate = int(found.line_rate * 10) / 10
    seen = Evidence("line coverage", f"{rate} % of {found.lines} lines", f"at least {evidence.min_line_rate:g} %")
    if found.line_rate < evidence.min_line_rate:
        return failed(f"The tests run {rate} % of the lines; at least {evidence.min_line_rate:g} %.", seen)
    return passed(f"The tests run {rate} % of the lines.", seen)
