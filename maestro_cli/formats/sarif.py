"""The report as SARIF 2.1.0 (OASIS), within the limits of GitHub code scanning.

Checks are rules; what failed, warned or could not be measured is a result. Passes and skips are rules without a result,
because code scanning shows every result as an alert, whatever its `kind` says.
Sources: SARIF 2.1.0 §3; GitHub, "SARIF support for code scanning" and "SARIF results exceed one or more limits".
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line, without_surrogates
from maestro_cli.formats.json_report import plain
from maestro_cli.model import CheckResult, Component, Priority, Report, Status, Verdict

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

MAX_RESULTS = 5000
"""GitHub includes no more of one run; the findings of the highest priority are kept."""

MAX_RULES = 25_000
MAX_NAME = 255
MAX_DESCRIPTION = 1024
"""Characters of a rule's name and of its descriptions."""

VALUE_SHOWN = 500
LOCATION = "maestro.yaml"
"""Where a finding is shown: a check looks at a running service, and this is the file that describes it."""

_SEVERITIES = {Priority.CRITICAL: "9.5", Priority.HIGH: "8.0", Priority.MEDIUM: "5.5", Priority.LOW: "2.0"}
_LEVELS = {Priority.CRITICAL: "error", Priority.HIGH: "error", Priority.MEDIUM: "warning", Priority.LOW: "note"}
_PROBLEMS = {"error": "error", "warning": "warning", "note": "recommendation"}
_SECURITY = frozenset({Component.SECURITY, Component.MULTI_TENANCY})

Json = dict[str, Any]


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """A SARIF log with one run."""
    del width, colour, verbose  # a machine's format is the same for everyone
    rules: dict[str, CheckResult] = {}
    for check in report.checks:
        if len(rules) < MAX_RULES:
            rules.setdefault(_id(check), check)
    indexes = {name: index for index, name in enumerate(rules)}
    shown = [
        check
        for _, group in wording.by_priority(report.checks)
        for check in group
        if check.status in {Status.FAIL, Status.ERROR, Status.WARN} and _id(check) in indexes
    ]
    run: Json = {
        "tool": {"driver": _driver(report, rules)},
        "automationDetails": {"id": f"maestro/{one_line(report.service)}/{one_line(report.environment)}/"},
        "invocations": [_invocation(report)],
        "results": [_result(report, check, indexes) for check in shown[:MAX_RESULTS]],
        "columnKind": "utf16CodeUnits",
        "properties": {
            "score": report.score,
            "coverage": report.coverage,
            "verdict": report.verdict.value,
            "gate": {"name": report.gate.name, "met": report.gate.met, "reasons": list(report.gate.reasons)},
        },
    }
    if report.commit:
        run["properties"]["commit"] = report.commit
    document = plain({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _id(check: CheckResult) -> str:
    return clip(one_line(check.id), MAX_NAME - 40) or "unnamed"


def _driver(report: Report, rules: dict[str, CheckResult]) -> Json:
    return {
        "name": "maestro",
        "semanticVersion": report.maestro_version,
        "rules": [_rule(name, check) for name, check in rules.items()],
    }


def _rule(name: str, check: CheckResult) -> Json:
    level = _LEVELS[check.priority]
    properties: Json = {
        "tags": [
            f"suite/{check.suite.value}",
            f"component/{check.component.value}",
            f"priority/{check.priority.value}",
        ],
        "precision": "very-high",
        "problem.severity": _PROBLEMS[level],
    }
    if check.component in _SECURITY:
        # The tag makes it a security alert; the number sorts it: > 9 critical, ≥ 7 high, ≥ 4 medium, else low.
        properties["tags"].append("security")
        properties["security-severity"] = _SEVERITIES[check.priority]
    title = clip(one_line(check.title), MAX_DESCRIPTION - 40) or name
    rule: Json = {
        "id": name,
        "shortDescription": {"text": title},
        "fullDescription": {"text": clip(wording.why_text(check), MAX_DESCRIPTION - 40) or title},
        "help": {"text": _help(check)},
        "defaultConfiguration": {"level": level},
        "properties": properties,
    }
    if wording.is_link(check.docs):
        rule["helpUri"] = check.docs
    return rule


def _help(check: CheckResult) -> str:
    parts = [f"Why it matters: {wording.why_text(check)}" if check.why else ""]
    if check.remedy is not None and check.remedy.text:
        parts.append(f"How to fix it: {check.remedy.text}")
    parts.append(f"Next: {wording.next_command(check)}")
    if check.docs:
        parts.append(f"Read more: {check.docs}")
    return "\n\n".join(clip(part, 4000) for part in parts if part)


def _result(report: Report, check: CheckResult, indexes: dict[str, int]) -> Json:
    name = _id(check)
    result: Json = {
        "ruleId": name,
        "ruleIndex": indexes[name],
        "level": _LEVELS[check.priority] if check.status is Status.FAIL else "warning",
        "message": {"text": _message(check)},
        "locations": [_location(check)],
        "partialFingerprints": _fingerprints(report, name),
        "properties": {
            "status": check.status.value,
            "priority": check.priority.value,
            "evidence": [
                {
                    "name": item.name,
                    "observed": clip(item.observed, VALUE_SHOWN),
                    "expected": clip(item.expected, VALUE_SHOWN),
                }
                for item in check.evidence
            ],
        },
    }
    if check.waiver is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": wording.waiver_text(check)}
        ]
    return result


def _message(check: CheckResult) -> str:
    lines = [clip(check.message, 4000) or check.title or check.id]
    if check.status is Status.ERROR:
        lines[0] = f"Could not be measured: {lines[0]}"
    for item in wording.telling(check.evidence)[:5]:
        expected = f", expected {clip(item.expected, VALUE_SHOWN)}" if item.expected else ""
        lines.append(f"{item.name}: observed {clip(item.observed, VALUE_SHOWN)}{expected}")
    # SARIF §3.11.6 reads [text](n) as a link and {0} as a placeholder; a service's answer is neither.
    text = "\n".join(lines)
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _location(check: CheckResult) -> Json:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": LOCATION, "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 1},
        },
        "logicalLocations": [{"name": check.component.value, "kind": "module"}],
    }


def _fingerprints(report: Report, name: str) -> Json:
    identity = without_surrogates(f"{report.service}\0{report.environment}\0{name}")
    digest = hashlib.sha256(identity.encode()).hexdigest()
    # GitHub compares primaryLocationLineHash alone; all our findings stand on one line, so it must tell them apart.
    return {"maestroCheck/v1": digest, "primaryLocationLineHash": f"{digest[:16]}:1"}


def _invocation(report: Report) -> Json:
    return {
        "executionSuccessful": report.verdict is not Verdict.UNKNOWN and not report.interrupted,
        "startTimeUtc": f"{wording.utc(report.started_at).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": note}} for note in report.notes if note
        ],
    }
