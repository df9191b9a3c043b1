"""readiness: what other tools measured, read from their own files: well, missing, stale, truncated and hostile."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from check_support import checkout, context, expect, run_check

from maestro_cli.api import Context
from maestro_cli.observe.coverage_report import parse_cobertura
from maestro_cli.observe.junit_report import parse_junit
from maestro_cli.observe.xml_events import BrokenXMLError, HostileXMLError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><testsuites name="&c;"/>"""


def junit(*cases: str, attributes: str = "") -> bytes:
    return f'<testsuites><testsuite name="s" {attributes}>{"".join(cases)}</testsuite></testsuites>'.encode()


PASSED = '<testcase classname="tests.a" name="good"/>'
FAILED = '<testcase classname="tests.a" name="bad"><failure message="no"/></testcase>'
BROKEN = '<testcase classname="tests.a" name="broken"><error message="no"/></testcase>'
SKIPPED = '<testcase classname="tests.a" name="later"><skipped/></testcase>'


def reported(folder: Path, name: str, data: bytes, *, age: timedelta = timedelta(hours=1)) -> Path:
    path = folder / "reports" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    made = (NOW - age).timestamp()
    os.utime(path, (made, made))
    return path


def with_evidence(folder: Path, keys: str) -> Context:
    return context(folder, f"readiness: {{evidence: {{{keys}}}}}", now=NOW)


def suite(folder: Path, pattern: str = "reports/*.xml") -> Context:
    return with_evidence(folder, f"junit: ['{pattern}']")


def test_a_recent_report_of_passing_tests_passes(project: Path) -> None:
    reported(project, "a.xml", junit(PASSED, PASSED, SKIPPED))
    reported(project, "b.xml", junit(PASSED))
    expect(run_check("readiness.test-suite", suite(project)), "pass", "3 passed, 0 failed, 0 errors, 1 skipped")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (junit(PASSED, FAILED), "tests.a.bad"),
        (junit(PASSED, BROKEN), "tests.a.broken"),
        (junit(PASSED, attributes='tests="1" failures="0" errors="1"'), "1 errors"),
        (junit(SKIPPED, SKIPPED), "no test that ran"),
        (junit(), "no test that ran"),
        (junit(PASSED)[:-30], "not well-formed"),
        (b"", "not well-formed"),
        (b"<html><body>404</body></html>", "no JUnit report"),
        (BOMB, "XML bomb"),
    ],
)
def test_a_report_that_says_otherwise_fails(project: Path, data: bytes, word: str) -> None:
    reported(project, "a.xml", junit(PASSED))
    reported(project, "b.xml", data)
    expect(run_check("readiness.test-suite", suite(project, "reports/b.xml")), "fail", word)
    # One good report does not hide a bad one.
    result = run_check("readiness.test-suite", suite(project))
    if word != "no test that ran":
        expect(result, "fail", word)


def test_no_report_fails(project: Path) -> None:
    expect(run_check("readiness.test-suite", suite(project)), "fail", "no test report")
    reported(project, "a.xml", junit(PASSED))
    ctx = with_evidence(project, "junit: ['reports/a.xml', 'reports/missing.xml']")
    expect(run_check("readiness.test-suite", ctx), "fail", "reports/missing.xml")


def test_a_stale_report_fails(project: Path) -> None:
    reported(project, "a.xml", junit(PASSED), age=timedelta(hours=30))
    expect(run_check("readiness.test-suite", suite(project)), "fail", "30 hours old")


def test_a_copied_report_is_as_old_as_it_says(project: Path) -> None:
    old = junit(PASSED, attributes=f'timestamp="{(NOW - timedelta(days=9)).isoformat()}"')
    reported(project, "a.xml", old)
    expect(run_check("readiness.test-suite", suite(project)), "fail", "216 hours old")


def test_a_report_from_the_future_fails(project: Path) -> None:
    reported(project, "a.xml", junit(PASSED), age=-timedelta(hours=3))
    expect(run_check("readiness.test-suite", suite(project)), "fail", "future")


def test_a_report_older_than_the_commit_fails(project: Path) -> None:
    path = reported(project, "a.xml", junit(PASSED), age=timedelta(hours=2))
    checkout(project, date=(NOW - timedelta(hours=1)).isoformat())
    expect(run_check("readiness.test-suite", suite(project)), "fail", "older than the last commit")
    fresh = (NOW - timedelta(minutes=5)).timestamp()
    os.utime(path, (fresh, fresh))
    expect(run_check("readiness.test-suite", suite(project)), "pass")


def test_a_report_that_is_a_pipe_is_no_report_and_holds_nothing_up(project: Path) -> None:
    (project / "reports").mkdir()
    os.mkfifo(project / "reports" / "a.xml")
    expect(run_check("readiness.test-suite", suite(project)), "fail", "no test report")
    expect(run_check("readiness.coverage", with_evidence(project, "coverage: reports/a.xml")), "error", "regular file")


def test_counting_a_case_once(project: Path) -> None:
    run = parse_junit(junit('<testcase name="x"><failure/><failure/><error/></testcase>', PASSED, FAILED, SKIPPED))
    assert (run.tests, run.failures, run.errors, run.skipped) == (4, 2, 0, 1)


def test_nested_suites_count_once() -> None:
    data = (
        f'<testsuite tests="2" failures="1"><testsuite tests="2" failures="1">{PASSED}{FAILED}</testsuite></testsuite>'
    )
    assert parse_junit(data.encode()).failures == 1


def test_a_summary_without_cases_counts() -> None:
    run = parse_junit(b'<testsuite tests="7" failures="0" errors="0" skipped="2"/>')
    assert (run.tests, run.ran) == (7, 5)


@pytest.mark.parametrize("depth", [199, 5000])
def test_depth_is_bounded(depth: int) -> None:
    data = b"<testsuites>" + b"<a>" * depth + b"</a>" * depth + b"</testsuites>"
    if depth < 200:
        assert parse_junit(data).tests == 0
    else:
        with pytest.raises(HostileXMLError):
            parse_junit(data)


def cobertura(
    rate: float, *, covered: int | None = None, valid: int | None = None, lines: str = "", top: str = ""
) -> bytes:
    numbers = "" if valid is None else f' lines-valid="{valid}" lines-covered="{covered}"'
    package = f"<packages><package><classes><class><lines>{lines}</lines></class></classes></package></packages>"
    return f'<?xml version="1.0" ?>{top}<coverage line-rate="{rate}"{numbers}>{package}</coverage>'.encode()


DOCTYPE = "<!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>"


def coverage(folder: Path, minimum: float = 80) -> Context:
    return with_evidence(folder, f"coverage: reports/coverage.xml, min_line_rate: {minimum}")


def test_enough_coverage_passes_also_with_a_plain_doctype(project: Path) -> None:
    reported(project, "coverage.xml", cobertura(0.85, covered=85, valid=100, top=DOCTYPE))
    expect(run_check("readiness.coverage", coverage(project)), "pass", "85.0 % of 100 lines")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (cobertura(0.7999, covered=7999, valid=10000), "79.9 %"),
        (cobertura(0.99, covered=10, valid=100), "10.0 %"),
        (cobertura(0.99, lines='<line number="1" hits="1"/><line number="2" hits="0"/>'), "50.0 %"),
        (cobertura(1, covered=0, valid=0), "no line"),
        (cobertura(17), "not a number from 0 to 1"),
        (cobertura(0.9)[:-20], "not well-formed"),
        (b'{"totals": {}}', "not well-formed"),
        (b"<report/>", "no Cobertura report"),
        (BOMB.replace(b"testsuites", b"coverage"), "XML bomb"),
    ],
)
def test_coverage_that_falls_short_fails(project: Path, data: bytes, word: str) -> None:
    reported(project, "coverage.xml", data)
    expect(run_check("readiness.coverage", coverage(project)), "fail", word)


def test_coverage_missing_or_stale_fails(project: Path) -> None:
    expect(run_check("readiness.coverage", coverage(project)), "fail", "no coverage report")
    reported(project, "coverage.xml", cobertura(0.9, covered=9, valid=10), age=timedelta(days=3))
    expect(run_check("readiness.coverage", coverage(project)), "fail", "72 hours old")


def test_coverage_py_writes_milliseconds() -> None:
    made = parse_cobertura(
        b'<coverage line-rate="1" timestamp="1763900000123" lines-valid="1" lines-covered="1"/>'
    ).made
    assert made == datetime.fromtimestamp(1763900000, UTC)
    with pytest.raises(BrokenXMLError):
        parse_cobertura(b'<coverage line-rate="nan"/>')


def test_an_error_of_the_suite_itself_is_an_error() -> None:
    run = parse_junit(b'<testsuite name="db"><error message="no database"/><testcase name="a"/></testsuite>')
    assert (run.tests, run.errors, run.names) == (1, 1, ["db"])
    run = parse_junit(b'<testsuites><testsuite name="db" errors="1"><error/></testsuite></testsuites>')
    assert run.errors == 1


def test_lines_below_methods_alone_are_lines() -> None:
    lines = "".join(f'<line number="{number}" hits="{number % 4}"/>' for number in range(1, 9))
    inside = f"<packages><package><classes><class><methods><method><lines>{lines}</lines></method></methods></class>"
    report = f'<coverage line-rate="0.9">{inside}</classes></package></packages></coverage>'
    found = parse_cobertura(report.encode())
    assert (found.lines, found.covered, found.line_rate) == (8, 6, 75.0)
