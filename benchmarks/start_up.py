"""What it takes to begin: the program's start, its help, the list of checks, and a run in which nothing is configured.

    python benchmarks/start_up.py
    python benchmarks/start_up.py --against v1.0 --runs 31

Each command is a process of its own, in turn with a bare Typer application of two empty commands and, with --against, with
the same command of an earlier revision (any that git names), laid out from a worktree just as this one is. What counts is
the median of the ratios of neighbours: of the clock, and of the processor's time, which grows less with whatever else the
machine is doing. Goals: `--version` at most 1.3 times the bare application; no command more than 1.1 times the earlier
revision's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE_GOAL, EARLIER_GOAL = 1.3, 1.1
BARE = (
    "import typer\napp = typer.Typer()\n"
    + "".join(f"@app.command()\ndef {n}() -> None: ...\n" for n in "ab")
    + "app()\n"
)
COMMANDS = {
    "--version": ["--version"],
    "--help": ["--help"],
    "checks list": ["checks", "list"],
    "readiness, nothing configured": ["--config", "maestro.yaml", "readiness", "--json"],
}


@dataclass(frozen=True)
class Taken:
    """One process: seconds by the clock, and of the processor (its children's included)."""

    clock: float
    processor: float


def taken(command: Sequence[str], packages: Path | None, folder: Path) -> Taken:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    # 3: nothing was configured, so nothing was measured, and there is no verdict.
    assert process.returncode in (0, 3), said.decode()
    return Taken(elapsed, usage.ru_utime + usage.ru_stime)


def lay_out(source: Path, target: Path) -> Path:
    """The one import package as a wheel holds it, so that no editable install's finder is measured."""
    shutil.copytree(source / "maestro_cli", target / "maestro_cli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("checks", "migrations", "templates"):
        shutil.copytree(source / name, target / "maestro_cli" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@contextmanager
def revision(name: str, folder: Path) -> Iterator[Path]:
    """An earlier revision's files."""
    tree = folder / "worktree"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), name], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compared(ours: Sequence[Taken], theirs: Sequence[Taken]) -> tuple[float, float]:
    """Medians of the ratios of neighbours: by the clock, of the processor."""
    pairs = list(zip(ours, theirs, strict=True))
    return (
        statistics.median(own.clock / other.clock for own, other in pairs),
        statistics.median(own.processor / other.processor for own, other in pairs),
    )


def measure(folder: Path, runs: int, earlier: Path | None) -> dict[str, dict[str, list[Taken]]]:
    """Command → who → one `Taken` a run; all of a turn one after the other."""
    now = lay_out(ROOT, folder / "now")
    then = lay_out(earlier, folder / "then") if earlier is not None else None
    (folder / "bare.py").write_text(BARE)
    (folder / "maestro.yaml").write_text("version: 1\n")
    program = [sys.executable, "-m", "maestro_cli"]
    rows: dict[str, dict[str, list[Taken]]] = {}
    for name, words in COMMANDS.items():
        candidates = {"now": ([*program, *words], now), "bare": ([sys.executable, "bare.py", "--help"], None)}
        if then is not None:
            candidates["earlier"] = ([*program, *words], then)
        rows[name] = {who: [] for who in candidates}
        for turn in range(runs + 1):
            for who, (command, packages) in candidates.items():
                seen = taken(command, packages, folder)
                if turn:  # the first one compiles
                    rows[name][who].append(seen)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", help="an earlier revision to compare with")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.against is None:
            rows = measure(folder, options.runs, None)
        else:
            with revision(options.against, folder) as tree:
                rows = measure(folder, options.runs, tree)
    met = True
    print(
        f"{'command':32}{'ms':>6}{'/ bare':>9}{'cpu':>7}" + (f"{'/ earlier':>12}{'cpu':>7}" if options.against else "")
    )
    for command, row in rows.items():
        bare = compared(row["now"], row["bare"])
        line = f"{command:32}{statistics.median(seen.clock for seen in row['now']) * 1000:6.0f}{bare[0]:9.2f}{bare[1]:7.2f}"
        if command == "--version":
            met &= min(bare) <= BARE_GOAL
        if "earlier" in row:
            earlier = compared(row["now"], row["earlier"])
            line += f"{earlier[0]:12.2f}{earlier[1]:7.2f}"
            met &= min(earlier) <= EARLIER_GOAL
        print(line)
    print(
        f"bare Typer application: {statistics.median(s.clock for r in rows.values() for s in r['bare']) * 1000:.0f} ms"
    )
    print(
        f"goals (--version at most {BARE_GOAL} times bare, all at most {EARLIER_GOAL} times earlier): {'met' if met else 'NOT MET'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
