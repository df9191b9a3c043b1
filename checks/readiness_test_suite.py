"""Did the tests run, lately, and did they all pass?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.junit_report import MAXIMUM_BYTES, TestRun, parse_junit
from maestro_cli.observe.project_files import judge_age, matches, read_limited, shown
from maestro_cli.observe.xml_events import BrokenXMLError, HostileXMLError


@check(
    "readiness.test-suite",
    component="testing",
    priority="critical",
    faults=("tests-failing", "tests-none-ran", "junit-missing", "junit-stale", "junit-truncated", "junit-xml-bomb"),
)
def test_suite(ctx: Context) -> Finding:
    """The test suite passes.

    Why: a folder named tests proves nothing; a report of a recent run does.
    Fails when: a file of readiness.evidence.junit is missing, broken or a bomb, older than readiness.evidence.max_age_hours
    or than the last commit, when a test failed, or when none ran.
    Fix: run the tests and write their report, for example `pytest --junitxml=reports/junit.xml`; mend what fails.
    Source: JUnit XML (https://github.com/testmoapp/junitxml); OWASP, XML External Entity Prevention
    """
    evidence = ctx.require(ctx.settings.readiness.evidence, "readiness.evidence")
    patterns = ctx.require(evidence.junit, "readiness.evidence.junit")
    whole = TestRun()
    seen: list[Evidence] = []
    for pattern in patterns:
        files = matches(ctx, pattern)
        if not files:
            return failed(f"There is no test report at {pattern}.", Evidence(pattern, "no file", "a JUnit report"))
        for path in files:
            name = shown(ctx, path)
            try:
                run = parse_junit(read_limited(path, MAXIMUM_BYTES))
            except (BrokenXMLError, HostileXMLError) as error:
                return failed(
                    f"The test report {name} cannot be believed: {error.message}.",
                    Evidence(name, error.message, "a whole JUnit report"),
                )
            except FileNotFoundError:
                return errored(f"The test report {name} vanished while it was being read.")
            age = judge_age(ctx, path, evidence.max_age_hours, stated=run.started)
            if age.stale is not None:
                return failed(
                    f"The test report {name} is {age.stale}.", Evidence(name, age.stale, "made after the last commit")
                )
            whole.add(run)
            seen.append(Evidence(name, f"{run.tests} tests, {age.made:%Y-%m-%d %H:%M} UTC"))
    return _judge(whole, seen)


def _judge(run: TestRun, seen: list[Evidence]) -> Finding:
    good = max(run.ran - run.failures - run.errors, 0)
    counts = Evidence(
        "tests",
        f"{good} passed, {run.failures} failed, {run.errors} errors, {run.skipped} skipped",
        "at least one passed, none failed",
    )
    if run.failures or run.errors:
        names = Evidence("failing", ", ".join(run.names) or "not named in the report")
        return failed(f"{run.failures + run.errors} of {run.tests} tests do not pass.", counts, names, *seen)
    if good == 0:
        return failed("The test reports hold no test that ran.", counts, *seen)
    return passed(f"{good} tests passed and none failed.", counts, *seen)
