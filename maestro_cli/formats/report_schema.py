"""The JSON Schema of the report, made from the model's own enumerations.

`python -m maestro_cli.formats.report_schema` writes `report.schema.json` anew; a test compares the two.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from maestro_cli.model import Component, Priority, Status, Suite, Verdict

PUBLISHED = Path(__file__).with_name("report.schema.json")

Schema = dict[str, Any]


def build() -> Schema:
    """Strict about everything it names; keys it does not name are allowed, because the report may grow."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:maestro:report:1",
        "title": "maestro report",
        "description": (
            "One run of maestro: what was observed, how it scores and whether the environment's gate is met. "
            "The score can be recomputed from `checks` and `components`. A newer maestro may add keys."
        ),
        **_object(_report(), optional=("interrupted", "notes")),
        "$defs": {
            "gate": _object(_gate()),
            "component": _object(_component()),
            "check": _object(_check(), optional=("why", "faults", "needs")),
            "evidence": _object(_evidence()),
            "remedy": _object(_remedy()),
            "waiver": _object(_waiver()),
            "counts": _object(_counts()),
        },
    }


def _object(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _optional_text(description: str) -> Schema:
    return {"type": ["string", "null"], "description": description}


def _percent(description: str, *, optional: bool = False) -> Schema:
    kind = ["number", "null"] if optional else "number"
    return {"type": kind, "minimum": 0, "maximum": 100, "description": description}


def _choice(choices: type[StrEnum], description: str) -> Schema:
    return {"enum": [choice.value for choice in choices], "description": description}


def _amount(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _optional_ref(name: str, description: str) -> Schema:
    return {"anyOf": [_ref(name), {"type": "null"}], "description": description}


def _report() -> Schema:
    counts = _object({**_counts(), "total": {"type": "integer", "minimum": 0, "description": "All checks."}})
    return {
        "schema_version": {"const": "1", "description": "Raised only when a key changes its meaning or goes."},
        "maestro_version": _text("The maestro that wrote the report."),
        "service": _text("The service that was checked."),
        "environment": _text("The environment it was checked for; names the gate."),
        "commit": _optional_text("The commit of the checked-out sources, where there is one."),
        "started_at": {
            "type": "string",
            "format": "date-time",
            "pattern": "Z$",
            "description": "When the run began: RFC 3339, always UTC.",
        },
        "duration_s": _amount("How long the run took, in seconds."),
        "interrupted": {"type": "boolean", "description": "Whether the run was cut short; the report is then partial."},
        "score": _percent(
            "The mean of the components' scores by their weights; null when nothing was measured.", optional=True
        ),
        "coverage": _percent("The weighted share of checks that were measured."),
        "verdict": _choice(Verdict, "`unknown` when nothing was measured."),
        "gate": _ref("gate"),
        "components": _list(_ref("component"), "The scored breakdown."),
        "checks": _list(_ref("check"), "Every check of the run."),
        "counts": {
            **counts,
            "description": "How many checks ended in each status; a waived one is counted under its status too.",
        },
        "notes": _list({"type": "string"}, "What is said once for the whole run."),
    }


def _gate() -> Schema:
    return {
        "name": _text("The environment whose gate this is."),
        "min_score": _percent("The score it asks for."),
        "no_failed": _list(_choice(Priority, "A priority."), "Priorities of which no unwaived check may fail."),
        "min_coverage": _percent("The coverage it asks for; 0 where it asks for none."),
        "met": {"type": "boolean", "description": "Whether it is met."},
        "reasons": _list({"type": "string"}, "Why it is not met, one sentence each."),
    }


def _component() -> Schema:
    return {
        "id": _choice(Component, "The component."),
        "title": _text("Its name for people."),
        "score": _percent(
            "100 · Σ weight·credit / Σ weight over its checks that are not `skip`; null when there are none.",
            optional=True,
        ),
        "weight": _amount("Its weight in the total."),
        "coverage": _percent("The weighted share of its checks that were measured."),
        "counts": _ref("counts"),
    }


def _counts() -> Schema:
    return {name: {"type": "integer", "minimum": 0} for name in (*(status.value for status in Status), "waived")}


def _check() -> Schema:
    return {
        "id": _text("The check's name on the command line: suite.noun."),
        "title": _text("What holds when it passes."),
        "suite": _choice(Suite, "The suite it runs in."),
        "component": _choice(Component, "The component it counts for."),
        "priority": _choice(Priority, "Weights: critical 8, high 4, medium 2, low 1."),
        "status": _choice(Status, "Credit: pass 1, warn ½, fail and error 0; skip does not count."),
        "message": _text("What was found, in a sentence."),
        "evidence": _list(_ref("evidence"), "What was looked at."),
        "remedy": _optional_ref("remedy", "How to mend it."),
        "waiver": _optional_ref("waiver", "The waiver that covers it; the status and the credit stay."),
        "plugin": _text("Who brought the check."),
        "duration_s": _amount("How long it took, in seconds."),
        "docs": _text("Where it is documented."),
        "why": _text("Why it matters."),
        "faults": _list({"type": "string"}, "The planted faults that turn it red."),
        "needs": _optional_text("The dependency that was down, where that is why it could not be measured."),
    }


def _evidence() -> Schema:
    return {
        "name": _text("What was looked at."),
        "observed": _text("What was seen."),
        "expected": _text("What would have been right; may be empty."),
    }


def _remedy() -> Schema:
    return {
        "text": _text("What to do."),
        "command": _optional_text("The next command to type."),
        "fixable": {"type": "boolean", "description": "Whether `maestro fix` can do it."},
    }


def _waiver() -> Schema:
    return {
        "reason": _text("Why it is accepted."),
        "owner": _text("Who answers for it."),
        "expires": _text("Until when, in UTC."),
    }


def main() -> None:
    """Writes the published file."""
    PUBLISHED.write_text(json.dumps(build(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
