"""The verdict as a badge: an SVG of its own, and the JSON from which shields.io draws one."""

from __future__ import annotations

import json

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import xml_text
from maestro_cli.model import Report, Verdict

LABEL = "readiness"
PADDING = 6
HEIGHT = 20

_COLOURS = {Verdict.READY: "#1a7f37", Verdict.NOT_READY: "#b42318", Verdict.UNKNOWN: "#57606a"}
"""Each at least 4.5 : 1 against white (WCAG 2.2, 1.4.3)."""

_WIDTHS = {" ": 3.9, ".": 4.0, "1": 7.0, "i": 3.0, "l": 3.0, "t": 4.3, "r": 4.7, "f": 3.9, "m": 10.7, "w": 9.0}
_WIDTH = 7.0
"""Pixels of a character of Verdana at 11 px; `textLength` makes the reader's own font fit whatever it is."""


def message(report: Report) -> str:
    """As in "96.4 ready", "83.2 not ready", "unknown"."""
    word = {Verdict.READY: "ready", Verdict.NOT_READY: "not ready", Verdict.UNKNOWN: "unknown"}[report.verdict]
    return word if report.score is None else f"{wording.score_text(report.score)} {word}"


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """A self-contained SVG, readable by a screen reader."""
    del width, colour, verbose  # a machine's format is the same for everyone
    text = message(report)
    left, right = (round(_pixels(part)) + 2 * PADDING for part in (LABEL, text))
    title = xml_text(f"{LABEL}: {text}")
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img" aria-label="{title}">
  <title>{title}</title>
  <clipPath id="round"><rect width="{left + right}" height="{HEIGHT}" rx="3"/></clipPath>
  <g clip-path="url(#round)">
    <rect width="{left}" height="{HEIGHT}" fill="#30363d"/>
    <rect x="{left}" width="{right}" height="{HEIGHT}" fill="{_COLOURS[report.verdict]}"/>
  </g>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11" aria-hidden="true">
    <text x="{PADDING}" y="14" textLength="{left - 2 * PADDING}">{LABEL}</text>
    <text x="{left + PADDING}" y="14" textLength="{right - 2 * PADDING}">{xml_text(text)}</text>
  </g>
</svg>
"""


def render_shields(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """JSON for the endpoint badge of shields.io."""
    del width, colour, verbose  # a machine's format is the same for everyone
    badge = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": message(report),
        "color": _COLOURS[report.verdict].removeprefix("#"),
        "isError": report.verdict is Verdict.UNKNOWN,
    }
    return json.dumps(badge, indent=2) + "\n"


def _pixels(text: str) -> float:
    return sum(_WIDTHS.get(character, _WIDTH) for character in text)
