"""What maestro itself costs: the runner per check, and the start of the program.

    python benchmarks/overhead.py

Runner: 1,000 and 10,000 trivial checks; at most 0.3 ms each, and ten times as many take at most 13 times as much of the
processor's time (which, unlike the clock's, does not grow with whatever else the machine is doing).
Start: `maestro --version` against a Typer application of two empty commands, in turn; at most 1.3 times as long.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from maestro_cli.api import Check, Component, Context, Evidence, Finding, Priority, Suite, passed
from maestro_cli.config import without_file
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

PER_CHECK_MS, GROWTH, START = 0.3, 13.0, 1.3
APPLICATION = """
import typer
app = typer.Typer()
@app.command()
def one() -> None:
    pass
@app.command()
def two() -> None:
    pass
app()
"""


def trivial(_ctx: Context) -> Finding:
    return passed("holds", Evidence("answer", "42", "42"))


def runner_seconds(count: int) -> tuple[float, float]:
    """By the clock, and of the processor."""
    checks = [
        Check(f"health.trivial-{number}", "Holds", Suite.HEALTH, Component.INFRASTRUCTURE, Priority.LOW, trivial)
        for number in range(count)
    ]
    plan = Plan(GateRule("development", 0, (), 0), dict.fromkeys(Component, 1.0), total_s=600)
    started, used = time.perf_counter(), time.process_time()
    report = run(checks, Context(without_file(Path.cwd())), plan)
    elapsed = time.perf_counter() - started, time.process_time() - used
    assert report.counts.passed == count
    return elapsed


def process_seconds(command: list[str]) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def start_ratio(runs: int = 15) -> float:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.py"
        script.write_text(APPLICATION)
        maestro = [str(Path(sys.executable).with_name("maestro")), "--version"]
        bare = [sys.executable, str(script), "--help"]
        process_seconds(maestro), process_seconds(bare)
        pairs = [(process_seconds(maestro), process_seconds(bare)) for _ in range(runs)]
    for name, column in (("maestro --version", 0), ("bare Typer application", 1)):
        print(f"{name:24} median {statistics.median(pair[column] for pair in pairs) * 1000:.0f} ms")
    return statistics.median(ours / theirs for ours, theirs in pairs)


def main() -> int:
    runner_seconds(200)  # warm
    small, large = ([runner_seconds(count) for _ in range(5)] for count in (1_000, 10_000))
    each = statistics.median(clock for clock, _ in large) / 10
    growth = min(used for _, used in large) / min(used for _, used in small)  # the runs that nothing disturbed
    start = start_ratio()
    print(f"runner: {each:.3f} ms per check at 10,000 (goal: at most {PER_CHECK_MS})")
    print(f"growth from 1,000 to 10,000: {growth:.1f} times (goal: at most {GROWTH:g})")
    print(f"start: {start:.2f} times a bare Typer application (goal: at most {START})")
    return 0 if each <= PER_CHECK_MS and growth <= GROWTH and start <= START else 1


if __name__ == "__main__":
    sys.exit(main())
