"""Does the service keep its budgets under load?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, combine, errored, failed, passed
from maestro_cli.config.readiness_settings import LoadTest
from maestro_cli.evidence.documents import UnbelievableError, believe, files, read_text
from maestro_cli.evidence.findings import unbelievable
from maestro_cli.evidence.load_tests import LoadResult, parse_load


@check(
    "readiness.load-test",
    component="testing",
    priority="low",
    faults=(
        "load-too-slow",
        "load-errors",
        "load-throughput-low",
        "load-missing",
        "load-stale",
        "load-empty",
        "load-truncated",
        "load-foreign-commit",
    ),
)
def load_test(ctx: Context) -> Finding:
    """Load tests keep their budgets.

    Why: an API that answers one request in 20 ms may answer a hundred in 20 s.
    Fails when: a result of readiness.evidence.load is above one of its budgets, crossed a threshold of the tool's own,
    measured nothing, or is missing, cut short, stale or of another commit. A budget that the result does not tell is an
    error.
    Fix: find the slow part, or change the budget with its reason; run the load test again.
    Source: Google SRE Workbook, Implementing SLOs; k6, Locust, wrk and pytest-benchmark documentation
    """
    evidence = ctx.require(ctx.settings.readiness.evidence, "readiness.evidence")
    tests = ctx.require(evidence.load, "readiness.evidence.load")
    return combine([row for test in tests for row in _judged(ctx, test, evidence.max_age_hours)])


def _judged(ctx: Context, test: LoadTest, max_hours: float) -> Iterator[Finding]:
    try:
        for name, path in files(ctx, (test.file,)):
            result = parse_load(name, read_text(name, path))
            believe(ctx, name, path, max_hours, stated=result.made, commit=result.commit)
            yield _judge(name, result, test)
    except UnbelievableError as error:
        yield unbelievable(error, "a whole and recent result of this commit")


def _judge(name: str, result: LoadResult, test: LoadTest) -> Finding:
    lost = "" if result.failed is None else f", {result.failed:,} failed"
    seen = [Evidence(name, f"{result.tool}: {result.requests:,} measured{lost}", "none over budget")]
    over: list[str] = []
    unknown: list[str] = []
    for what, observed, budget, unit in (
        ("mean", result.mean_ms, test.mean_ms, "ms"),
        ("95th percentile", result.percentiles.get(95), test.p95_ms, "ms"),
        ("99th percentile", result.percentiles.get(99), test.p99_ms, "ms"),
        ("failed requests", result.error_percent, test.max_error_percent, "%"),
    ):
        if budget is None:
            continue
        if observed is None:
            unknown.append(what)
            continue
        seen.append(Evidence(f"{name}: {what}", f"{observed:.4g} {unit}", f"at most {budget:g} {unit}"))
        if observed > budget:
            over.append(f"{what} is {observed:.4g} {unit}, at most {budget:g}")
    if test.min_requests_per_second is not None:
        rate = result.rate
        if rate is None:
            unknown.append("throughput")
        else:
            least = test.min_requests_per_second
            seen.append(Evidence(f"{name}: throughput", f"{rate:.4g} /s", f"at least {least:g} /s"))
            if rate < least:
                over.append(f"throughput is {rate:.4g} /s, at least {least:g}")
    over += [f"its own threshold {threshold} was crossed" for threshold in result.crossed]
    if over:
        return failed(f"{name}: {'; '.join(over)}.", *seen)
    if unknown:
        return errored(f"{name} of {result.tool} does not tell: {', '.join(unknown)}.", *seen)
    return passed(f"{name} keeps its budgets.", *seen)
