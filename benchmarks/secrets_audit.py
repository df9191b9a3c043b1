"""Secrets: what the audit finds, what it says in error, and how long it takes, each beside a baseline in the same run.

python benchmarks/secrets_audit.py              10,000 random values, a history of 2,000 commits; about five minutes
python benchmarks/secrets_audit.py --quick      a tenth of it

strength   planted weak values found, random values wrongly accused; zxcvbn beside it where it is installed
audit      20 secrets with the file they are in; beside reading and splitting the word lists alone (the floor)
history    20 secrets in every object of a git history; beside `git log --all -S` for one decoy, which is what people run
parse      a .env of 200 lines; beside python-dotenv
rotate     six secrets, durably; beside one write + fsync + rename of the same bytes
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import string
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from maestro_cli.secrets import FileStore, audit_file, generate, judge, parse_dotenv, rotate
from maestro_cli.secrets.git import search_history

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
ALPHANUMERIC = string.ascii_letters + string.digits
FORMS: dict[str, tuple[int, Callable[[], str]]] = {
    "hex": (256, lambda: secrets.token_hex(32)),
    "url-safe base64": (256, lambda: secrets.token_urlsafe(32)),
    "base64": (192, lambda: b64encode(secrets.token_bytes(24)).decode()),
    "32 letters and digits": (192, lambda: "".join(secrets.choice(ALPHANUMERIC) for _ in range(32))),
    "hex of 16 bytes": (128, lambda: secrets.token_hex(16)),
    "40 printable": (256, lambda: "".join(secrets.choice(ALPHANUMERIC + string.punctuation) for _ in range(40))),
}


def seconds(action: Callable[[], object], *, times: int = 7) -> float:
    """Median of a few runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def row(name: str, ours: str, beside: str = "", ratio: float | None = None) -> None:
    print(f"{name:<34} {ours:>22} {beside:>34} {'' if ratio is None else f'{ratio:8.2f}'}")


def strength(count: int) -> None:
    from weak_secrets import WEAK

    found = sum(bool(judge("JWT_SECRET_KEY", value, bits)) for bits, value in WEAK)
    accused = total = 0
    for bits, make in FORMS.values():
        for _ in range(count // len(FORMS)):
            accused += bool(judge("JWT_SECRET_KEY", make(), bits))
            total += 1
    row("weak values found", f"{found} of {len(WEAK)}", zxcvbn_found(WEAK))
    row("random values accused", f"{accused} of {total}")
    value = secrets.token_urlsafe(32)
    ours = seconds(lambda: judge("X", value, 256), times=50)
    theirs = zxcvbn_seconds(value)
    row(
        "one random value",
        f"{ours * 1e3:.2f} ms",
        "" if theirs is None else f"zxcvbn {theirs * 1e3:.2f} ms",
        theirs and ours / theirs,
    )


def zxcvbn_found(weak: list[tuple[int, str]]) -> str:
    if find_spec("zxcvbn") is None:
        return "(zxcvbn is not installed)"
    from zxcvbn import zxcvbn  # type: ignore[import-untyped] # a peer to compare with, not a dependency

    guesses = ((bits, float(zxcvbn(value[:72])["guesses_log10"]) * 3.3219) for bits, value in weak if value)
    return f"zxcvbn {sum(held < bits - 10 for bits, held in guesses)}"


def zxcvbn_seconds(value: str) -> float | None:
    if find_spec("zxcvbn") is None:
        return None
    from zxcvbn import zxcvbn

    return seconds(lambda: zxcvbn(value), times=10)


COLD = """
import sys, time
from datetime import datetime, UTC
from pathlib import Path
from maestro_cli.secrets.audit import audit_file
start = time.perf_counter()
audit_file(Path(sys.argv[1]), {name: 192 for name in sys.argv[2].split()}, datetime.now(UTC))
print(time.perf_counter() - start)
"""
FLOOR = """
import sys, time
from pathlib import Path
import maestro_cli.secrets.strength as module
start = time.perf_counter()
words = (Path(module.__file__).parent / "words.txt").read_text().split()
table = dict(zip(words, range(len(words))))
print(time.perf_counter() - start)
"""


def audit(folder: Path) -> None:
    makers = list(FORMS.values())[:4]
    env = folder / ".env"
    env.write_text("".join(f"S{number}_KEY={makers[number % 4][1]()}\n" for number in range(20)))
    env.chmod(0o600)
    names = [f"S{number}_KEY" for number in range(20)]
    required = dict.fromkeys(names, 192)

    def fresh(code: str) -> float:
        command = [sys.executable, "-c", code, str(env), " ".join(names)]
        runs = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(7)]
        return statistics.median(runs)

    cold, floor = fresh(COLD), fresh(FLOOR)
    row("20 secrets, first audit", f"{cold * 1e3:.0f} ms", f"word lists alone {floor * 1e3:.0f} ms", cold / floor)
    warm = seconds(lambda: audit_file(env, required, datetime.now(UTC)))
    row("20 secrets, again", f"{warm * 1e3:.0f} ms", f"word lists alone {floor * 1e3:.0f} ms", warm / floor)


def history(folder: Path, commits: int) -> None:
    repository = folder / "repository"
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    feed = subprocess.Popen(["git", "-C", str(repository), "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert feed.stdin is not None
    for line in stream(commits):
        feed.stdin.write(line)
    feed.stdin.close()
    feed.wait()
    values = {f"S{number}": secrets.token_urlsafe(32) for number in range(20)}
    ours = seconds(lambda: search_history(repository, values), times=3)
    command = ["git", "-C", str(repository), "log", "--all", "-S", "decoy-that-is-not-a-secret", "--format=%h"]
    theirs = seconds(lambda: subprocess.run(command, check=True, capture_output=True), times=3)
    row(f"20 secrets in {commits} commits", f"{ours:.2f} s", f"git log -S, one {theirs:.2f} s", ours / theirs)


def stream(commits: int) -> Iterator[bytes]:
    for number in range(commits):
        text = b"".join(secrets.token_urlsafe(48).encode() + b"\n" for _ in range(200))
        yield b"commit refs/heads/main\ncommitter t <t@example.test> %d +0000\ndata 1\nx\n" % (1_700_000_000 + number)
        yield b"M 100644 inline file%d\ndata %d\n%s\n" % (number % 50, len(text), text)


def parse() -> None:
    text = "".join(f"# comment {number}\nexport NAME_{number}='value {number}' # why\n" for number in range(100))
    ours = seconds(lambda: parse_dotenv(text), times=30)
    if find_spec("dotenv") is None:
        row("a .env of 200 lines", f"{ours * 1e3:.2f} ms", "(python-dotenv is not installed)")
        return
    import io

    from dotenv import dotenv_values

    theirs = seconds(lambda: dotenv_values(stream=io.StringIO(text), interpolate=False), times=30)
    row("a .env of 200 lines", f"{ours * 1e3:.2f} ms", f"python-dotenv {theirs * 1e3:.2f} ms", ours / theirs)


def rotation(folder: Path) -> None:
    env = folder / "rotate" / ".env"
    env.parent.mkdir()
    made = generate(env, now=datetime.now(UTC)).made
    required = dict.fromkeys(made, 192)
    ours = seconds(lambda: rotate(FileStore(env), now=datetime.now(UTC), required=required, backup=False), times=20)
    theirs = seconds(lambda: plain_write(env.with_name("plain"), env.read_bytes()), times=20)
    row("six secrets rotated", f"{ours * 1e3:.1f} ms", f"write + fsync + rename {theirs * 1e3:.1f} ms", ours / theirs)


def plain_write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the values and commits")
    share = 10 if parser.parse_args().quick else 1
    row("", "maestro", "beside", None)
    with tempfile.TemporaryDirectory() as folder:
        audit(Path(folder))
        parse()
        rotation(Path(folder))
        history(Path(folder), 2000 // share)
    strength(10_000 // share)


if __name__ == "__main__":
    main()
