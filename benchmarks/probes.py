"""The probes that other tools make as well, beside those tools, as whole processes in one run.

TLS: `maestro validate` with the two TLS checks beside `sslyze` with the scans that say the same (protocol versions and cipher
suites), against one local server. Headers: the headers check beside the MDN observatory's scanner, over a dozen sets of headers, the
verdict of each header compared; its package needs Node.js 20 or newer, and its own start script trusts no CA of ours, so `src/scan.js` is
run itself. Each pair of runs is one after the other; the ratio of the medians is what counts, and the verdicts must be the same. On a
busy machine look at the processor time (the second ratio): waiting counts in the first.

    npm install --prefix /tmp/mdn @mdn/mdn-http-observatory
    python benchmarks/probes.py [--runs 5] [--sslyze PROGRAM] [--only tls|headers] [--node node] \\
        [--observatory /tmp/mdn/node_modules/@mdn/mdn-http-observatory]

sslyze is installed into a temporary environment where none is named.
The scanner reads its package's conf/hsts-preload.json, which `npm run updateHsts` fetches; `{}` will do here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
ANSWER = "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n{}\r\n{{}}"
GOOD = {
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
CSP = "Content-Security-Policy"
SETS: dict[str, dict[str, str]] = {
    "all good": {},
    "none at all": dict.fromkeys(GOOD, ""),
    "HSTS for 180 days": {"Strict-Transport-Security": "max-age=15552000; includeSubDomains"},
    "HSTS for a day": {"Strict-Transport-Security": "max-age=86400"},
    "no nosniff": {"X-Content-Type-Options": ""},
    "framing by CSP only": {"X-Frame-Options": ""},
    "framing by nobody": {"X-Frame-Options": "", CSP: "default-src 'none'"},
    "framing header of no value": {"X-Frame-Options": "ALLOWALL", CSP: "default-src 'none'"},
    "inline scripts": {CSP: "default-src 'self' 'unsafe-inline'"},
    "inline scripts beside a nonce": {CSP: "default-src 'self'; script-src 'nonce-YWJj' 'unsafe-inline'"},
    "strict-dynamic": {CSP: "default-src 'self'; script-src 'nonce-YWJj' 'strict-dynamic' https: 'unsafe-inline'"},
    "inline styles": {CSP: "default-src 'self'; style-src 'self' 'unsafe-inline'"},
    "eval": {CSP: "default-src 'self'; script-src 'self' 'unsafe-eval'"},
    "scripts from any HTTPS": {CSP: "default-src 'self'; script-src https:"},
    "no word of plug-ins": {CSP: "script-src 'self'; frame-ancestors 'none'"},
    "images over HTTP": {CSP: "default-src 'self'; img-src http://images.example.org"},
    "connections over HTTP": {CSP: "default-src 'self'; connect-src http://api.example.org"},
    "no Referrer-Policy": {"Referrer-Policy": ""},
    "unsafe Referrer-Policy": {"Referrer-Policy": "unsafe-url"},
    "two Referrer-Policies": {"Referrer-Policy": "unsafe-url, strict-origin"},
    "unknown Referrer-Policy": {"Referrer-Policy": "never"},
}
"""Name → what differs from GOOD; an empty value leaves the header out."""
TESTS = {
    "strict-transport-security": ("Strict-Transport-Security",),
    "x-content-type-options": ("X-Content-Type-Options",),
    "x-frame-options": ("X-Frame-Options",),
    "content-security-policy": ("Content-Security-Policy",),
    "referrer-policy": ("Referrer-Policy",),
}
"""The observatory's test → the words that our finding has for the same."""


@contextmanager
def server(folder: Path, *, weak: bool, given: dict[str, str] | None = None) -> Iterator[int]:
    """HTTPS on the loopback address; `weak` takes TLS 1.1 and a suite without encryption, `given` differs from GOOD."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**GOOD, **(given or {})}.items() if value)
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
                    status = "200 OK" if line.split(" ")[1:2] in (["/"], ["/health"]) else "404 Not Found"
                    secured.sendall(ANSWER.format(status, lines).encode())
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


def timed(
    argv: list[str], folder: Path, environ: dict[str, str] | None = None
) -> tuple[tuple[float, float], subprocess.CompletedProcess[str]]:
    """Seconds by the clock and of processor time, and what came."""
    # An edited module is compiled once and not in each run.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        argv,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**inherited, **(environ or {})},
    )
    taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return (taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done


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
        mine: Taken = []
        others: Taken = []
        same = True
        for _ in range(runs):
            taken, done = timed(ours, folder)
            mine.append(taken)
            other, _ = timed(theirs, folder)
            others.append(other)
            same = same and statuses(done) == sslyze_verdict(out)
    name = "a server that takes TLS 1.1 and no encryption" if weak else "a good server"
    return told(f"TLS, {name}: sslyze (versions and suites)", mine, others, same=same)


Taken = list[tuple[float, float]]


def told(name: str, mine: Taken, others: Taken, *, same: bool) -> bool:
    clock, processor = (
        statistics.median(row[kind] for row in mine) / statistics.median(row[kind] for row in others) for kind in (0, 1)
    )
    held = clock <= GOAL and same

    def shown(rows: Taken) -> str:
        times = [row[0] for row in rows]
        return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"

    print(
        f"{name}: maestro {shown(mine)}, the other {shown(others)}; "
        f"ratio {clock:.2f}, of processor time {processor:.2f}, goal {GOAL:.2f}; "
        f"{'the same verdicts' if same else 'OTHER VERDICTS'}; {'held' if held else 'MISSED'}"
    )
    return held


def our_headers(done: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    """The observatory's test → whether ours has nothing to say against that header on the good answer."""
    (row,) = (row for row in json.loads(done.stdout)["checks"] if row["id"] == "security.headers")
    (seen,) = (item["observed"] for item in row["evidence"] if item["name"].startswith("GET /health"))
    # A missing Referrer-Policy is a warning: the observatory takes no points, either.
    against = [part for part in seen.split("; ") if part != "no Referrer-Policy"]
    return {test: not any(word in part for part in against for word in words) for test, words in TESTS.items()}


def headers(folder: Path, scanner: list[str], runs: int) -> bool:
    mine: Taken = []
    others: Taken = []
    different = []
    for name, given in SETS.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        with server(place, weak=False, given=given) as port:
            (place / "maestro.yaml").write_text(
                f"version: 1\napi: {{url: 'https://localhost:{port}', ca_file: certs/ca.pem}}\n"
            )
            ours = [*MAESTRO, "validate", "--only", "security.headers", "--format", "json"]
            trusting = {"NODE_EXTRA_CA_CERTS": str(place / "certs/ca.pem")}
            for _ in range(runs if not given else 1):
                taken, done = timed(ours, place)
                other, scan = timed([*scanner, f"localhost:{port}"], place, trusting)
                mine.append(taken)
                others.append(other)
        result = json.loads(scan.stdout)
        if "tests" not in result:
            print(f"headers: the scanner does not reach a local server: {scan.stdout[:200].strip()}")
            return False
        tests = result["tests"]
        verdict = our_headers(done)
        different += [
            f"{name}: {test}: maestro {'passes' if verdict[test] else 'fails'}, the observatory says {tests[test]['result']}"
            for test in TESTS
            if verdict[test] != tests[test]["pass"]
        ]
    print(f"headers: {len(SETS)} sets, {len(SETS) * len(TESTS)} verdicts, {len(different)} different")
    for line in different:
        print(f"  {line}")
    return told("Headers: the MDN observatory's scanner", mine, others, same=not different)


def installed_sslyze(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    subprocess.run([folder / "venv/bin/pip", "install", "-q", "sslyze"], check=True)
    return str(folder / "venv/bin/sslyze")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sslyze", help="the program; installed into a temporary environment where absent")
    parser.add_argument("--only", choices=("tls", "headers"))
    parser.add_argument("--node", default="node", help="the Node.js that runs the scanner")
    parser.add_argument("--observatory", type=Path, help="folder of the package @mdn/mdn-http-observatory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maestro-probes-") as name:
        folder = Path(name)
        held: list[bool] = []
        if arguments.only != "headers":
            program = arguments.sslyze or installed_sslyze(folder)
            for weak in (False, True):
                place = folder / f"tls-{weak}"
                place.mkdir()
                held.append(tls(place, program, arguments.runs, weak=weak))
        script = arguments.observatory / "src" / "scan.js" if arguments.observatory else None
        if arguments.only == "tls":
            pass
        elif script is not None and script.is_file() and shutil.which(arguments.node):
            place = folder / "headers"
            place.mkdir()
            held.append(headers(place, [arguments.node, str(script)], arguments.runs))
        else:
            print("headers: left out; name the scanner's folder with --observatory")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
