"""The report as a monitoring plugin's output: one line, then performance data (Monitoring Plugins guidelines)."""

from __future__ import annotations

import math
from enum import IntEnum

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line
from maestro_cli.model import Report, Status, Verdict

LONGEST = 1024
"""Characters of the first line's text: what the shortest buffer in use (Nagios 3's) surely shows, leaves room for."""


class State(IntEnum):
    """What a plugin's exit code tells Nagios, Icinga and their kin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def state(report: Report) -> State:
    """The state, which is also the exit code: not ready is CRITICAL; ready, but with a finding, WARNING."""
    if report.verdict is Verdict.UNKNOWN or report.interrupted:
        return State.UNKNOWN
    if report.verdict is Verdict.NOT_READY:
        return State.CRITICAL
    counts = report.counts
    return State.WARNING if counts.warn or counts.fail or counts.error else State.OK


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """`READINESS OK - …|'score'=96.4;;90:;0;100 …`; with `verbose`, one line per finding follows."""
    del width, colour
    score = wording.score_text(report.score)
    parts = [
        f"{report.service or 'unnamed service'} is {wording.verdict_text(report)}",
        f"score {score}" if report.score is None else f"score {score} of 100",
        f"coverage {wording.score_text(report.coverage)} %",
        wording.counts_text(report.counts),
        *report.gate.reasons,
    ]
    first = f"READINESS {state(report).name} - {_text(', '.join(parts))}"
    lines = [f"{clip(first, LONGEST)}|{_performance(report)}"]
    if verbose:
        lines += [
            clip(_text(f"{check.status.value.upper()} [{check.priority.value}] {check.id}: {check.message}"), LONGEST)
            for _, checks in wording.by_priority(report.checks)
            for check in checks
            if check.status not in {Status.PASS, Status.SKIP}
        ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """One line without the bar that would end the text."""
    return one_line(text).replace("|", "¦")


def _performance(report: Report) -> str:
    """`'label'=value[UOM];warn;crit;min;max`; `90:` is critical below 90, `U` is a value that could not be had."""
    gate, counts = report.gate, report.counts
    data = [
        f"'score'={_value(report.score)};;{_value(gate.min_score)}:;0;100",
        f"'coverage'={_value(report.coverage)}%;;{_value(gate.min_coverage)}:;0;100",
    ]
    data += [f"'{name}'={number};;;0;{counts.total}" for name, number in counts.as_dict().items()]
    data += [f"'{component.id.value}'={_value(component.score)};;;0;100" for component in report.components]
    data.append(f"'duration'={_value(report.duration_s)}s;;;0;")
    return " ".join(data)


def _value(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "U"
    text = f"{value:.9f}".rstrip("0").rstrip(".")  # no exponent: the guidelines know digits, a point and a sign
    return "0" if text == "-0" else text
