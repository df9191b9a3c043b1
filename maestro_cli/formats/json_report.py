"""The report as JSON (`--json`), and back: the format that other programs, `maestro history` and `maestro diff` read.

Its shape is published as `report.schema.json` beside this module (JSON Schema draft 2020-12, see `schema`).
"""

from __future__ import annotations

import json
import math
import pkgutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from maestro_cli.formats.escaping import without_surrogates
from maestro_cli.formats.wording import rfc3339
from maestro_cli.model import CheckResult, ComponentScore, GateOutcome, Report

SCHEMA_VERSION = "1"

MAX_DEPTH = 50
"""How deep `Report.extra` may nest before the rest is written as text."""

MAX_BITS = 1024
"""A longer integer is written in hexadecimal: Python itself refuses to spell it in decimal."""


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """One JSON object, pure ASCII: safe in any encoding, and no terminal escape survives in it."""
    del width, colour, verbose  # a machine's format is the same for everyone
    return json.dumps(to_dict(report), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as JSON values, in the order of the contract; `extra` follows and overrides nothing."""
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "maestro_version": report.maestro_version,
        "service": report.service,
        "environment": report.environment,
        "commit": report.commit,
        "started_at": rfc3339(report.started_at),
        "duration_s": _number(report.duration_s) or 0.0,
        "interrupted": report.interrupted,
        "score": _number(report.score),
        "coverage": _number(report.coverage) or 0.0,
        "verdict": report.verdict.value,
        "gate": _gate(report.gate),
        "components": [_component(component) for component in report.components],
        "checks": [_check(check) for check in report.checks],
        "counts": {**report.counts.as_dict(), "total": report.counts.total},
        "notes": list(report.notes),
    }
    extra = {str(key): value for key, value in report.extra.items()}
    document |= {key: extra[key] for key in sorted(extra.keys() - document.keys())}
    return cast("dict[str, Any]", plain(document))


def schema() -> dict[str, Any]:
    """The published JSON Schema of the report (draft 2020-12)."""
    data = pkgutil.get_data(__package__, "report.schema.json")
    return cast("dict[str, Any]", json.loads(data or b"{}"))


def parse(text: str) -> Report:
    """The report that `render` wrote; what a newer maestro added inside known objects is ignored.

    Raises:
        maestro_cli.formats.report_parser.NotAReport: The text is not a report; says where and what was expected.
    """
    from maestro_cli.formats.report_parser import parse as parse_report

    return parse_report(text)


def plain(value: object, depth: int = MAX_DEPTH) -> object:
    """Only what JSON has: unencodable characters spelled out, NaN and infinities as null, anything else as text."""
    if depth > 0 and isinstance(value, Mapping):
        return {without_surrogates(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if depth > 0 and isinstance(value, (set, frozenset)):
        return sorted((plain(item, depth - 1) for item in value), key=repr)
    if depth > 0 and isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray)):
        return [plain(item, depth - 1) for item in value]
    return _scalar(value)


def _scalar(value: object) -> str | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return hex(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(value)
    return without_surrogates(rfc3339(value) if isinstance(value, datetime) else str(value))


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _gate(gate: GateOutcome) -> dict[str, Any]:
    return {
        "name": gate.name,
        "min_score": _number(gate.min_score) or 0,
        "no_failed": [priority.value for priority in gate.no_failed],
        "min_coverage": _number(gate.min_coverage) or 0,
        "met": gate.met,
        "reasons": list(gate.reasons),
    }


def _component(component: ComponentScore) -> dict[str, Any]:
    return {
        "id": component.id.value,
        "title": component.title,
        "score": _number(component.score),
        "weight": _number(component.weight) or 0,
        "coverage": _number(component.coverage) or 0,
        "counts": component.counts.as_dict(),
    }


def _check(check: CheckResult) -> dict[str, Any]:
    remedy, waiver = check.remedy, check.waiver
    return {
        "id": check.id,
        "title": check.title,
        "suite": check.suite.value,
        "component": check.component.value,
        "priority": check.priority.value,
        "status": check.status.value,
        "message": check.message,
        "evidence": [
            {"name": item.name, "observed": item.observed, "expected": item.expected} for item in check.evidence
        ],
        "remedy": remedy and {"text": remedy.text, "command": remedy.command, "fixable": remedy.fixable},
        "waiver": waiver and {"reason": waiver.reason, "owner": waiver.owner, "expires": waiver.expires},
        "plugin": check.plugin,
        "duration_s": _number(check.duration_s) or 0.0,
        "docs": check.docs,
        "why": check.why,
        "faults": list(check.faults),
        "needs": check.needs,
    }
