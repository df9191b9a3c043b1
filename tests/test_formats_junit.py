"""JUnit XML as Jenkins' own schema accepts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import report_samples as samples
from hypothesis import given, settings
from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types
from report_strategies import reports

from maestro_cli.formats import junit
from maestro_cli.model import Report

XSD = etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / "junit-10.xsd"))


def document(report: Report) -> etree._Element:
    return etree.fromstring(junit.render(report).encode())


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "big"])
def test_jenkins_schema_accepts_every_story(story: str) -> None:
    XSD.assertValid(document(getattr(samples, story)()))


@given(reports())
@settings(max_examples=80, deadline=None)
def test_jenkins_schema_accepts_any_report(report: Report) -> None:
    XSD.assertValid(document(report))


def test_each_status_has_its_outcome() -> None:
    root = document(samples.not_ready())
    outcomes = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert outcomes["security.jwt-signature"] == ["failure"]
    assert outcomes["readiness.benchmark"] == ["error"]
    assert outcomes["readiness.backup"] == ["skipped"]
    assert outcomes["security.certificate-days"] == ["system-out"]
    assert outcomes["security.env-mode"] == ["system-out"]
    warning = root.xpath("//testcase[@name='security.certificate-days']/system-out")[0].text
    assert warning.startswith("WARN")
    assert "2025-10-25" in warning


def test_a_waived_failure_stays_a_failure_and_says_so() -> None:
    failure = document(samples.not_ready()).xpath("//testcase[@name='security.database-password']/failure")[0]
    assert "waived until 2027-03-31 by ops@example.test" in failure.get("message")


def test_suites_are_components_and_their_numbers_add_up() -> None:
    root = document(samples.not_ready())
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert list(suites) == [
        "maestro.security",
        "maestro.multi_tenancy",
        "maestro.testing",
        "maestro.configuration",
        "maestro.infrastructure",
        "maestro.deployment",
    ]
    security = suites["maestro.security"]
    assert (security.get("tests"), security.get("failures"), security.get("errors")) == ("6", "2", "0")
    assert sum(int(suite.get("tests")) for suite in suites.values()) == int(root.get("tests")) == 16
    assert suites["maestro.infrastructure"].get("skipped") == "1"
    assert security.xpath("properties/property[@name='score']/@value") == ["53.5"]


def test_what_xml_cannot_hold_is_spelled_out() -> None:
    root = document(samples.report([samples.check("security.x", "fail", message="a\x00\x1b[2J\ufffe\udcff]]>b")]))
    assert root.xpath("//failure/@message") == ["a\\x00\\x1b[2J\\ufffe\\udcff]]>b"]
