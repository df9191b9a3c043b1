"""The probes that other tools make as well, beside those tools, as whole processes in one run.

TLS: `maestro validate` with the two TLS checks beside `sslyze` with the scans that say the same (protocol versions and cipher
suites), against one local server. Headers: the headers check beside the MDN observatory's scanner, where it is installed (its
package needs Node.js and a name on port 443 or 80, so it is left out where it cannot reach the server). Each pair of runs is one after
the other; the ratio of the medians is what counts, and the verdicts must be the same.

    python benchmarks/probes.py [--runs 5] [--sslyze PROGRAM] [--observatory PROGRAM]

sslyze is installed into a temporary environment where none is named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from maestro_cli.certs import ensure_pair

GOAL = 1 / 3
warnings.filterwarnings("ignore", "ssl.TLSVersion", DeprecationWarning)  # planted on purpose
MAESTRO = [sys.executable, "-m", "maestro_cli"]
HEADERS = (
    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n"
    "Strict-Transport-Security: max-age=63072000\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n\r\n{{}}"
)


@contextmanager
def server(folder: Path, *, weak: bool) -> Iterator[int]:
    """HTTPS on the loopback address; `weak` takes TLS 1.1 and a suite without encryption."""
    pair = ensure_pair(folder / "certs", hosts=("localhost",), key_type="rsa-2048", now=datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.fullchain, pair.key)
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20" + (":NULL-SHA256:ECDHE+AES:@SECLEVEL=0" if weak else ""))
    context.minimum_version = ssl.TLSVersion.TLSv1_1 if weak else ssl.TLSVersion.TLSv1_2
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secured:
                    line = secured.recv(4096).decode("latin-1").partition("\r\n")[0]
                    status = "200 OK" if " /health" in line else "404 Not Found"
                    secured.sendall(HEADERS.format(status=status).encode())
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def timed(argv: list[str], folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return time.perf_counter() - started, done


def statuses(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Check → status of a maestro run."""
    return {row["id"]: row["status"] for row in json.loads(done.stdout)["checks"]}


def sslyze_verdict(path: Path) -> dict[str, str]:
    """The same two questions, answered from sslyze's JSON."""
    result = json.loads(path.read_text())["server_scan_results"][0]["scan_result"]

    def accepted(name: str) -> list[str]:
        suites = result[name]["result"]["accepted_cipher_suites"]
        return [row["cipher_suite"]["name"] for row in suites]

    old = any(accepted(name) for name in ("ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites"))
    weak = any(word in name for name in accepted("tls_1_2_cipher_suites") for word in ("NULL", "anon", "RC4", "DES_"))
    return {"security.tls-versions": "fail" if old else "pass", "security.tls-suites": "fail" if weak else "pass"}


def tls(folder: Path, program: str, runs: int, *, weak: bool) -> bool:
    scans = ["--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--sslv3"]
    with server(folder, weak=weak) as port:
        (folder / "maestro.yaml").write_text(
            f"version: 1\napi: {{url: 'https://localhost:{port}', ca_file: certs/ca.pem}}\n"
        )
        only = [word for name in ("security.tls-versions", "security.tls-suites") for word in ("--only", name)]
        ours = [*MAESTRO, "validate", *only, "--format", "json"]
        out = folder / "sslyze.json"
        theirs = [program, *scans, "--quiet", f"--json_out={out}", f"localhost:{port}"]
        mine, others, same = [], [], True
        for _ in range(runs):
            taken, done = timed(ours, folder)
            mine.append(taken)
            other, _ = timed(theirs, folder)
            others.append(other)
            same = same and statuses(done) == sslyze_verdict(out)
    name = "a server that takes TLS 1.1 and no encryption" if weak else "a good server"
    return told(f"TLS, {name}: sslyze (versions and suites)", mine, others, same=same)


def told(name: str, mine: list[float], others: list[float], *, same: bool) -> bool:
    ratio = statistics.median(mine) / statistics.median(others)
    held = ratio <= GOAL and same
    print(
        f"{name}: maestro {statistics.median(mine):.2f} s ({min(mine):.2f} to {max(mine):.2f}), "
        f"the other {statistics.median(others):.2f} s ({min(others):.2f} to {max(others):.2f}); "
        f"ratio {ratio:.2f}, goal {GOAL:.2f}; {'the same verdicts' if same else 'OTHER VERDICTS'}; "
        f"{'held' if held else 'MISSED'}"
    )
    return held


def headers(folder: Path, program: str, runs: int) -> bool | None:
    with server(folder, weak=False) as port:
        (folder / "maestro.yaml").write_text(
            f"version: 1\napi: {{url: 'https://localhost:{port}', ca_file: certs/ca.pem}}\n"
        )
        ours = [*MAESTRO, "validate", "--only", "security.headers", "--format", "json"]
        theirs = [program, f"localhost:{port}"]
        _, probe = timed(theirs, folder)
        if '"scan"' not in probe.stdout:
            print(f"headers: the observatory's scanner does not reach a local server: {probe.stdout[:120].strip()}")
            return None
        mine, others, same = [], [], True
        for _ in range(runs):
            taken, done = timed(ours, folder)
            mine.append(taken)
            other, scan = timed(theirs, folder)
            others.append(other)
            grade = json.loads(scan.stdout)["scan"]["score"]
            same = same and (grade >= 70) == (statuses(done)["security.headers"] == "pass")
    return told("Headers: the MDN observatory's scanner", mine, others, same=same)


def installed_sslyze(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    subprocess.run([folder / "venv/bin/pip", "install", "-q", "sslyze"], check=True)
    return str(folder / "venv/bin/sslyze")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sslyze", help="the program; installed into a temporary environment where absent")
    parser.add_argument(
        "--observatory", default="mdn-http-observatory-scan", help="the scanner of @mdn/mdn-http-observatory"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maestro-probes-") as name:
        folder = Path(name)
        program = arguments.sslyze or installed_sslyze(folder)
        held: list[bool | None] = []
        for weak in (False, True):
            place = folder / f"tls-{weak}"
            place.mkdir()
            held.append(tls(place, program, arguments.runs, weak=weak))
        if shutil.which(arguments.observatory):
            place = folder / "headers"
            place.mkdir()
            held.append(headers(place, arguments.observatory, arguments.runs))
        else:
            print("headers: left out, mdn-http-observatory-scan is not installed")
    return 0 if all(row is not False for row in held) else 1


if __name__ == "__main__":
    sys.exit(main())
