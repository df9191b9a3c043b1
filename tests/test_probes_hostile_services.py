"""Services that answer everything, nothing, too much or for ever: bounded time and memory, an error with the reason, no pass."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from check_support import context, listening
from other_service import OtherService, configuration
from small_api import Asked, Said, serving
from test_probes_other_services import asking

from maestro_cli.model import Component, Report
from maestro_cli.runner import Interrupted, Plan, run
from maestro_cli.scoring import GateRule

pytestmark = pytest.mark.timeout(100)

SERVING: dict[str, str] = {
    "cors": '{"origins": ["https://app.example.test"]}',
    "rate_limit": '{"requests": 20, "window_seconds": 60}',
}


def everything(port: int, scheme: str = "http") -> str:
    """A configuration that asks for every probe."""
    document = json.loads(configuration(OtherService(), port))
    document["api"]["url"] = f"{scheme}://127.0.0.1:{port}"
    document["api"] |= {name: json.loads(value) for name, value in SERVING.items()}
    return json.dumps(document)


def probe(folder: Path, port: int, scheme: str = "http") -> Report:
    ctx = context(folder, everything(port, scheme))
    try:
        return run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
    finally:
        ctx.close()


MAY_FAIL = {
    "readiness.https",
    "security.rate-limit",
    "security.cors",
    "health.api",
    "readiness.environment",
    "readiness.authentication",
    "security.refresh-rotation",
    "readiness.token-settings",
}
"""What is seen to be wrong is wrong: no TLS, no limit, origins other than configured, any password, the same token again
or for two accounts."""
MAY_PASS = ("health.clock-skew", "readiness.environment")
"""A Date header is one whatever else is answered, and a 401 is no debug page."""


def never_passes(report: Report) -> None:
    statuses = {row.id: f"{row.status}" for row in report.checks}
    passes = {f"{row.id}: {row.message}" for row in report.checks if row.status in ("pass", "warn")}
    assert {row for row in passes if not row.startswith(MAY_PASS)} == set()
    failures = {name for name, status in statuses.items() if status == "fail"}
    assert failures <= MAY_FAIL, failures
    assert all(row.message for row in report.checks)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(Said(200), id="200-to-everything"),
        pytest.param(Said(200, b"<html>hello</html>", {"Content-Type": "text/html"}), id="a-page-to-everything"),
        pytest.param(Said(500), id="500-to-everything"),
        pytest.param(Said(503), id="503-to-everything"),
        pytest.param(Said(404), id="404-to-everything"),
        pytest.param(Said(401), id="401-to-everything"),
        pytest.param(Said(204, b""), id="204-to-everything"),
        pytest.param(Said(302, b"", {"Location": "/again"}), id="redirects-for-ever"),
        pytest.param(Said(200, b'{"token": "same", "renew": "same"}'), id="logs-everybody-in"),
        pytest.param(Said(200, b"[" * 200_000), id="json-that-nests"),
        pytest.param(Said(200, b"\xff\xfe" * 1000, {"Set-Cookie": ";;;=\xe4"}), id="garbage"),
    ],
)
def test_one_answer_to_everything(project: Path, said: Said) -> None:
    with serving(lambda _asked: said) as port:
        never_passes(probe(project, port))


@contextmanager
def raw(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        answer(connection)

    with listening(serve) as port:
        yield port


def test_ten_gigabytes(project: Path) -> None:
    block = b"x" * 65536

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        for _ in range(160_000):
            connection.sendall(block)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw(flood) as port:
        never_passes(probe(project, port))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kilobytes: a few answers of at most a megabyte each"


def test_a_service_that_hangs_costs_one_timeout_and_not_forty(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro_cli.observe.http.TOTAL_S", 1.0)
    ending = threading.Event()

    def hang(_connection: socket.socket) -> None:
        ending.wait(30)

    with raw(hang) as port:
        started = time.perf_counter()
        report = probe(project, port)
        taken = time.perf_counter() - started
        ending.set()
    never_passes(report)
    assert taken < 30, "what never answered is not asked by one probe after the other"
    assert any("no answer in time" in note for note in report.notes)


def test_a_body_that_drips_is_cut_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro_cli.observe.http.TOTAL_S", 1.0)

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(60):
            connection.sendall(b"x")
            time.sleep(0.1)

    with raw(drip) as port:
        never_passes(probe(project, port))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x28"])
def test_a_broken_handshake(project: Path, answer: bytes) -> None:
    with raw(lambda connection: connection.sendall(answer)) as port:
        report = probe(project, port, "https")
    never_passes(report)
    assert report.notes


class Flaky:
    """A service with a limit for each client, all paths together."""

    def __init__(self, limit: int, *, window_s: float, by_address: bool) -> None:
        self.service, self.limit, self.window_s, self.by_address = OtherService(), limit, window_s, by_address
        self.seen: dict[str, list[float]] = {}
        self.refused = 0
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> Said:
        client = asked.client if self.by_address else "all"
        with self.lock:
            now = time.monotonic()
            recent = [when for when in self.seen.get(client, []) if when > now - self.window_s]
            if len(recent) >= self.limit:
                self.refused += 1
                wait = max(1, int(self.window_s - (now - recent[0])) + 1)
                return Said(429, b'{"error": "too many"}', {"Retry-After": str(wait)})
            self.seen[client] = [*recent, now]
        return self.service(asked)


def limited(port: int, service: OtherService) -> str:
    document = json.loads(configuration(service, port))
    document["api"]["rate_limit"] = {"requests": 40, "window_seconds": 60, "scope": "client"}
    return json.dumps(document)


def test_a_limit_on_everything_is_never_taken_for_a_refusal(project: Path) -> None:
    flaky = Flaky(40, window_s=2.0, by_address=False)
    waited: list[float] = []
    with serving(flaky) as port:
        ctx = context(project, limited(port, flaky.service))
        ctx.patience.on_wait = waited.append
        checks = [check for check in asking() if not check.bursts]
        report = run(checks, ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    assert flaky.refused > 0, "the limit was met"
    assert waited, "and waited for"
    assert {row.id for row in report.checks if row.status not in ("pass", "skip")} == {"readiness.https"}
    assert flaky.service.objects == {}


def test_what_is_left_unmeasured_is_said(project: Path) -> None:
    flaky = Flaky(30, window_s=3600, by_address=False)
    with serving(flaky) as port:
        ctx = context(project, limited(port, flaky.service))
        checks = [check for check in asking() if not check.bursts]
        report = run(checks, ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    statuses = {row.id: f"{row.status}" for row in report.checks}
    unmeasured = [row for row in report.checks if row.status == "error"]
    assert unmeasured
    assert all("left unmeasured" in row.message or "429" in row.message for row in unmeasured)
    assert any("--max-wait" in note and "could not be measured" in note for note in report.notes)
    assert {name for name, status in statuses.items() if status == "fail"} == {"readiness.https"}
    priorities = [row.priority.value for row in report.checks if row.status == "pass"]
    assert priorities.count("critical") >= priorities.count("medium"), "the requests there are go to what matters most"


def test_on_this_machine_another_address_has_a_window_of_its_own(project: Path) -> None:
    flaky = Flaky(40, window_s=3600, by_address=True)
    with serving(flaky) as port:
        ctx = context(project, limited(port, flaky.service))
        started = time.perf_counter()
        checks = [check for check in asking() if not check.bursts]
        report = run(checks, ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    assert time.perf_counter() - started < 60
    assert {row.id for row in report.checks if row.status not in ("pass", "skip")} == {"readiness.https"}
    assert len(flaky.seen) > 1


def test_an_interruption_leaves_nothing_behind(project: Path) -> None:
    service = OtherService()
    made = threading.Event()

    def interrupting(asked: Asked) -> Said:
        said = service(asked)
        if asked.method == "POST" and asked.path == "/notes":
            made.set()
        return said

    def progress(_progress: object) -> None:
        if made.is_set():
            raise KeyboardInterrupt

    with serving(interrupting) as port:
        ctx = context(project, configuration(service, port))
        with pytest.raises(Interrupted):
            run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)), on_progress=progress)
        ctx.close()
    assert made.is_set()
    assert service.objects == {}
    assert ctx.cleanup.left == []


def test_a_service_on_ipv6_alone_is_reached(project: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no ::1 here")
    seen = []

    def answer() -> None:
        connection, address = listener.accept()
        with connection:
            connection.recv(65536)
            seen.append(address[0])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with listener:
        port = listener.getsockname()[1]
        ctx = context(project, f"version: 1\napi: {{url: 'http://[::1]:{port}'}}\n")
        try:
            assert ctx.http.get("/health").status == 200
        finally:
            ctx.close()
        thread.join(5)
    assert seen == ["::1"]
