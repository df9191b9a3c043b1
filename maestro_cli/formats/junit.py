"""The report as JUnit XML, one suite per component: for Jenkins, GitLab and every other CI that shows test results.

Follows the schema of Jenkins' xUnit plugin (junit-10.xsd). A failed check is a failure, also when it is waived; one
that could not be observed is an error, one that does not apply is skipped; a warning passes and says so in its output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line, xml_attribute, xml_text
from maestro_cli.model import CheckResult, Component, ComponentScore, Report, Status

VALUE_SHOWN = 10_000
"""Characters of one observed value; Jenkins keeps whole outputs in memory."""

_OUTCOMES = {Status.FAIL: "failure", Status.ERROR: "error", Status.SKIP: "skipped"}


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """An XML document; components without a check are left out."""
    del width, colour, verbose  # a machine's format is the same for everyone
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_attributes(_totals(report))}>"]
    scores = {component.id: component for component in report.components}
    for component in Component:
        checks = [check for check in report.checks if check.component is component]
        if checks:
            lines += _suite(report, component, scores.get(component), checks)
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


def _attributes(values: Iterable[tuple[str, str]]) -> str:
    return "".join(f' {name}="{xml_attribute(value)}"' for name, value in values)


def _seconds(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) and value >= 0 else "0.000"


def _numbers(checks: Sequence[CheckResult]) -> list[tuple[str, str]]:
    return [
        ("tests", str(len(checks))),
        ("failures", str(sum(check.status is Status.FAIL for check in checks))),
        ("errors", str(sum(check.status is Status.ERROR for check in checks))),
    ]


def _totals(report: Report) -> list[tuple[str, str]]:
    name = f"maestro readiness: {one_line(report.service)} ({one_line(report.environment)})"
    return [("name", name), ("time", _seconds(report.duration_s)), *_numbers(report.checks)]


def _suite(
    report: Report, component: Component, score: ComponentScore | None, checks: Sequence[CheckResult]
) -> Iterator[str]:
    values = [
        ("name", f"maestro.{component.value}"),
        *_numbers(checks),
        ("skipped", str(sum(check.status is Status.SKIP for check in checks))),
        ("time", _seconds(math.fsum(check.duration_s for check in checks if math.isfinite(check.duration_s)))),
        ("timestamp", wording.utc(report.started_at).replace(tzinfo=None).isoformat(timespec="seconds")),
    ]
    yield f"  <testsuite{_attributes(values)}>"
    properties = [
        ("service", report.service),
        ("environment", report.environment),
        ("commit", report.commit or ""),
        ("score", wording.score_text(score.score if score else None)),
        ("verdict", report.verdict.value),
    ]
    yield "    <properties>"
    yield from (f"      <property{_attributes([('name', name), ('value', value)])}/>" for name, value in properties)
    yield "    </properties>"
    for check in checks:
        yield from _case(check)
    yield "  </testsuite>"


def _case(check: CheckResult) -> Iterator[str]:
    values = [
        ("name", check.id),
        ("classname", f"maestro.{check.component.value}"),
        ("time", _seconds(check.duration_s)),
    ]
    yield f"    <testcase{_attributes(values)}>"
    outcome = _OUTCOMES.get(check.status)
    details = xml_text(clip("\n".join(_details(check)), 10 * VALUE_SHOWN))
    if outcome is None:
        yield f"      <system-out>{details}</system-out>"
    else:
        waiver = f" ({wording.waiver_text(check)})" if check.waiver else ""
        message = clip(f"{one_line(check.message or check.title)}{waiver}", VALUE_SHOWN)
        attributes = _attributes([("type", f"{check.priority.value} {check.status.value}"), ("message", message)])
        yield f"      <{outcome}{attributes}>{details}</{outcome}>"
    yield "    </testcase>"


def _details(check: CheckResult) -> Iterator[str]:
    yield f"{check.status.value.upper()} [{check.priority.value}] {check.title}"
    if check.message:
        yield clip(check.message, VALUE_SHOWN)
    for evidence in check.evidence:
        yield f"observed {evidence.name}: {clip(evidence.observed, VALUE_SHOWN)}"
        if evidence.expected:
            yield f"expected {evidence.name}: {clip(evidence.expected, VALUE_SHOWN)}"
    if check.status in {Status.PASS, Status.SKIP}:
        return
    if check.why:
        yield f"why: {wording.why_text(check)}"
    if check.remedy is not None and check.remedy.text:
        yield f"fix: {check.remedy.text}"
    yield f"run: {wording.next_command(check)}"
    if check.waiver is not None:
        yield wording.waiver_text(check)
