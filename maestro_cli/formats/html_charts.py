"""The pictures of the HTML report as inline SVG: attributes only, because the page's policy allows no inline style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import one_line
from maestro_cli.model import Component, Report

MAX_POINTS = 200
"""The latest runs that a trend shows."""

_RING = 'cx="66" cy="66" r="57" fill="none" stroke-width="11" pathLength="100"'


@dataclass(frozen=True, slots=True)
class Point:
    """One stored run: when (as written by the run, not parsed), and its scores (percent, None where not measured)."""

    at: str
    score: float | None
    components: Mapping[str, float | None]


def percent(value: object) -> float | None:
    """A number between 0 and 100; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(min(max(value, 0.0), 100.0))


def trend(report: Report) -> list[Point]:
    """The runs in `report.extra["trend"]`, oldest first, and this one.

    Each is a mapping with `started_at` (RFC 3339), `score` and, if known, `components` (id → score). Whatever has
    another shape is left out: a report never fails over its decoration.
    """
    runs = report.extra.get("trend")
    points: list[Point] = []
    for run in runs[-MAX_POINTS:] if isinstance(runs, (list, tuple)) else ():
        if isinstance(run, Mapping):
            scores = run.get("components")
            known = scores if isinstance(scores, Mapping) else {}
            points.append(
                Point(
                    str(run.get("started_at", "")),
                    percent(run.get("score")),
                    {str(name): percent(score) for name, score in known.items()},
                )
            )
    now = wording.rfc3339(report.started_at)
    if points and points[-1].at != now:
        points.append(Point(now, percent(report.score), {c.id.value: percent(c.score) for c in report.components}))
    return points


def ring(report: Report) -> str:
    """The score as a ring, with the gate's mark on it."""
    score = percent(report.score)
    number = "–" if score is None else wording.score_text(score)  # noqa: RUF001 - a dash, drawn
    value = ""
    if score:
        value = f'<circle class="value" {_RING} stroke-dasharray="{score:.2f} 100" transform="rotate(-90 66 66)"/>'
    mark = ""
    if gate := percent(report.gate.min_score):
        mark = (
            '<line class="gate-mark" x1="66" y1="1" x2="66" y2="17" stroke-width="2.5" '
            f'transform="rotate({gate * 3.6:.2f} 66 66)"/>'
        )
    return (
        '<svg class="ring" viewBox="0 0 132 132" aria-hidden="true" focusable="false">'
        f'<circle class="track" {_RING}/>{value}{mark}'
        f'<text class="number" x="66" y="73" text-anchor="middle">{number}</text>'
        '<text class="unit" x="66" y="91" text-anchor="middle">'
        f"{'not measured' if score is None else 'of 100'}</text></svg>"
    )


def meter(score: float | None, word: str) -> str:
    """A bar as long as the score."""
    value = percent(score)
    bar = f'<rect width="{value:.2f}" height="7"/>' if value else ""
    return (
        f'<svg class="meter {word}" viewBox="0 0 100 7" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{bar}</svg>'
    )


def spark(points: Sequence[Point], component: Component) -> str:
    """A component's score over the runs; empty where there is nothing to compare."""
    scores = [point.components.get(component.value) for point in points]
    if sum(score is not None for score in scores) < 2:
        return ""
    known = [score for score in scores if score is not None]
    # Drawn on its own scale, but never so that a wobble of a few points looks like a cliff, or 100 like nothing.
    span = max(max(known) - min(known), 20)
    low = min(max((max(known) + min(known) - span) / 2, 0), 100 - span)
    scaled = [None if score is None else 100 * (score - low) / span for score in scores]
    return (
        '<svg class="spark" viewBox="-3 -6 106 112" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<path d="{_line(scaled)}"/></svg>'
    )


def chart(points: Sequence[Point], gate: float) -> str:
    """The total over the runs as a line with dots, and the gate as a dashed line; gaps where nothing was measured."""
    scores = [point.score for point in points]
    grid = "".join(f'<path class="grid-line" d="M0 {y} H100"/>' for y in (0, 25, 50, 75, 100))
    height = percent(gate) or 0.0
    gate_line = f'<path class="gate-line" d="M0 {100 - height:.2f} H100"/>' if height else ""
    dots = "".join(
        f'<path class="dot" d="M{_x(index, len(scores))} {100 - score:.2f} h0"/>'
        for index, score in enumerate(scores)
        if score is not None
    )
    axis = "".join(f"<span>{label}</span>" for label in (100, 75, 50, 25, 0))
    return (
        f'<div class="plot"><div class="axis" aria-hidden="true">{axis}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{_summary(points)}">'
        f'{grid}{gate_line}<path class="line" d="{_line(scores)}"/>{dots if len(points) <= 60 else ""}</svg></div>'
    )


def _x(index: int, number: int) -> str:
    return f"{100 * index / max(number - 1, 1):.2f}"


def _line(scores: Sequence[float | None]) -> str:
    """Path data; a run without a score lifts the pen."""
    path, pen = [], "M"
    for index, score in enumerate(scores):
        if score is None:
            pen = "M"
            continue
        path.append(f"{pen}{_x(index, len(scores))} {100 - score:.2f}")
        pen = "L"
    return " ".join(path)


def _summary(points: Sequence[Point]) -> str:
    measured = [point.score for point in points if point.score is not None]
    if not measured:
        return one_line(f"Score over {len(points)} runs: never measured")
    first, last = wording.score_text(measured[0]), wording.score_text(measured[-1])
    return one_line(f"Score over {len(points)} runs: from {first} to {last}")
