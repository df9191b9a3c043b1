"""SARIF, pip-audit, npm audit and load-test results: well, ill, and in every state that proves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, run_check

from maestro_cli.api import Context
from maestro_cli.config import load
from maestro_cli.errors import ConfigurationError
from maestro_cli.evidence.documents import UnbelievableError
from maestro_cli.evidence.load_tests import parse_load
from maestro_cli.evidence.sarif import parse_sarif
from maestro_cli.model import CheckResult

NOW = datetime.now(UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def reported(folder: Path, name: str, content: Any, *, age: timedelta = timedelta(hours=1)) -> None:
    path = folder / name
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    made = (NOW - age).timestamp()
    os.utime(path, (made, made))


def configured(folder: Path, keys: str, *, commit: str | None = None) -> Context:
    ctx = context(folder, f"readiness: {{evidence: {{{keys}}}}}", now=NOW)
    ctx.commit = commit
    return ctx


def analysed(folder: Path, content: Any, keys: str = "", **more: Any) -> CheckResult:
    reported(folder, "scan.sarif", content)
    return run_check("readiness.static-analysis", configured(folder, f"sarif: [scan.sarif], {keys}", **more))


def sarif(*results: dict[str, Any], tool: str = "bandit", **run: Any) -> dict[str, Any]:
    driver = {"name": tool, "rules": [{"id": "R1", "defaultConfiguration": {"level": "error"}}]}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results), **run}]}


def result(level: str | None = "error", **more: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 12}}
    row = {"ruleId": "R1", "message": {"text": "no"}, "locations": [{"physicalLocation": place}], **more}
    return row if level is None else {**row, "level": level}


def test_a_clean_scan_passes_and_results_count_by_their_level(project: Path) -> None:
    expect(analysed(project, sarif()), "pass", "bandit found nothing")
    expect(analysed(project, sarif(result())), "fail", "found 1 result, first R1: app.py:12: no")
    expect(analysed(project, sarif(result("warning"))), "warn", "1 lesser results")
    expect(analysed(project, sarif(result("warning")), "sarif_fail_on: warning"), "fail")
    expect(analysed(project, sarif(result(None))), "fail")  # the rule's own level
    expect(analysed(project, sarif(result("note", properties={"security-severity": "9.1"}))), "fail")
    expect(analysed(project, sarif(result("error", properties={"security-severity": "3.0"}))), "warn")


def test_what_is_no_finding_is_none(project: Path) -> None:
    suppressed = result(suppressions=[{"kind": "inSource"}])
    rejected = result(suppressions=[{"kind": "external", "status": "rejected"}])
    expect(analysed(project, sarif(suppressed)), "pass", "1 suppressed")
    expect(analysed(project, sarif(rejected)), "fail")
    expect(analysed(project, sarif(result(kind="pass"))), "pass")
    expect(analysed(project, sarif(result(baselineState="absent"))), "pass")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        (json.dumps(sarif(result()))[:-9], "is cut short"),
        ("not json at all", "is not JSON"),
        ("[" * 200_000, "is nested without end"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        ({}, "is no SARIF file"),
        ([], "is no SARIF file"),
        ({"version": "2.1.0", "runs": []}, "holds no run"),
        ({"version": "1.0.0", "runs": [{}]}, "is SARIF 1.0.0"),
        ({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}}]}, "has not scanned"),
        ({"version": "2.1.0", "runs": [{"results": []}]}, "names no tool"),
        (sarif(invocations=[{"executionSuccessful": False}]), "did not succeed"),
        (sarif(invocations=[{"executionSuccessful": True, "endTimeUtc": "2020-01-01T00:00:00Z"}]), "hours old"),
    ],
)
def test_a_scan_that_proves_nothing_never_passes(project: Path, content: Any, words: str) -> None:
    expect(analysed(project, content), "fail", words)


def test_stale_missing_and_foreign_scans(project: Path) -> None:
    reported(project, "scan.sarif", sarif(), age=timedelta(hours=30))
    ctx = configured(project, "sarif: [scan.sarif]")
    expect(run_check("readiness.static-analysis", ctx), "fail", "30 hours old; at most 24")
    expect(
        run_check("readiness.static-analysis", configured(project, "sarif: [none/*.sarif]")), "fail", "does not exist"
    )
    other = sarif(versionControlProvenance=[{"revisionId": "f" * 40}])
    expect(analysed(project, other, commit=COMMIT), "fail", "of another commit (ffffffffffff; this is 0123456789ab)")
    same = sarif(versionControlProvenance=[{"revisionId": COMMIT[:12]}])
    expect(analysed(project, same, commit=COMMIT), "pass")


def test_scans_of_dependencies_are_for_the_other_check(project: Path) -> None:
    reported(project, "scan.sarif", sarif(result(), tool="Trivy"))
    ctx = configured(project, "sarif: [scan.sarif]")
    expect(run_check("readiness.static-analysis", ctx), "skip")
    expect(run_check("readiness.dependencies", ctx), "fail", "Trivy found 1 vulnerability")
    reported(project, "scan.sarif", sarif(result()))
    expect(run_check("readiness.dependencies", configured(project, "sarif: [scan.sarif]")), "skip")


def note(*, file: str = "", level: str = "error") -> dict[str, Any]:
    places = [{"physicalLocation": {"artifactLocation": {"uri": file}}}] if file else []
    return {"level": level, "message": {"text": "no such rules"}, "locations": places}


def stumbled(key: str, **more: Any) -> dict[str, Any]:
    return sarif(invocations=[{"executionSuccessful": True, key: [note(**more)]}])


def test_what_a_tool_stumbled_over_is_no_clean_scan(project: Path) -> None:
    """Semgrep without its rules and bandit before a file that it cannot parse both say `executionSuccessful`."""
    expect(analysed(project, stumbled("toolExecutionNotifications")), "fail", "had an error: no such rules")
    unseen = stumbled("toolConfigurationNotifications", file="old.py")
    expect(analysed(project, unseen), "warn", "could not scan 1 file, first old.py: no such rules")
    expect(analysed(project, stumbled("toolExecutionNotifications", level="warning")), "pass")
    nothing = sarif(properties={"metrics": {"_totals": {"loc": 0}}})
    expect(analysed(project, nothing), "fail", "has scanned not a line")


def test_secrets_that_are_out_are_grave_though_no_level_says_so(project: Path) -> None:
    row = {**result(None), "ruleId": "aws-access-token"}
    expect(analysed(project, sarif(row, tool="gitleaks")), "fail", "aws-access-token: app.py:12")
    expect(analysed(project, sarif(row, tool="bandit")), "warn")


def test_a_rule_named_by_its_place_tells_its_level_and_its_words(project: Path) -> None:
    message = {"id": "default", "arguments": ["x"]}
    by_index = {"ruleIndex": 0, "message": message}
    document = sarif(by_index)
    document["runs"][0]["tool"]["driver"]["rules"][0]["messageStrings"] = {"default": {"text": "never call {0}"}}
    expect(analysed(project, document), "fail", "first R1: never call {0}")
    extension = {"rules": [{"id": "X7", "defaultConfiguration": {"level": "note"}}]}
    document = sarif({"rule": {"index": 0, "toolComponent": {"index": 0}}, "message": {"text": "no"}})
    document["runs"][0]["tool"]["extensions"] = [extension]
    expect(analysed(project, document), "warn", "1 lesser results")
    expect(analysed(project, sarif({**result(None), "ruleId": "R1/part"})), "fail", "R1/part")


def test_a_real_scanner_is_read(project: Path) -> None:
    (project / "app.py").write_text("import os\nexec('x')\n")
    scan = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "S,F", "--output-format", "sarif", "app.py"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    found = parse_sarif("ruff.sarif", json.loads(scan.stdout))
    assert found.tools == ["ruff"]
    assert {row.rule for row in found.results} == {"S102", "F401"}
    assert all(row.place.endswith(("app.py:1", "app.py:2")) for row in found.results)


def audited(folder: Path, kind: str, content: Any, keys: str = "") -> CheckResult:
    reported(folder, "audit.json", content)
    return run_check("readiness.dependencies", configured(folder, f"{kind}: [audit.json], {keys}"))


PIP = {
    "dependencies": [
        {"name": "flask", "version": "3.0", "vulns": []},
        {
            "name": "jinja2",
            "version": "2.4",
            "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2024-1"], "fix_versions": ["3.1.4"]}],
        },
        {"name": "mine", "skip_reason": "not found on PyPI"},
    ],
    "fixes": [],
}


def test_pip_audit(project: Path) -> None:
    expect(audited(project, "pip_audit", PIP), "fail", "jinja2", "PYSEC-1, CVE-2024-1, fixed in 3.1.4")
    clean = {"dependencies": [PIP["dependencies"][0], PIP["dependencies"][2]]}
    expect(audited(project, "pip_audit", clean), "pass", "1 dependencies", "mine")
    expect(audited(project, "pip_audit", clean["dependencies"]), "pass")  # its first format was the list alone


def npm(severity: str = "high", total: int = 40, **more: Any) -> dict[str, Any]:
    counts = {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0, "total": 1, severity: 1}
    found = {"name": "lodash", "severity": severity, "range": "<4.17.21", "fixAvailable": True}
    via = [{"url": "https://github.com/advisories/GHSA-35jh-r3h4-6jhm", "title": "Command injection"}]
    return {
        "auditReportVersion": 2,
        "vulnerabilities": {"lodash": {**found, "via": via}},
        "metadata": {"vulnerabilities": counts, "dependencies": {"prod": total, "total": total}},
        **more,
    }


def test_vulnerable_dependencies_are_counted_not_their_vulnerabilities(project: Path) -> None:
    holes = [{"id": f"PYSEC-2024-{number}", "fix_versions": ["3"]} for number in range(3)]
    rows = [{"name": "jinja2", "version": "2", "vulns": holes}]
    expect(audited(project, "pip_audit", {"dependencies": rows}), "fail", "1 dependency is vulnerable")


def test_npm_audit(project: Path) -> None:
    expect(audited(project, "npm_audit", npm()), "fail", "lodash <4.17.21", "GHSA-35jh-r3h4-6jhm (high)")
    expect(audited(project, "npm_audit", npm("moderate")), "warn")
    expect(audited(project, "npm_audit", npm("moderate"), "vulnerability_fail_on: low"), "fail")
    expect(audited(project, "npm_audit", npm("unheard-of")), "fail")
    clean = {**npm(), "vulnerabilities": {}}
    clean["metadata"] = {"vulnerabilities": {"total": 0}, "dependencies": {"total": 40}}
    expect(audited(project, "npm_audit", clean), "pass", "40 dependencies")
    old = {
        "advisories": {
            "1": {"module_name": "old", "severity": "critical", "vulnerable_versions": "<1", "cves": ["CVE-1"]}
        },
        "metadata": {"vulnerabilities": {"critical": 1}, "totalDependencies": 9},
    }
    expect(audited(project, "npm_audit", old), "fail", "CVE-1 (critical)")


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("pip_audit", {"dependencies": []}, "has audited no dependency"),
        ("pip_audit", {"dependencies": [{"name": "x", "skip_reason": "not found"}]}, "no dependency (not found)"),
        ("pip_audit", {"dependencies": [{"name": "x", "version": "1"}]}, "is no report of pip-audit"),
        ("pip_audit", npm(), "is no report of pip-audit"),
        ("pip_audit", "", "is empty"),
        ("pip_audit", json.dumps(PIP)[:60], "is cut short"),
        ("npm_audit", PIP, "is no report of npm audit"),
        ("npm_audit", npm(total=0), "has audited no dependency"),
        ("npm_audit", {"error": {"code": "ENOLOCK", "summary": "needs a lockfile"}}, "failed: needs a lockfile"),
        ("npm_audit", {"message": "405", "error": {"summary": "", "detail": ""}}, "npm audit failed: 405"),
        ("npm_audit", {**npm(), "vulnerabilities": {}}, "counts 1 vulnerabilities and lists none"),
    ],
)
def test_an_audit_that_proves_nothing_never_passes(project: Path, kind: str, content: Any, words: str) -> None:
    expect(audited(project, kind, content), "fail", words)


def test_one_vulnerable_report_is_not_hidden_by_a_broken_one(project: Path) -> None:
    reported(project, "pip.json", PIP)
    reported(project, "npm.json", "{")
    both = run_check("readiness.dependencies", configured(project, "pip_audit: [pip.json], npm_audit: [npm.json]"))
    expect(both, "fail", "jinja2", "is cut short")


K6 = {
    "metrics": {
        "http_reqs": {"count": 1000, "rate": 50.0},
        "http_req_failed": {"passes": 10, "fails": 990, "value": 0.01},
        "http_req_duration": {"avg": 20.0, "min": 1.0, "med": 18.0, "max": 400.0, "p(90)": 80.0, "p(95)": 120.0},
    }
}
LOCUST_CSV = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
    "Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
    "GET,/,600,6,18,20.5,1,400,10,30.0,0.1,18,20,25,30,80,120,150,200,300,400,400\n"
    ",Aggregated,1000,10,18,20.0,1,400,10,50.0,0.5,18,20,25,30,80,120,150,200,300,400,400\n"
)
LOCUST_JSON = [
    {
        "name": "/",
        "method": "GET",
        "num_requests": 1000,
        "num_failures": 10,
        "total_response_time": 20_000.0,
        "response_times": {"10": 500, "18": 400, "120": 80, "200": 20},
        "start_time": NOW.timestamp() - 3700,
        "last_request_timestamp": NOW.timestamp() - 3680,
    }
]
WRK = """Running 20s test @ http://127.0.0.1:8080/index.html
  2 threads and 40 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    20.00ms    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.54%
  Latency Distribution
     50%  250.00us
     90%   80.00ms
     95%  120.00ms
     99%    0.20s
  1000 requests in 20.00s, 17.76GB read
  Socket errors: connect 0, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 5
Requests/sec:     50.00
Transfer/sec:    606.33MB
"""


def benchmark(**more: Any) -> dict[str, Any]:
    data = [0.010] * 90 + [0.050] * 10
    stats = {"mean": 0.020, "median": 0.018, "rounds": 1000, "ops": 50.0, "min": 0.01, "max": 0.4, "data": data}
    other = {**stats, "mean": 0.001, "data": []}
    rows = [{"name": "fast", "stats": other}, {"name": "slow", "stats": stats}]
    made = (NOW - timedelta(hours=2)).isoformat()
    return {"machine_info": {}, "commit_info": {"id": COMMIT}, "benchmarks": rows, "datetime": made, **more}


def loaded(folder: Path, content: Any, budgets: str, **more: Any) -> CheckResult:
    reported(folder, "load.out", content)
    return run_check("readiness.load-test", configured(folder, f"load: [{{file: load.out, {budgets}}}]", **more))


@pytest.mark.parametrize("content", [K6, LOCUST_CSV, LOCUST_JSON, WRK], ids=["k6", "locust-csv", "locust-json", "wrk"])
def test_every_tools_result_is_held_against_its_budgets(project: Path, content: Any) -> None:
    well = "mean_ms: 20.1, p95_ms: 120, max_error_percent: 1, min_requests_per_second: 49"
    expect(loaded(project, content, well), "pass", "1,000 measured, 10 failed")
    expect(loaded(project, content, "mean_ms: 19.9"), "fail", "mean is 20 ms, at most 19.9")
    expect(loaded(project, content, "p95_ms: 119"), "fail", "95th percentile is 120 ms, at most 119")
    expect(loaded(project, content, "max_error_percent: 0.5"), "fail", "failed requests is 1 %, at most 0.5")
    expect(loaded(project, content, "min_requests_per_second: 51"), "fail", "throughput is 50 /s, at least 51")


def test_pytest_benchmark_speaks_for_its_slowest_and_its_own_commit(project: Path) -> None:
    expect(loaded(project, benchmark(), "mean_ms: 21, p95_ms: 50"), "pass")
    expect(loaded(project, benchmark(), "p95_ms: 49"), "fail", "50 ms, at most 49")
    expect(loaded(project, benchmark(), "mean_ms: 21", commit="f" * 40), "fail", "is of another commit")
    expect(loaded(project, benchmark(), "mean_ms: 21", commit=COMMIT), "pass")
    old = benchmark(datetime="2020-01-01T00:00:00+00:00")
    expect(loaded(project, old, "mean_ms: 21"), "fail", "hours old")


def test_a_budget_that_the_result_does_not_tell_is_an_error(project: Path) -> None:
    expect(loaded(project, K6, "p99_ms: 500"), "error", "k6 does not tell: 99th percentile")
    expect(loaded(project, benchmark(), "max_error_percent: 1"), "error", "does not tell: failed requests")
    no_requests = {"metrics": {key: value for key, value in K6["metrics"].items() if key != "http_req_failed"}}
    expect(loaded(project, no_requests, "max_error_percent: 1"), "error", "does not tell: failed requests")
    without = json.loads(json.dumps(K6))
    without["metrics"]["http_req_duration"]["p(99)"] = 480.5
    expect(loaded(project, without, "p99_ms: 500"), "pass")


def test_thresholds_of_k6_itself_count(project: Path) -> None:
    exported = json.loads(json.dumps(K6))
    exported["metrics"]["http_req_duration"]["thresholds"] = {"p(95)<100": True, "avg<50": False}
    expect(loaded(project, exported, "p95_ms: 500"), "fail", "http_req_duration p(95)<100 was crossed")
    handled = {"metrics": {name: {"values": row} for name, row in K6["metrics"].items()}}
    handled["metrics"]["http_req_failed"] = {"values": {"rate": 0.01}, "thresholds": {"rate<0.001": {"ok": False}}}  # type: ignore[dict-item] # k6's two shapes
    expect(loaded(project, handled, "p95_ms: 500"), "fail", "rate<0.001 was crossed")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (json.dumps(K6)[:50], "is cut short"),
        ({"metrics": {}}, "has measured nothing"),
        ({"metrics": {"http_reqs": 3}}, "is not whole"),
        ([], "has measured nothing"),
        ([{"num_requests": "x"}], "is not whole"),
        (LOCUST_CSV.rpartition(",Aggregated")[0], "it has no row Aggregated"),
        (WRK[:200], "is cut short: it has no totals"),
        ("hello", "is no result of k6, Locust, wrk or pytest-benchmark"),
        ({"hello": 1}, "is no result of"),
        (benchmark(benchmarks=[]), "has measured nothing"),
    ],
)
def test_a_result_that_proves_nothing_never_passes(project: Path, content: Any, words: str) -> None:
    expect(loaded(project, content, "p95_ms: 1000000"), "fail", words)


def test_a_missing_and_a_stale_result(project: Path) -> None:
    ctx = configured(project, "load: [{file: none.json, p95_ms: 5}]")
    expect(run_check("readiness.load-test", ctx), "fail", "does not exist")
    reported(project, "old.json", K6, age=timedelta(hours=25))
    ctx = configured(project, "load: [{file: old.json, p95_ms: 500}]")
    expect(run_check("readiness.load-test", ctx), "fail", "25 hours old")


def test_a_load_test_without_a_budget_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "maestro.yaml").write_text("readiness:\n  evidence:\n    load:\n      - {file: x.json}\n")
    with pytest.raises(ConfigurationError, match=r":4: readiness.evidence.load\[0\]: has no budget"):
        load(tmp_path / "maestro.yaml", environ={})


def test_random_damage_is_a_refusal_or_a_result(project: Path) -> None:
    """Whatever is cut off or put in, a reader says what is wrong instead of breaking."""
    for text in (json.dumps(K6), LOCUST_CSV, json.dumps(LOCUST_JSON), WRK, json.dumps(benchmark())):
        for position in range(0, len(text), 17):
            for damaged in (
                text[:position],
                text[:position] + "\x00" + text[position:],
                text[:position] + text[position + 3 :],
            ):
                try:
                    parse_load("x", damaged)
                except UnbelievableError:
                    continue
