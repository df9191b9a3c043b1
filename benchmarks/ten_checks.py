"""Ten checks of a machine, as one whole process: a plugin folder under `maestro validate`, and pytest-testinfra.

Both look at the same things: two file modes, an owner, a file's content, two ports, an HTTP answer's status and body, a
process, a command; with the same calls of the standard library where testinfra has none of its own. Each pair of runs is one after the other, so that a busy moment hits both; the ratio is what counts.

    python benchmarks/ten_checks.py [--runs 15] [--venv DIR]     DIR: a virtual environment with pytest-testinfra

The environment is made in a temporary folder where none is named.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

GOAL = 0.5

PLUGIN = """
import subprocess
import socket
import urllib.request
from pathlib import Path
from maestro_cli.api import Context, Evidence, Finding, check, failed, passed


def judged(name, observed, expected):
    row = Evidence(name, str(observed), str(expected))
    return passed(f"{name} is right", row) if observed == expected else failed(f"{name} is {observed}", row)
"""
CHECK = '''
@check("health.bench-{name}", component="infrastructure", priority="medium")
def {function}(ctx: Context) -> Finding:
    """{title} is right."""
    {body}
'''
TESTINFRA = "import socket\nimport urllib.request\n"
TEST = "\n\ndef test_{function}(host):\n    {body}\n"


def cases(folder: Path, port: int, other: int) -> list[tuple[str, str, str]]:
    """Name, maestro's body, testinfra's body."""
    url = f"http://127.0.0.1:{port}"
    file = folder / "subject.conf"
    rows = []
    for name, path, mode in (("mode-a", file, 0o640), ("mode-b", folder / "key.pem", 0o600)):
        rows.append(
            (
                name,
                f'return judged("mode", Path({str(path)!r}).stat().st_mode & 0o777, {mode})',
                f"assert host.file({str(path)!r}).mode == {mode}",
            )
        )
    rows.append(
        (
            "owner",
            f'return judged("owner", Path({str(file)!r}).owner(), "root")',
            f"assert host.file({str(file)!r}).user == 'root'",
        )
    )
    rows.append(
        (
            "content",
            f'return judged("content", "port = 8443" in Path({str(file)!r}).read_text(), True)',
            f"assert host.file({str(file)!r}).contains('port = 8443')",
        )
    )
    for name, number in (("port-a", port), ("port-b", other)):
        rows.append(
            (
                name,
                f'socket.create_connection(("127.0.0.1", {number}), 2).close(); return judged("port", True, True)',
                f"assert host.addr('127.0.0.1').port({number}).is_reachable",
            )
        )
    rows.append(
        (
            "http-status",
            f'return judged("status", urllib.request.urlopen({url!r}).status, 200)',
            f"assert urllib.request.urlopen({url!r}).status == 200",
        )
    )
    rows.append(
        (
            "http-body",
            f'return judged("body", b"ok" in urllib.request.urlopen({url!r}).read(), True)',
            f"assert b'ok' in urllib.request.urlopen({url!r}).read()",
        )
    )
    rows.append(
        (
            "process",
            'return judged("process", any(p.read_text().strip() == "sleep" for p in Path("/proc").glob("[0-9]*/comm")), True)',
            "assert host.process.filter(comm='sleep')",
        )
    )
    rows.append(
        (
            "command",
            'return judged("command", subprocess.run(["uname", "-s"], capture_output=True, text=True).stdout.strip(), "Linux")',
            "assert host.run('uname -s').stdout.strip() == 'Linux'",
        )
    )
    return rows


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"status": "ok"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def write(folder: Path, port: int, other: int) -> None:
    (folder / "subject.conf").write_text("port = 8443\n")
    (folder / "subject.conf").chmod(0o640)
    (folder / "key.pem").write_text("x")
    (folder / "key.pem").chmod(0o600)
    (folder / "checks").mkdir()
    rows = [(name, name.replace("-", "_"), ours, theirs) for name, ours, theirs in cases(folder, port, other)]
    (folder / "checks" / "bench.py").write_text(
        PLUGIN
        + "".join(CHECK.format(name=name, function=function, title=name, body=ours) for name, function, ours, _ in rows)
    )
    (folder / "test_infra.py").write_text(
        TESTINFRA + "".join(TEST.format(function=function, body=theirs) for _, function, _, theirs in rows)
    )
    (folder / "maestro.yaml").write_text(f"api: {{url: 'http://127.0.0.1:{port}'}}\nplugins: [./checks]\n")


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("health.bench-") == 10 or "10 passed" in done.stdout, done.stdout
    return elapsed


def environment_with_testinfra(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin/pip"), "install", "-q", "pytest-testinfra"], check=True)
    return folder


def measure(folder: Path, venv: Path, runs: int) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    maestro = Path(sys.executable).with_name("maestro")
    ours = [str(maestro), "validate", "--only", "health.bench-*", "--format", "junit"]
    theirs = [str(venv / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_infra.py"]
    timed(ours, folder, environment), timed(theirs, folder, environment)  # bytecode is written now
    pairs = [(timed(ours, folder, environment), timed(theirs, folder, environment)) for _ in range(runs)]
    for name, column in (("maestro validate", 0), ("pytest-testinfra", 1)):
        values = sorted(pair[column] for pair in pairs)
        print(f"{name:18} median {statistics.median(values):.3f} s   (from {values[0]:.3f} to {values[-1]:.3f})")
    return statistics.median(ours / theirs for ours, theirs in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--venv", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as second,
    ):
        for one in (server, second):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        venv = options.venv or environment_with_testinfra(Path(name) / "venv")
        folder = Path(name) / "project"
        folder.mkdir()
        write(folder, server.server_address[1], second.server_address[1])
        sleeper = subprocess.Popen(["sleep", "600"])
        try:
            ratio = measure(folder, venv, options.runs)
        finally:
            sleeper.kill()
            sleeper.wait()
            second.shutdown()
            server.shutdown()
    print(f"ratio {ratio:.2f} (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
