"""The report in Prometheus' text exposition format 0.0.4, for node_exporter's textfile collector.

Write it beside the file and rename it into place: the collector may read at any moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line
from maestro_cli.model import Report, Verdict

Labels = dict[str, str]
Sample = tuple[Labels, float | None]

LABEL_SHOWN = 200
"""Characters of a label's value; a longer one costs memory in every scrape."""


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """Gauges, each with its HELP and TYPE; what was not measured has no sample rather than a 0."""
    del width, colour, verbose  # a machine's format is the same for everyone
    lines: list[str] = []
    base = {"service": report.service, "environment": report.environment}
    for name, text, samples in _families(report):
        rows = dict(_row(name, {**base, **labels}, value) for labels, value in samples if _measured(value))
        if rows:
            lines += [
                f"# HELP {name} {text}",
                f"# TYPE {name} gauge",
                *(f"{key} {value}" for key, value in rows.items()),
            ]
    return "\n".join(lines) + "\n"


def _measured(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _row(name: str, labels: Labels, value: float | None) -> tuple[str, str]:
    inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}}", repr(value)


def _label(text: str) -> str:
    text = clip(one_line(text), LABEL_SHOWN)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _families(report: Report) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    yield "maestro_ready", "Whether the verdict is ready.", [({}, float(report.verdict is Verdict.READY))]
    yield (
        "maestro_verdict",
        "1 for the verdict that was given, 0 for the others.",
        [({"verdict": verdict.value}, float(report.verdict is verdict)) for verdict in Verdict],
    )
    yield "maestro_score", "The score, 0 to 100; absent when nothing was measured.", [({}, report.score)]
    yield "maestro_coverage", "The weighted share of checks that were measured, in percent.", [({}, report.coverage)]
    yield "maestro_gate_met", "Whether the environment's gate is met.", [({}, float(report.gate.met))]
    yield "maestro_gate_min_score", "The score that the gate asks for.", [({}, report.gate.min_score)]
    yield from _components(report)
    yield (
        "maestro_checks",
        "How many checks ended in each status; waived ones are counted under their status too.",
        [({"status": status}, float(number)) for status, number in report.counts.as_dict().items()],
    )
    yield (
        "maestro_check_status",
        "1 for the status that the check ended in.",
        [
            (
                {
                    "check": check.id,
                    "component": check.component.value,
                    "priority": check.priority.value,
                    "status": check.status.value,
                    "waived": "true" if check.waiver else "false",
                },
                1.0,
            )
            for check in report.checks
        ],
    )
    started = wording.utc(report.started_at).timestamp()
    yield "maestro_run_timestamp_seconds", "When the run began, in Unix time.", [({}, started)]
    yield "maestro_run_duration_seconds", "How long the run took.", [({}, report.duration_s)]
    yield "maestro_build_info", "The maestro that ran.", [({"version": report.maestro_version}, 1.0)]


def _components(report: Report) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    yield (
        "maestro_component_score",
        "A component's score, 0 to 100; absent when nothing in it was measured.",
        [({"component": component.id.value}, component.score) for component in report.components],
    )
    yield (
        "maestro_component_coverage",
        "The weighted share of a component's checks that were measured, in percent.",
        [({"component": component.id.value}, component.coverage) for component in report.components],
    )
