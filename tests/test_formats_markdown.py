"""Markdown as a renderer shows it: our structure, and not one element from a service's answer."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import report_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_strategies import ANYTHING, reports

from maestro_cli.formats import markdown
from maestro_cli.model import Report

OURS = set(re.split(" ", "h2 h3 p strong em b table thead tbody tr th td ul li code pre details summary blockquote"))
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Page(HTMLParser):
    """The elements and the text of a rendered page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(RENDERER.render(source))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(reports())
@settings(max_examples=80, deadline=None)
def test_any_report_renders_to_our_elements_alone(report: Report) -> None:
    page = Page(markdown.render(report, verbose=True))
    assert set(page.tags) <= OURS
    assert page.tags.count("h2") == 1
    assert page.tags.count("summary") == page.tags.count("details")


@given(reports())
@settings(max_examples=40, deadline=None)
def test_no_value_breaks_out_of_its_cell(report: Report) -> None:
    html = RENDERER.render(markdown.render(report, verbose=True))
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        columns = len(re.findall(r"<th[ >]", table))
        assert all(len(re.findall(r"<td[ >]", row)) in {0, columns} for row in table.split("</tr>")), table


@given(ANYTHING.filter(str.strip))
@settings(max_examples=200, deadline=None)
def test_text_and_code_show_the_value_itself(value: str) -> None:
    from maestro_cli.formats.escaping import one_line

    shown = one_line(value)
    assert Page(f"before {markdown.text(value)}").text.replace(
        "@\u200d", "@"
    ).strip() == f"before {shown}".strip().replace("@\u200d", "@")
    assert Page(f"| a |\n|---|\n| {markdown.code(value, cell=True)} |").text.split("a", 1)[1].strip() == shown


@given(
    st.sampled_from(
        ["# x", "- x", "1. x", "2) x", "+ x", "=== x", "---", "> x", "* x", "    x", "```", "~~~", ": x", "| x |"]
    )
)
def test_nothing_at_the_beginning_of_a_line_starts_a_block(value: str) -> None:
    page = Page(markdown.text(value))
    assert page.tags == ["p"]
    assert page.text.strip() == value.strip()


def test_nobody_is_mentioned() -> None:
    assert "@everyone" not in re.sub(r"`[^`]*`", "", markdown.text("@everyone"))
    assert "ops@example.test" in markdown.render(samples.not_ready()), "an address stays an address"


def test_the_story_is_told() -> None:
    text = markdown.render(samples.not_ready())
    assert text.startswith(f"{markdown.MARKER}\n## ❌ maestro-ml: not ready for production\n")
    page = Page(text)
    for part in ("86.7", "1 critical check failed: security.jwt-signature", "200 OK", "All 16 checks"):
        assert part in page.text
    assert "not measured" in Page(markdown.render(samples.nothing())).text


def test_the_most_urgent_findings_fit_a_comment() -> None:
    text = markdown.render(samples.big(2000))
    assert len(text) < 65_536
    left_out = re.search(r"… and (\d+) more, which do not fit here", text)
    assert left_out
    assert text.index("critical)") < text.index("high)") if "high)" in text else True
    assert text.count("</details>") == text.count("<details")


@pytest.mark.parametrize("story", ["ready", "nothing", "empty"])
def test_without_findings_there_is_no_heading_for_them(story: str) -> None:
    assert "### Findings" not in markdown.render(getattr(samples, story)())
