"""Results of load tests and benchmarks: k6, Locust, wrk and pytest-benchmark, brought to one form.

Source: k6, "--summary-export" and handleSummary; Locust, "--csv" and "--json"; wrk README; pytest-benchmark, "--benchmark-json".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maestro_cli.evidence.documents import UnbelievableError, moment, parse_json

_UNITS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass
class LoadResult:
    """One result; durations in milliseconds, None where the tool did not write them.

    Attributes:
        tool: Its name.
        requests: How many requests, or rounds of a benchmark.
        failed: How many of them failed; None where the tool did not write it.
        mean_ms: Mean duration; of several benchmarks the slowest one's, here and below.
        percentiles: 50, 90, 95, 99 → duration.
        rate: Requests a second.
        crossed: Thresholds of the tool's own that were crossed.
        made: When it was made, where the file says so.
        commit: Of which commit, where the file says so.
    """

    tool: str
    requests: int = 0
    failed: int | None = None
    mean_ms: float | None = None
    percentiles: dict[float, float] = field(default_factory=dict)
    rate: float | None = None
    crossed: list[str] = field(default_factory=list)
    made: datetime | None = None
    commit: str | None = None

    @property
    def error_percent(self) -> float | None:
        """Failed requests, in percent; None where the tool did not write it."""
        return None if self.failed is None else 100 * self.failed / max(self.requests, 1)


def parse_load(name: str, text: str) -> LoadResult:
    """Read a result, by what it holds.

    Raises:
        UnbelievableError: When it is none of the known tools', broken, or nothing was measured.
    """
    start = text.lstrip()[:1]
    if start in ("{", "["):
        result = _from_json(name, parse_json(name, text))
    elif text.lstrip("\ufeff").startswith(("Type,Name,", '"Type","Name",')):
        result = _locust_csv(name, text)
    elif re.search(r"^Running .* test @ ", text, re.MULTILINE):
        result = _wrk(name, text)
    else:
        raise UnbelievableError(name, "is no result of k6, Locust, wrk or pytest-benchmark")
    if result.requests == 0:
        raise UnbelievableError(name, "has measured nothing")
    return result


def _from_json(name: str, document: Any) -> LoadResult:
    try:
        if isinstance(document, list):
            return _locust_json(document)
        if "benchmarks" in document and "machine_info" in document:
            return _pytest_benchmark(document)
        if "metrics" in document:
            return _k6(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UnbelievableError(name, "is not whole: a value is missing or of another type") from None
    raise UnbelievableError(name, "is no result of k6, Locust, wrk or pytest-benchmark")


def _k6(document: Mapping[str, Any]) -> LoadResult:
    """`--summary-export` has the values directly under the metric, handleSummary under `values`."""
    metrics = document["metrics"]

    def values(metric: str) -> Mapping[str, Any]:
        row = metrics.get(metric, {})
        inner: Mapping[str, Any] = row.get("values", row)
        return inner

    durations = values("http_req_duration")
    requests, failures = values("http_reqs"), values("http_req_failed")
    result = LoadResult("k6", int(requests.get("count", 0)), rate=_optional(requests.get("rate")))
    if (share := failures.get("rate", failures.get("value"))) is not None:
        result.failed = round(float(share) * result.requests)
    result.mean_ms = _optional(durations.get("avg"))
    for key, value in durations.items():
        if match := re.fullmatch(r"p\((\d+(?:\.\d+)?)\)", key):
            result.percentiles[float(match.group(1))] = float(value)
    if "med" in durations:
        result.percentiles[50] = float(durations["med"])
    for metric, row in metrics.items():
        for threshold, outcome in (row.get("thresholds") or {}).items():
            # The export writes true for a crossed one, handleSummary {"ok": false}.
            if outcome is True or (isinstance(outcome, Mapping) and outcome.get("ok") is False):
                result.crossed.append(f"{metric} {threshold}")
    return result


def _pytest_benchmark(document: Mapping[str, Any]) -> LoadResult:
    result = LoadResult("pytest-benchmark", made=moment(document.get("datetime")))
    commit = (document.get("commit_info") or {}).get("id")
    result.commit = commit if isinstance(commit, str) and commit not in ("unversioned", "unknown") else None
    slowest: Mapping[str, Any] = {}
    for row in document["benchmarks"]:
        stats = row["stats"]
        result.requests += int(stats["rounds"])
        if not slowest or stats["mean"] > slowest["mean"]:
            slowest = stats
    if slowest:
        result.mean_ms = float(slowest["mean"]) * 1000
        result.percentiles[50] = float(slowest["median"]) * 1000
        result.rate = _optional(slowest.get("ops"))
        if data := sorted(float(value) for value in slowest.get("data") or ()):
            for percent in (90, 95, 99):
                result.percentiles[percent] = data[min(len(data) - 1, -(-percent * len(data) // 100) - 1)] * 1000
    return result


def _locust_json(rows: list[Any]) -> LoadResult:
    result = LoadResult("Locust", failed=0)
    histogram: dict[float, int] = {}
    total, first, last = 0.0, None, None
    for row in rows:
        result.requests += int(row["num_requests"])
        result.failed = (result.failed or 0) + int(row["num_failures"])
        total += float(row["total_response_time"])
        for duration, count in row["response_times"].items():
            histogram[float(duration)] = histogram.get(float(duration), 0) + int(count)
        begun, ended = float(row["start_time"]), row.get("last_request_timestamp")
        first = begun if first is None else min(first, begun)
        last = last if ended is None else max(last or 0.0, float(ended))
    result.mean_ms = total / result.requests if result.requests else None
    result.made = moment(last)
    if first is not None and last is not None and last > first:
        result.rate = result.requests / (last - first)
    for percent in (50, 90, 95, 99):
        passed, wanted = 0, percent / 100 * sum(histogram.values())
        for duration in sorted(histogram):
            passed += histogram[duration]
            if passed >= wanted:
                result.percentiles[percent] = duration
                break
    return result


def _locust_csv(name: str, text: str) -> LoadResult:
    """`--csv`: PREFIX_stats.csv, whose last row sums up all others."""
    try:
        rows = [row for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff"))) if row.get("Name") == "Aggregated"]
        if not rows:
            raise UnbelievableError(name, "is not whole: it has no row Aggregated")
        row = rows[-1]
        result = LoadResult("Locust", int(row["Request Count"]), int(row["Failure Count"]))
        result.mean_ms = _optional(row.get("Average Response Time"))
        result.rate = _optional(row.get("Requests/s"))
        for percent in (50, 90, 95, 99):
            value = row.get(f"{percent}%")
            if value not in (None, "", "N/A"):
                result.percentiles[percent] = float(str(value))
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UnbelievableError(name, "is not whole: a value is missing or of another type") from None
    return result


def _wrk(name: str, text: str) -> LoadResult:
    total = re.search(r"^\s*(\d+) requests in ", text, re.MULTILINE)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if total is None or rate is None:
        raise UnbelievableError(name, "is cut short: it has no totals")
    result = LoadResult("wrk", int(total.group(1)), rate=float(rate.group(1)))
    failed = 0  # wrk writes of failures only where there are some
    if latency := re.search(r"^\s*Latency\s+([\d.]+)(us|µs|ms|s|m)\b", text, re.MULTILINE):
        result.mean_ms = float(latency.group(1)) * _UNITS[latency.group(2)]
    for percent, value, unit in re.findall(r"^\s*(\d+(?:\.\d+)?)%\s+([\d.]+)(us|µs|ms|s|m)\b", text, re.MULTILINE):
        result.percentiles[float(percent)] = float(value) * _UNITS[unit]
    if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text):
        failed += sum(map(int, errors.groups()))
    if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        failed += int(refused.group(1))
    result.failed = failed
    return result


def _optional(value: Any) -> float | None:
    return None if value in (None, "", "N/A") else float(value)
