"""SARIF 2.1.0: valid by the OASIS schema, inside GitHub's limits, and stable from run to run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import report_samples as samples
from hypothesis import given, settings
from report_strategies import reports

from maestro_cli.formats import sarif
from maestro_cli.model import Report, Verdict

SCHEMA = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
)


def run(report: Report) -> dict[str, Any]:
    document = json.loads(sarif.render(report))
    SCHEMA.validate(document)
    only: dict[str, Any] = document["runs"][0]
    return only


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile"])
def test_the_schema_accepts_every_story_and_github_finds_what_it_asks_for(story: str) -> None:
    whole = run(getattr(samples, story)())
    rules = whole["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert 0 < len(rule["id"]) <= 255
        assert 0 < len(rule["shortDescription"]["text"]) <= 1024
        assert 0 < len(rule["fullDescription"]["text"]) <= 1024
        assert len(rule["properties"]["tags"]) <= 10
    for result in whole["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "maestro.yaml"


@given(reports())
@settings(max_examples=40, deadline=None)
def test_the_schema_accepts_any_report(report: Report) -> None:
    run(report)


def test_only_what_needs_attention_is_a_result() -> None:
    whole = run(samples.not_ready())
    assert {result["ruleId"]: result["level"] for result in whole["results"]} == {
        "security.jwt-signature": "error",
        "security.database-password": "error",
        "readiness.benchmark": "warning",
        "security.certificate-days": "warning",
    }
    assert len(whole["tool"]["driver"]["rules"]) == 16


def test_severity_follows_the_priority_for_security_alone() -> None:
    rules = {rule["id"]: rule for rule in run(samples.not_ready())["tool"]["driver"]["rules"]}
    assert float(rules["security.jwt-signature"]["properties"]["security-severity"]) > 9
    assert 7 <= float(rules["security.database-password"]["properties"]["security-severity"]) < 9
    assert "security" in rules["security.jwt-signature"]["properties"]["tags"]
    assert "security-severity" not in rules["readiness.benchmark"]["properties"]
    assert rules["security.jwt-signature"]["helpUri"] == "https://www.rfc-editor.org/rfc/rfc8725#section-3.1"


def test_a_finding_keeps_its_fingerprint_and_no_two_share_one() -> None:
    first = {result["ruleId"]: result["partialFingerprints"] for result in run(samples.not_ready())["results"]}
    later = dataclasses.replace(
        samples.not_ready(), started_at=samples.STARTED.replace(year=2026), duration_s=9.0, commit="f" * 40
    )
    assert {result["ruleId"]: result["partialFingerprints"] for result in run(later)["results"]} == first
    lines = [prints["primaryLocationLineHash"] for prints in first.values()]
    assert len(set(lines)) == len(lines)
    assert all(re.fullmatch(r"[0-9a-f]{16}:1", line) for line in lines)


def test_a_waiver_is_a_suppression() -> None:
    results = {result["ruleId"]: result for result in run(samples.not_ready())["results"]}
    assert "ops@example.test" in results["security.database-password"]["suppressions"][0]["justification"]
    assert "suppressions" not in results["security.jwt-signature"]


def test_a_link_or_placeholder_in_an_answer_stays_text() -> None:
    report = samples.report([samples.check("security.x", "fail", message="see [here](http://evil.test) {0}")])
    assert run(report)["results"][0]["message"]["text"] == "see \\[here\\](http://evil.test) {{0}}"


def test_a_script_address_is_no_help_link() -> None:
    assert all("helpUri" not in rule for rule in run(samples.hostile())["tool"]["driver"]["rules"])


def test_more_findings_than_github_takes_are_cut_at_the_least_urgent() -> None:
    checks = [samples.check(f"security.low-{number}", "fail", "low") for number in range(sarif.MAX_RESULTS)] + [
        samples.check("security.last", "fail", "critical")
    ]
    document = json.loads(sarif.render(samples.report(checks)))
    results = document["runs"][0]["results"]
    assert len(results) == sarif.MAX_RESULTS
    assert results[0]["ruleId"] == "security.last"


def test_a_run_without_a_verdict_was_no_success() -> None:
    assert run(samples.not_ready())["invocations"][0]["executionSuccessful"] is True
    assert run(samples.nothing())["invocations"][0]["executionSuccessful"] is False
    cut = dataclasses.replace(samples.ready(), interrupted=True, verdict=Verdict.NOT_READY)
    assert run(cut)["invocations"][0]["executionSuccessful"] is False
