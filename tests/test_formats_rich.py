"""The terminal's report: legible at 80 columns without colour, honest about numbers, safe against what it shows."""

from __future__ import annotations

import dataclasses
import re

import pytest
import report_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from report_strategies import reports
from rich.cells import cell_len

from maestro_cli.formats import layout, terminal, wording
from maestro_cli.model import Component, ComponentScore, Counts, Evidence, Report, Verdict

SGR = re.compile(r"\x1b\[[0-9;]*m")


def is_command(line: str) -> bool:
    return line.startswith(" " * 10 + "run ")


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "big"])
@pytest.mark.parametrize("width", [80, 50])
def test_no_line_is_too_long_or_ends_in_a_space(story: str, width: int) -> None:
    for line in terminal.render(getattr(samples, story)(), width=width, verbose=True).splitlines():
        assert line == line.rstrip()
        assert cell_len(line) <= width or is_command(line)


@given(report=reports(), width=st.integers(40, 100), verbose=st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_report_keeps_to_its_columns_and_its_own_escapes(report: Report, width: int, verbose: bool) -> None:
    plain = terminal.render(report, width=width, verbose=verbose)
    for line in plain.splitlines():
        assert cell_len(line) <= width or is_command(line)
        assert all(char.isprintable() or char in "\u200c\u200d" for char in line)
    coloured = terminal.render(report, width=width, verbose=verbose, colour=True)
    assert SGR.sub("", coloured) == plain


def test_a_finding_says_what_was_seen_what_was_expected_why_and_what_to_do_next() -> None:
    text = terminal.render(samples.not_ready())
    finding = text[text.index("Critical findings") : text.index("High findings")]
    for part in ("200 OK", "401", "An attacker becomes any user", "Verify the signature", "security.jwt-signature"):
        assert part in finding
    assert "signature stripped" not in finding, "an observation that holds is not news"
    assert "run       maestro fix security.certificate-days" in text


def test_findings_come_by_priority_and_the_verdict_comes_last() -> None:
    lines = terminal.render(samples.not_ready()).splitlines()
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings[1:] == [
        "Components",
        "Critical findings",
        "High findings",
        "Medium findings",
        "Checklist",
        "Notes",
        "Gate production",
        "NOT READY for production: score 86.7, coverage 91.7 %",
    ]
    assert lines[-1] == headings[-1]


def test_a_dead_dependency_is_said_once() -> None:
    text = terminal.render(samples.outage())
    assert text.count("Redis is unreachable") == 1
    assert "Needs Redis" not in text
    assert text.count("docker compose up -d redis") == 1
    quiet = dataclasses.replace(samples.outage(), notes=())
    assert "Without Redis, 3 checks could not be measured" in terminal.render(quiet)


def test_each_dead_dependency_has_the_note_that_the_run_left_about_it() -> None:
    checks = [
        samples.check("health.a", "error", needs="redis"),
        samples.check("security.b", "error", needs="a quiet rate-limit window"),
        samples.check("security.c", "error", needs="Redis ACL"),
    ]
    notes = (
        "Evidence is 20 hours old.",
        "The limit's window of 3600 s is longer than --max-wait; 1 check could not be measured",
        "Redis is unreachable: connection refused; 1 check could not be measured",
    )
    report = samples.report(checks, notes=notes)
    assert [outage.sentence for outage in wording.outages(report)] == [
        notes[2],
        notes[1],
        "Without Redis ACL, 1 check could not be measured",
    ]
    assert wording.other_notes(report) == ["Evidence is 20 hours old."]


def test_what_was_not_measured_is_neither_0_nor_100() -> None:
    text = terminal.render(samples.nothing())
    assert "not measured" in text
    assert "100.0" not in text
    assert not re.search(r"(?<!coverage )\b0\.0(?! %)", text)
    assert text.splitlines()[-1] == "UNKNOWN: nothing could be measured"


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (89.96, "89.9"),
        (89.99999999999999, "89.9"),
        (99.999999999, "99.9"),
        (90.0, "90.0"),
        (91.3, "91.3"),
        (8.2, "8.2"),
        (91.39999999999999, "91.4"),  # how scoring stores an exact 91.4: one float below it
        (0.05, "0.0"),
        (1e-12, "0.0"),
        (100.0, "100.0"),
        (0.0, "0.0"),
        (None, "not measured"),
        (float("nan"), "not measured"),
    ],
)
def test_scores_are_rounded_down(score: float | None, shown: str) -> None:
    assert wording.score_text(score) == shown


@given(st.integers(0, 1000))
def test_a_score_of_one_decimal_is_shown_as_it_is(tenths: int) -> None:
    from fractions import Fraction

    from maestro_cli.scoring import round_down, shown

    exact = Fraction(tenths, 10)
    assert wording.score_text(round_down(exact)) == shown(exact)


@given(st.floats(0, 100))
def test_a_shown_score_is_never_above_the_stored_one(score: float) -> None:
    assert float(wording.score_text(score)) <= score + 1e-13


def test_ready_is_never_said_of_a_component_in_which_something_fails() -> None:
    component = ComponentScore(Component.SECURITY, "Security", 97.0, 1, 100, Counts(passed=40, fail=1))
    assert wording.component_word(component) == "mostly ready"
    assert wording.component_word(dataclasses.replace(component, counts=Counts(passed=41))) == "ready"


def test_verbose_shows_the_evidence_of_passes() -> None:
    assert "at most 250 ms" not in terminal.render(samples.ready())
    assert "at most 250 ms" in terminal.render(samples.ready(), verbose=True)


def test_a_flood_of_evidence_is_cut_and_counted() -> None:
    flood = tuple(Evidence(f"probe {number}", "x" * 5000, "y") for number in range(30))
    text = terminal.render(samples.report([samples.check("security.x", "fail", evidence=flood)]))
    assert "… and 25 more observations (--verbose shows all)" in text
    assert "(4,700 more characters)" in text.replace("\n", " ").replace(" " * 20, "")
    assert len(text) < 10_000


def test_words_and_marks_carry_the_status_without_colour() -> None:
    plain = terminal.render(samples.not_ready(), colour=False)
    assert "\x1b" not in plain
    for word in ("✘ FAIL", "? ERROR", "! WARN", "✔ pass", "- skip"):
        assert word in plain
    assert "\x1b[1;31m" in terminal.render(samples.not_ready(), colour=True)


def test_markup_in_a_value_stays_text() -> None:
    report = samples.report([samples.check("security.x", "fail", message="[bold red]owned[/] :boom: \x1b[2J")])
    assert "[bold red]owned[/] :boom: \\x1b[2J" in terminal.render(report, colour=True)


def test_many_skips_for_one_reason_are_said_once() -> None:
    checks = [samples.check(f"security.{name}", "skip", message="api is not configured") for name in "abcd"]
    report = samples.report([*checks, samples.check("security.e", "skip", message="tenancy is not configured")])
    text = terminal.render(report)
    assert "- skip  4 checks do not apply: api is not configured" in text
    assert "- skip  E: tenancy is not configured" in text
    assert terminal.render(report, verbose=True).count("api is not configured") == 4


def test_an_interrupted_run_says_that_it_is_partial() -> None:
    report = dataclasses.replace(samples.not_ready(), interrupted=True, verdict=Verdict.NOT_READY)
    assert terminal.render(report).splitlines()[1] == "Interrupted: this report is partial."


def test_wide_characters_take_two_columns() -> None:
    assert layout.wrap("漢字漢字漢字", 4) == ["漢字", "漢字", "漢字"]
    assert layout.wrap("aaa bb\ncccccc", 5) == ["aaa", "bb", "ccccc", "c"]
    assert layout.wrap("", 5) == [""]
