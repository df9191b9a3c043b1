"""JSON: the contract's keys, the published schema, and the way back."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import jsonschema
import pytest
import report_samples as samples
from hypothesis import given, settings
from report_strategies import ENCODABLE, reports

from maestro_cli import scoring
from maestro_cli.formats import json_report, report_schema
from maestro_cli.formats.report_parser import NotAReport
from maestro_cli.model import Report

CONTRACT = {
    "": "schema_version maestro_version service environment commit started_at duration_s score coverage verdict gate "
    "components checks counts",
    "gate": "name min_score no_failed min_coverage met reasons",
    "components": "id title score weight coverage counts",
    "checks": "id title suite component priority status message evidence remedy waiver plugin duration_s docs",
    "counts": "pass warn fail error skip waived total",
}


def document(report: Report) -> dict[str, Any]:
    """The report as a stranger's JSON parser sees it."""
    parsed: dict[str, Any] = json.loads(json_report.render(report))
    return parsed


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with every unnamed key forbidden below the top: our own output has none."""
    schema = copy.deepcopy(schema)
    for part in [*schema["$defs"].values(), schema["properties"]["counts"]]:
        part["additionalProperties"] = False
    return schema


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def test_the_report_has_every_key_of_the_contract() -> None:
    whole = document(samples.not_ready())
    for place, keys in CONTRACT.items():
        part = whole[place] if place else whole
        part = part[0] if isinstance(part, list) else part
        assert set(keys.split()) <= set(part), place
    finding = next(check for check in whole["checks"] if check["id"] == "security.jwt-signature")
    assert finding["evidence"][0] == {"name": "GET /projects, sub edited", "observed": "200 OK", "expected": "401"}
    assert finding["remedy"]["fixable"] is False
    assert whole["started_at"] == "2025-10-05T12:00:00Z"


def test_nothing_measured_is_null_and_not_a_number() -> None:
    whole = document(samples.nothing())
    assert whole["score"] is None
    assert whole["verdict"] == "unknown"
    assert {component["score"] for component in whole["components"]} == {None}


def test_the_score_can_be_recomputed_from_the_document() -> None:
    whole = document(samples.not_ready())
    weights = {"critical": 8, "high": 4, "medium": 2, "low": 1}
    credit = {"pass": 1, "warn": 0.5, "fail": 0, "error": 0}
    means = []
    for component in whole["components"]:
        own = [c for c in whole["checks"] if c["component"] == component["id"] and c["status"] != "skip"]
        exact = (
            100
            * sum(weights[c["priority"]] * credit[c["status"]] for c in own)
            / sum(weights[c["priority"]] for c in own)
        )
        assert component["score"] == pytest.approx(exact, abs=1e-6)
        means.append((exact, component["weight"]))
    total = sum(score * weight for score, weight in means) / sum(weight for _, weight in means)
    assert whole["score"] == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "big"])
def test_every_story_is_valid_against_the_published_schema(story: str) -> None:
    validator(strict(json_report.schema())).validate(document(getattr(samples, story)()))


STRICT = validator(strict(json_report.schema()))


@given(reports())
@settings(max_examples=60, deadline=None)
def test_any_report_is_valid_and_stays_the_same_on_the_way_back(report: Report) -> None:
    text = json_report.render(report)
    assert text.isascii()
    STRICT.validate(json.loads(text))
    assert json_report.render(json_report.parse(text)) == text


@given(reports(ENCODABLE))
@settings(max_examples=60, deadline=None)
def test_what_utf8_can_hold_comes_back_exactly(report: Report) -> None:
    assert json_report.parse(json_report.render(report)) == report


def test_the_published_schema_is_what_the_model_says() -> None:
    published = report_schema.PUBLISHED.read_text(encoding="utf-8")
    assert json.loads(published) == report_schema.build(), (
        "report.schema.json is out of date: run python -m maestro_cli.formats.report_schema"
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), "fine"),
        (("score",), 101),
        (("score",), "87"),
        (("started_at",), "2025-10-05 12:00"),
        (("gate",), None),
        (("gate", "met"), "yes"),
        (("checks", 0, "status"), "failed"),
        (("checks", 0, "id"), None),
        (("checks", 0, "evidence", 0, "observed"), 200),
        (("components", 0, "counts", "pass"), -1),
        (("counts", "total"), 1.5),
    ],
)
def test_the_schema_and_the_parser_refuse_what_is_not_a_report(path: tuple[str | int, ...], value: object) -> None:
    whole = document(samples.not_ready())
    part: Any = whole
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert not validator(json_report.schema()).is_valid(whole)
    if path != ("score",) and path[-1] != "total":
        with pytest.raises(NotAReport) as caught:
            json_report.parse(json.dumps(whole))
        assert str(path[-1]) in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1"),
        ("{", "line 1"),
        ("[]", "the document should be an object"),
        ("null", "the document should be an object"),
        ("{}", "schema_version should be a string, but is nothing"),
        ('{"schema_version": "2"}', "schema_version '2'"),
        ('{"schema_version": "\\u001b[2J"}', "'\\x1b[2J'"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_a_file_that_is_no_report_is_told_so(text: str, said: str) -> None:
    with pytest.raises(NotAReport) as caught:
        json_report.parse(text)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


def test_a_newer_maestro_may_add_keys_anywhere() -> None:
    whole = document(samples.not_ready())
    whole["checks"][0]["owner"] = "team-a"
    whole["gate"]["link"] = "x"
    whole["forecast"] = {"score": 95}
    validator(json_report.schema()).validate(whole)
    report = json_report.parse(json.dumps(whole))
    assert report.extra == {"forecast": {"score": 95}}


def test_extra_keys_stand_at_the_top_and_override_nothing() -> None:
    report = dataclasses.replace(
        samples.ready(), extra={"fault": "jwt-alg-none", "verdict": "ready!", "b": {1, 2}, "a": object}
    )
    whole = document(report)
    assert whole["fault"] == "jwt-alg-none"
    assert whole["verdict"] == "ready"
    assert whole["b"] == [1, 2]
    assert list(whole)[-3:] == ["a", "b", "fault"]


def test_a_lone_surrogate_is_spelled_out_for_strict_parsers() -> None:
    report = samples.report([samples.check("security.x", "fail", message="file \udcff.env")])
    assert document(report)["checks"][0]["message"] == "file \\udcff.env"


def test_scores_are_written_as_scored() -> None:
    report = samples.not_ready()
    assert document(report)["score"] == report.score
    assert scoring.shown(report.score or 0) == "86.7"
