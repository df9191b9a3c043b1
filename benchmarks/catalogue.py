"""How long a whole run takes: the reference service, every check that its maestro.yaml asks for, bursts and rehearsals included.

    python benchmarks/catalogue.py [--runs 5] [--baseline MAESTRO]

`maestro demo` starts the service, its PostgreSQL and its Valkey and keeps them; `maestro readiness --json` is then timed as
a process, at most 5 s on two quiet cores. Beside it, in turn: one login of the same service, whose password hash is what
a run costs most of, and another installation's `maestro` where one is named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GOAL_S = 5.0
START_S = 180
OURS = str(Path(sys.executable).with_name("maestro"))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def demo(folder: Path) -> Iterator[None]:
    """Keeps it running; its first verdict is not timed."""
    with (folder / "demo.log").open("w+") as log:
        command = [OURS, "demo", "--keep", str(folder / "project"), "--stay"]
        process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        try:
            end = time.monotonic() + START_S
            while "ctrl-c stops" not in (said := (folder / "demo.log").read_text().lower()):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"the demo does not stay:\n{said}")
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def run_seconds(maestro: str, project: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [maestro, "readiness", "--json"], cwd=project, env=environment(), capture_output=True, check=False
    )
    elapsed = time.perf_counter() - started
    report = json.loads(done.stdout)
    if report["verdict"] != "ready":
        raise SystemExit(f"{maestro} says {report['verdict']}: nothing is told by its time")
    return elapsed


def login_seconds(project: Path) -> float:
    values = dict(re.findall(r"^(\w+)=(.*)$", (project / ".env").read_text(), re.MULTILINE))
    body = json.dumps({"email": "a@example.test", "password": values["PROBE_A_PASSWORD"].strip("'\"")}).encode()
    request = urllib.request.Request(
        f"https://localhost:{values['API_PORT']}/auth/login", body, {"Content-Type": "application/json"}
    )
    trusted = ssl.create_default_context(cafile=str(project / "certs" / "ca.pem"))
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:  # noqa: S310 - the address is ours
        answer.read()
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--baseline", metavar="MAESTRO", help="another installation's program")
    options = parser.parse_args()
    rows: dict[str, list[float]] = {"one login": [], "readiness": [], **({"baseline": []} if options.baseline else {})}
    with tempfile.TemporaryDirectory() as name, demo(Path(name)):
        project = Path(name) / "project"
        for turn in range(options.runs + 1):
            seen = {"one login": login_seconds(project), "readiness": run_seconds(OURS, project)}
            if options.baseline:
                seen["baseline"] = run_seconds(options.baseline, project)
            for row, seconds in seen.items():
                rows[row] += [seconds] if turn else []  # the first turn warms up
    for row, times in rows.items():
        print(f"{row:10} median {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")
    ours, login = statistics.median(rows["readiness"]), statistics.median(rows["one login"])
    print(f"a run takes as long as {ours / login:.1f} logins of the service, one after the other")
    if options.baseline:
        print(f"beside the baseline: {ours / statistics.median(rows['baseline']):.2f}")
    held = ours <= GOAL_S
    print(f"goal: at most {GOAL_S:g} s on two quiet cores; {'held' if held else 'missed'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
