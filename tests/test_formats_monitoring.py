"""Prometheus, Nagios and the badge: what a machine that watches reads."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import report_samples as samples
from hypothesis import given, settings
from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types
from prometheus_client.parser import text_string_to_metric_families
from report_strategies import reports

from maestro_cli.formats import badge, nagios, prometheus
from maestro_cli.model import Report, Status, Verdict

STORIES = ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "big"]


def samples_of(report: Report) -> dict[str, list[tuple[dict[str, str], float]]]:
    families = text_string_to_metric_families(prometheus.render(report))
    return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in families}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus")
@pytest.mark.parametrize("story", STORIES)
def test_promtool_finds_nothing_to_say(story: str) -> None:
    text = prometheus.render(getattr(samples, story)())
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@given(reports())
@settings(max_examples=60, deadline=None)
def test_any_report_can_be_scraped_and_no_series_comes_twice(report: Report) -> None:
    for name, found in samples_of(report).items():
        series = [tuple(sorted(labels.items())) for labels, _ in found]
        assert len(set(series)) == len(series), name


def test_the_metrics_say_what_the_report_says() -> None:
    report = samples.not_ready()
    found = samples_of(report)
    base = {"service": "maestro-ml", "environment": "production"}
    assert found["maestro_score"] == [(base, report.score)]
    assert found["maestro_ready"] == [(base, 0.0)]
    assert found["maestro_run_timestamp_seconds"] == [(base, 1759665600.0)]
    assert ({**base, "component": "security"}, report.components[0].score) in found["maestro_component_score"]
    failing = [labels["check"] for labels, _ in found["maestro_check_status"] if labels["status"] == "fail"]
    assert failing == ["security.jwt-signature", "security.database-password"]
    assert [labels["verdict"] for labels, value in found["maestro_verdict"] if value] == ["not_ready"]


def test_what_was_not_measured_has_no_sample() -> None:
    found = samples_of(samples.nothing())
    assert "maestro_score" not in found
    assert "maestro_component_score" not in found
    assert found["maestro_ready"][0][1] == 0.0


def test_hostile_labels_come_back_as_they_are_shown() -> None:
    report = samples.report([samples.check('a"b\\c\nd{}')], service="x" * 5000)
    labels = samples_of(report)["maestro_check_status"][0][0]
    assert labels["check"] == 'a"b\\c d{}'
    assert len(labels["service"]) < 250


PERFORMANCE = re.compile(r"'[a-z_]+'=(U|-?[0-9]+(\.[0-9]+)?)(%|s)?(;[0-9.]*:?){0,2}(;[0-9.]*){0,2}")


def perfdata(text: str) -> list[str]:
    line, bar, data = text.splitlines()[0].partition("|")
    assert bar
    assert line.startswith("READINESS ")
    return data.split(" ")


@given(reports())
@settings(max_examples=60, deadline=None)
def test_any_report_is_one_line_and_its_performance_data(report: Report) -> None:
    text = nagios.render(report)
    assert text.count("\n") == 1
    assert text.count("|") == 1
    assert all(PERFORMANCE.fullmatch(item) for item in perfdata(text)), text


@pytest.mark.parametrize(
    ("story", "state", "opening"),
    [
        ("ready", 0, "READINESS OK - maestro-ml is ready for production, score 100.0 of 100"),
        ("not_ready", 2, "READINESS CRITICAL - maestro-ml is not ready for production, score 86.7 of 100"),
        ("nothing", 3, "READINESS UNKNOWN - unnamed service is unknown: nothing could be measured, score not measured"),
    ],
)
def test_each_verdict_has_its_state(story: str, state: int, opening: str) -> None:
    report = getattr(samples, story)()
    assert nagios.state(report) == state
    assert nagios.render(report).startswith(opening)


def test_ready_with_a_warning_is_a_warning_and_a_partial_run_is_unknown() -> None:
    warned = samples.report([*samples.passes(), samples.check("security.certificate", "warn", "low")])
    assert warned.verdict is Verdict.READY
    assert nagios.state(warned) is nagios.State.WARNING
    assert nagios.state(dataclasses.replace(warned, interrupted=True)) is nagios.State.UNKNOWN


def test_the_thresholds_are_the_gate_and_the_details_follow_on_request() -> None:
    data = perfdata(nagios.render(samples.not_ready()))
    assert data[0] == "'score'=86.706349206;;90:;0;100"
    assert perfdata(nagios.render(samples.nothing()))[0] == "'score'=U;;90:;0;100"
    lines = nagios.render(samples.not_ready(), verbose=True).splitlines()
    assert lines[1].startswith("FAIL [critical] security.jwt-signature: ")
    assert len(lines) == 5


@given(reports())
@settings(max_examples=40, deadline=None)
def test_any_badge_is_an_image_that_says_its_text(report: Report) -> None:
    root = etree.fromstring(badge.render(report).encode())
    texts = root.xpath("//*[local-name()='text']/text()")
    assert texts == ["readiness", badge.message(report)]
    assert root.get("aria-label") == ": ".join(texts)
    assert not root.xpath("//@href | //*[local-name()='script']")


@pytest.mark.parametrize(
    ("story", "text"), [("ready", "100.0 ready"), ("not_ready", "86.7 not ready"), ("nothing", "unknown")]
)
def test_the_badge_and_its_shields_twin_say_the_same(story: str, text: str) -> None:
    report = getattr(samples, story)()
    assert f">{text}</text>" in badge.render(report)
    twin: dict[str, Any] = json.loads(badge.render_shields(report))
    assert twin["schemaVersion"] == 1
    assert twin["message"] == text
    assert re.fullmatch("[0-9a-f]{6}", twin["color"])


def test_every_status_is_counted() -> None:
    counted = {labels["status"]: value for labels, value in samples_of(samples.not_ready())["maestro_checks"]}
    assert set(counted) == {*(status.value for status in Status), "waived"}
    assert counted["pass"] == 11
