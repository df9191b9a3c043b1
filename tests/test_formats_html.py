"""The HTML report as a file: self-contained, locked down, and free of anything that a service could have put there."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import report_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from report_strategies import reports

from maestro_cli.formats import html_charts, html_page
from maestro_cli.model import Component, Report, Status

VOID = {"meta", "link", "input", "br"}
URLS = {"href", "src", "srcset", "action", "formaction", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """Elements, attributes and text; complains about what is not closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == tags.count("style") == 1
    assert not {"iframe", "object", "embed", "base", "form", "img"} & set(tags)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in URLS & set(attributes):
            assert re.match(r"#|https?://|data:,$", attributes[name] or ""), attributes[name]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)


@given(reports())
@settings(max_examples=60, deadline=None)
def test_any_report_makes_a_well_formed_harmless_page(report: Report) -> None:
    assert_harmless(Page(html_page.render(report)))


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "big"])
def test_every_story_makes_a_well_formed_harmless_page(story: str) -> None:
    page = Page(html_page.render(getattr(samples, story)()))
    assert_harmless(page)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_policy_allows_exactly_the_one_script_and_the_one_sheet() -> None:
    text = html_page.render(samples.hostile())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy[1]


def test_a_value_that_looks_like_a_placeholder_stays_a_value() -> None:
    report = samples.report([samples.check("security.x", "fail", message="{{script}} {{nothing}}")])
    assert "{{script}} {{nothing}}" in Page(html_page.render(report)).text


def test_the_page_says_what_was_seen_and_what_to_do() -> None:
    text = Page(html_page.render(samples.not_ready())).text
    for part in (
        "Not ready for production",
        "86.7",
        "200 OK",
        "An attacker becomes any user",
        "maestro secrets rotate",
    ):
        assert part in text


def test_a_dead_dependency_is_said_once_and_links_to_what_is_behind_it() -> None:
    page = Page(html_page.render(samples.outage()))
    assert page.text.count("Redis is unreachable: 3 checks could not be measured") == 1
    assert page.text.count("docker compose up -d redis") == 1
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [str(attributes["href"])[1:] for tag, attributes in page.elements if tag == "a"]
    assert len(links) == 6  # "skip to the checks", three behind Redis, two that the gate names
    assert set(links) <= targets


def test_without_a_score_there_is_no_number() -> None:
    text = html_page.render(samples.nothing())
    assert "no score" in text
    assert "<rect" not in text


def with_trend(trend: object) -> Report:
    return dataclasses.replace(samples.not_ready(), extra={"trend": trend})


def test_the_trend_ends_in_this_run() -> None:
    report = with_trend(samples.trend())
    points = html_charts.trend(report)
    assert [point.score for point in points] == [58.0, 61.5, 64.2, None, 71.0, 78.4, 82.1, report.score]
    text = html_page.render(report)
    assert 'aria-label="Score over 8 runs: from 58.0 to 86.7"' in text
    stored = [*samples.trend(), {"started_at": "2025-10-05T12:00:00Z", "score": report.score}]
    assert len(html_charts.trend(with_trend(stored))) == 8, "a run that is already stored is not drawn twice"


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["score", "components", "started_at", "security"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JUNK)
@settings(max_examples=100, deadline=None)
def test_no_trend_is_too_odd(trend: object) -> None:
    assert_harmless(Page(html_page.render(with_trend(trend))))


def test_the_gate_leads_to_the_checks_that_it_names_and_backticks_are_code() -> None:
    report = samples.not_ready()
    page = Page(html_page.render(report))
    named = [check.id for check in report.checks if any(check.id in reason for reason in report.gate.reasons)]
    links = [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]
    assert named
    assert [f"#check-{name}" for name in named if f"#check-{name}" not in links] == []
    remedied = dataclasses.replace(report.checks[0], status=Status.FAIL, message="never `*` <b> and `a`b")
    html = html_page.render(dataclasses.replace(report, checks=(remedied,)))
    assert "never <code>*</code> &lt;b&gt; and <code>a</code>b" in html


def test_a_component_that_stays_at_100_is_drawn_at_the_top() -> None:
    def points(*scores: float) -> list[html_charts.Point]:
        return [html_charts.Point("", score, {"testing": score}) for score in scores]

    assert 'd="M0.00 0.00 L100.00 0.00"' in html_charts.spark(points(100, 100), Component.TESTING)
    assert 'd="M0.00 100.00 L100.00 100.00"' in html_charts.spark(points(0, 0), Component.TESTING)
    assert 'd="M0.00 100.00 L100.00 0.00"' in html_charts.spark(points(40, 80), Component.TESTING)
