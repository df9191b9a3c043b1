"""Every format, every story: deterministic, whole, and never at the mercy of what a service answered."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
import report_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from report_strategies import ODD_NUMBERS, reports

from maestro_cli.errors import UsageError
from maestro_cli.formats import FORMATS, load, render
from maestro_cli.model import Report

STORIES = [
    samples.ready(),
    samples.not_ready(),
    samples.outage(),
    samples.nothing(),
    samples.empty(),
    samples.hostile(),
    samples.big(50),
]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("report", STORIES, ids=["ready", "not-ready", "outage", "nothing", "empty", "hostile", "big"])
def test_every_format_tells_every_story_twice_the_same(name: str, report: Report) -> None:
    text = render(name, report)
    assert text == render(name, dataclasses.replace(report))
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    text.encode("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_passes_on_a_control_character(name: str) -> None:
    text = render(name, samples.hostile(), verbose=True)
    assert [char for char in text if not char.isprintable() and char not in "\n\u200d"] == []


@given(report=reports(), name=st.sampled_from(list(FORMATS)), verbose=st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_format_fails_on_any_text(report: Report, name: str, verbose: bool) -> None:
    text = render(name, report, verbose=verbose)
    text.encode("utf-8")
    assert text.endswith("\n")


@given(number=ODD_NUMBERS, name=st.sampled_from(list(FORMATS)))
@settings(max_examples=60, deadline=None)
def test_no_format_trips_over_an_odd_number(number: float, name: str) -> None:
    report = samples.not_ready()
    component = dataclasses.replace(report.components[0], score=number, coverage=number, weight=number)
    check = dataclasses.replace(report.checks[0], duration_s=number)
    gate = dataclasses.replace(report.gate, min_score=number, min_coverage=number)
    odd = dataclasses.replace(
        report, score=number, coverage=number, duration_s=number, components=(component,), checks=(check,), gate=gate
    )
    assert render(name, odd)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        load("pdf")
    assert all(name in str(caught.value.hint) for name in FORMATS)


def test_only_the_format_that_is_asked_for_is_imported() -> None:
    code = (
        "import sys, json; from maestro_cli.formats import load; load('rich');"
        "print(json.dumps([m for m in sys.modules if m.startswith(('maestro_cli.formats.', 'rich'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {
        f"maestro_cli.formats.{name}" for name in ("terminal", "wording", "escaping", "layout")
    }


def test_a_stream_without_unicode_gets_plain_ascii() -> None:
    text = render("rich", samples.hostile(), encoding="ascii")
    assert text.isascii()
    assert "x FAIL" in text
    assert render("rich", samples.not_ready(), encoding="no-such-encoding").isascii()
    assert "✘ FAIL" in render("rich", samples.not_ready(), encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_format_can_be_written_to_any_stream(name: str, encoding: str) -> None:
    report = samples.report([samples.check("security.x", "fail", message="Überall 漢字 ✓ \x1b[2J")])
    render(name, report, encoding=encoding).encode(encoding)


def test_markup_keeps_its_meaning_on_a_stream_without_unicode() -> None:
    report = samples.report([samples.check("security.x", "fail", message="漢字 é")])
    assert "&#28450;&#23383; &#233;" in render("html", report, encoding="latin-1")
