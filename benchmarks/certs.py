"""Certificates: maestro beside openssl (and mkcert where it is installed) and beside what cannot be saved, in one run.

    python benchmarks/certs.py                1,000 leaves, 10,000 certificates; about a minute
    python benchmarks/certs.py --leaves 200

Bulk: P-256 leaves from one CA in one process, every one of them durable. Against openssl with a process each (at most 0.3), and
against the floor: the same key generations, signatures and files with an fsync each, in one process (at most 1.15). A second,
harder floor writes all files and syncs once, as maestro does; it is shown for honesty.
One: CA and leaf as a whole process, P-256 (at most 250 ms on a quiet machine).
RSA: CA and leaf with RSA-4096 keys, less the time that its own two key generations took (at most 200 ms).
Expiry: `certs inspect --expiry` over 10,000 files, as a whole process (at most 1 s).
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
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import maestro_cli.certs.generate as generating
from maestro_cli.certs.bulk import bulk, parse_bulk
from maestro_cli.certs.plan import Order
from maestro_cli.folder_exchange import sync_filesystem

OPENSSL, FLOOR, ONE_MS, RSA_MS, EXPIRY_S = 0.3, 1.15, 250.0, 200.0, 1.0
NOW = datetime.now(UTC)
MAESTRO = [sys.executable, "-m", "maestro_cli"]


def timed(action: Callable[..., object], *arguments: Any, **options: Any) -> float:
    started = time.perf_counter()
    action(*arguments, **options)
    return time.perf_counter() - started


def run(*words: str | Path, cwd: Path) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, check=True, capture_output=True)


def floor(folder: Path, count: int, *, each: bool) -> None:
    """Keys, signatures of a certificate's size, and two files a leaf: nothing else."""
    folder.mkdir()
    signer = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for number in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        signer.sign(b"x" * 500, ec.ECDSA(hashes.SHA256()))
        for name, data in ((f"{number}-key.pem", key.private_bytes(*form)), (f"{number}.pem", b"x" * 800)):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, data)
            if each:
                os.fsync(handle)
            os.close(handle)
    handle = os.open(folder, os.O_RDONLY)
    if not each:
        sync_filesystem(handle)
    os.fsync(handle)
    os.close(handle)


def openssl_ca(folder: Path) -> None:
    folder.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca-key.pem", "-out", "ca.pem",
        "-subj", "/CN=ca", "-days", "3650", cwd=folder)  # fmt: skip


def openssl_leaf(folder: Path, name: str) -> None:
    run("openssl", "req", "-x509", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}-key.pem", "-out", f"{name}.pem", "-subj", "/", "-days", "397", "-addext", f"subjectAltName=critical,DNS:{name}",
        "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth", cwd=folder)  # fmt: skip


def openssl_leaves(folder: Path, count: int) -> None:
    for number in range(count):
        openssl_leaf(folder, f"host-{number}")


def mkcert_leaves(folder: Path, count: int) -> None:
    folder.mkdir()
    os.environ["CAROOT"] = str(folder)
    for number in range(count):
        run("mkcert", "-ecdsa", f"host-{number}", cwd=folder)


def openssl_pair(folder: Path) -> None:
    openssl_ca(folder)
    openssl_leaf(folder, "localhost")


def verdict(what: str, value: float, limit: float, unit: str = "") -> bool:
    holds = value <= limit
    print(f"{'ok  ' if holds else 'OVER'}  {what}: {value:.3g}{unit} (at most {limit:g}{unit})")
    return holds


def many(folder: Path, count: int, rounds: int) -> list[bool]:
    wanted = parse_bulk(f"host-{number}.example.test" for number in range(count))
    times: dict[str, list[float]] = {"maestro": [], "floor": [], "floor, one sync": []}
    for number in range(rounds):  # in turn: whatever else the machine does meets all of them
        times["maestro"].append(timed(bulk, folder / f"maestro-{number}", wanted, now=NOW))
        times["floor"].append(timed(floor, folder / f"floor-{number}", count, each=True))
        times["floor, one sync"].append(timed(floor, folder / f"sync-{number}", count, each=False))
    openssl_ca(folder / "openssl")
    sample = min(count, 200)
    openssl = timed(openssl_leaves, folder / "openssl", sample) * count / sample
    if shutil.which("mkcert"):
        mkcert = timed(mkcert_leaves, folder / "mkcert", sample) * count / sample
        print(f"      mkcert, a process each: {mkcert:.2f} s for {count} (from {sample})")
    for name, values in times.items():
        print(
            f"      {name}: {statistics.median(values):.2f} s for {count} (median of {rounds}; {min(values):.2f} to {max(values):.2f})"
        )
    print(f"      openssl, a process each: {openssl:.2f} s for {count} (from {sample})")
    mine = statistics.median(times["maestro"])
    print(f"      maestro / floor with one sync: {mine / statistics.median(times['floor, one sync']):.2f}")
    return [
        verdict(f"{count} durable leaves / openssl", mine / openssl, OPENSSL),
        verdict(f"{count} durable leaves / floor with an fsync each", mine / statistics.median(times["floor"]), FLOOR),
    ]


def one(folder: Path, rounds: int) -> list[bool]:
    mine, theirs, start = [], [], []
    for number in range(rounds):
        (folder / f"one-{number}").mkdir()
        command = [*MAESTRO, "certs", "generate", "-q", "--key-type", "ec-p256"]
        mine.append(timed(run, *command, cwd=folder / f"one-{number}"))
        start.append(timed(run, sys.executable, "-c", "import typer, cryptography.x509", cwd=folder))
        theirs.append(timed(openssl_pair, folder / f"openssl-{number}"))
    for name, values in {
        "openssl": theirs,
        "python importing typer and cryptography.x509": start,
        "maestro": mine,
    }.items():
        print(
            f"      {name}: {statistics.median(values) * 1000:.0f} ms (median of {rounds}; from {min(values) * 1000:.0f})"
        )
    return [verdict("P-256 CA + leaf, whole process", statistics.median(mine) * 1000, ONE_MS, " ms")]


def large(folder: Path, rounds: int) -> list[bool]:
    spent: list[float] = []
    module = vars(generating)
    plain = module["generate_keys"]

    def watched(kinds: Any) -> Any:
        started = time.perf_counter()
        keys = plain(kinds)
        spent.append(time.perf_counter() - started)
        return keys

    module["generate_keys"] = watched
    order = Order(key_type="rsa-4096")
    totals = [timed(generating.generate, folder / f"rsa-{number}", order, now=NOW) for number in range(rounds)]
    module["generate_keys"] = plain
    over = [(total - keys) * 1000 for total, keys in zip(totals, spent, strict=True)]
    print(f"      its two key generations: {statistics.median(spent) * 1000:.0f} ms (median of {rounds})")
    return [verdict("RSA-4096 CA + leaf beyond its key generations", statistics.median(over), RSA_MS, " ms")]


def expiry(folder: Path, count: int, rounds: int) -> list[bool]:
    made = folder / "many"
    bulk(made, parse_bulk(f"host-{number}.example.test" for number in range(1000)), now=NOW)
    certificates = folder / "certificates"
    certificates.mkdir()
    found = [path.read_bytes() for path in made.glob("host-*.test.pem")]
    for number in range(count):
        (certificates / f"{number}.pem").write_bytes(found[number % len(found)])
    values = [
        timed(run, *MAESTRO, "certs", "inspect", "--expiry", certificates, "--json", cwd=folder) for _ in range(rounds)
    ]
    return [
        verdict(f"{count} certificates inspected for expiry, whole process", statistics.median(values), EXPIRY_S, " s")
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=1000)
    parser.add_argument("--certificates", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = [
            *many(folder, options.leaves, options.rounds),
            *one(folder, max(options.rounds * 2, 6)),
            *large(folder, options.rounds),
            *expiry(folder, options.certificates, options.rounds),
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
