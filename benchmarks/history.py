"""Ten thousand stored runs beside ten: storing one more, and `maestro history` as a whole process.

    python benchmarks/history.py

With a thousand times as many runs neither may take more than half as long again.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, check, passed
from maestro_cli.config import without_file
from maestro_cli.formats.json_report import render
from maestro_cli.history.store import Store
from maestro_cli.model import Component, Report
from maestro_cli.redaction import Secret
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

MANY, FEW, GOAL = 10_000, 10, 1.5
SQL = "insert into maestro_runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@check("health.one", component="infrastructure", priority="low")
def one(_ctx: Context) -> Finding:
    """It holds."""
    return passed("holds", Evidence("answer", "42"))


def report(folder: Path) -> Report:
    checks = [replace(one, id=f"health.one-{number}") for number in range(80)]
    plan = Plan(GateRule("development", 60, (), 0), dict.fromkeys(Component, 1.0))
    return run(checks, Context(without_file(folder)), plan)


def filled(folder: Path, count: int, example: Report) -> Store:
    import sqlite3

    folder.mkdir()
    (folder / "maestro.yaml").write_text("history: sqlite:///history.db\n")
    store = Store(Secret("sqlite:///history.db"), folder)
    document = zlib.compress(render(example).encode(), 6)
    scores = json.dumps({component.value: 82.0 for component in Component})
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        (
            f"{number:010x}",
            (begin + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            *("service", "development", None, "ready", 82.0, 100.0, scores, document),
        )
        for number in range(count)
    ]
    with sqlite3.connect(folder / "history.db") as connection:
        connection.executemany(SQL, rows)
    connection.close()
    return store


def add_seconds(store: Store, example: Report) -> float:
    started = time.perf_counter()
    store.add(example, render(example))
    return time.perf_counter() - started


def list_seconds(folder: Path) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    maestro = str(Path(sys.executable).with_name("maestro"))
    started = time.perf_counter()
    subprocess.run([maestro, "history"], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        example = report(root)
        many, few = filled(root / "many", MANY, example), filled(root / "few", FEW, example)
        list_seconds(root / "few")
        added = [(add_seconds(many, example), add_seconds(few, example)) for _ in range(15)]
        listed = [(list_seconds(root / "many"), list_seconds(root / "few")) for _ in range(9)]
        for store in (many, few):
            store.connection.close()
    ratios = []
    for what, pairs in (("store one more run", added), ("maestro history", listed)):
        first, second = (statistics.median(pair[column] for pair in pairs) * 1000 for column in (0, 1))
        ratios.append(statistics.median(one / other for one, other in pairs))
        print(f"{what}: {first:.1f} ms beside {MANY:,} runs, {second:.1f} ms beside {FEW}: ratio {ratios[-1]:.2f}")
    print(f"goal: at most {GOAL}")
    return 0 if max(ratios) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
