"""`maestro serve` as a whole process, with real connections."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maestro_cli.certs import ensure_pair
from maestro_cli.errors import UsageError
from maestro_cli.serving import bind, check_workers, load_environment, usable_cores

APPLICATION = """\
import asyncio, os

number = 1

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        open("started", "w").close()
        await asyncio.sleep(1.5)
    text = f"{os.environ.get('GREETING')} from {os.getpid()} to {scope['client'][0]}, version 1"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})

async def broken(scope, receive, send):
    raise RuntimeError("will not start")
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair") / "certs"
    ensure_pair(folder, hosts=["localhost", "127.0.0.1"], key_type="ec-p256", now=datetime.now(UTC))
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APPLICATION)
    (tmp_path / ".env").write_text("GREETING=hello\nAPI_SECRET_KEY=0aY3vN8sWq5tRk2mXc7Lb9Hf4Jd6Gp1ZuEiToVyB\n")
    (tmp_path / "maestro.yaml").write_text('env_file: .env\napi: {app: "shop:app"}\ncerts: {key_type: ec-p256}\n')
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "maestro_cli", "serve", *arguments, "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            yield process, port
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def fetch(url: str, ca: Path | None = None, *, headers: dict[str, str] | None = None) -> tuple[str, dict[str, str]]:
    """GET, tried again until the server is there."""
    context = ssl.create_default_context(cafile=str(ca)) if ca is not None and ca.exists() else None
    deadline = time.monotonic() + 30
    while True:
        try:
            request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - our own server
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:  # noqa: S310 - the same
                return answer.read().decode(), dict(answer.headers)
        except (OSError, ssl.SSLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            if ca is not None and context is None and ca.exists():
                context = ssl.create_default_context(cafile=str(ca))


def handshake(port: int, version: ssl.TLSVersion) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as secured:
        return secured.version()


def test_https_with_a_certificate_made_on_the_way(shop: Path) -> None:
    with serving(shop, "--workers", "2") as (_, port):
        ca = shop / "certs" / "ca.pem"
        text, headers = fetch(f"https://localhost:{port}/", ca)
        assert text.startswith("hello from ")  # what env_file holds is in its environment
        assert "server" not in {name.lower() for name in headers}
        forged, _ = fetch(f"https://localhost:{port}/", ca, headers={"X-Forwarded-For": "6.6.6.6"})
        assert "to 127.0.0.1," in forged
        assert handshake(port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert handshake(port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, OSError)):
            handshake(port, ssl.TLSVersion.TLSv1_1)
        pids = {fetch(f"https://localhost:{port}/", ca)[0].split()[2] for _ in range(40)}
        assert len(pids) == 2
    log = (shop / "log").read_text()
    assert "making a development CA and a certificate" in log
    assert f"serving shop:app on https://localhost:{port} (2 processes)" in log


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_requests_under_way_end(shop: Path, workers: int) -> None:
    with serving(shop, "http", "--workers", str(workers)) as (process, port), ThreadPoolExecutor(1) as pool:
        fetch(f"http://127.0.0.1:{port}/")
        slow = pool.submit(fetch, f"http://127.0.0.1:{port}/slow")
        wait_for(shop / "started")
        process.send_signal(signal.SIGTERM)
        assert slow.result()[0].startswith("hello")
        assert process.wait(20) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_plain_http_comes_with_a_warning(shop: Path) -> None:
    with serving(shop, "http", "shop:app", "--workers", "1", "--host", "localhost") as (process, port):
        assert fetch(f"http://localhost:{port}/")[0].startswith("hello")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    log = (shop / "log").read_text()
    assert "warning: plain HTTP: passwords and tokens can be read on the way" in log
    assert "Traceback" not in log


def test_reload(shop: Path) -> None:
    with serving(shop, "http", "--reload") as (_, port):
        assert fetch(f"http://127.0.0.1:{port}/")[0].endswith("version 1")
        time.sleep(1.5)  # uvicorn's first look takes what it finds for the beginning, a change just made included
        # Of another length: Python takes a cached module for current by its second and its size.
        (shop / "shop.py").write_text(APPLICATION.replace("version 1", "version two"))
        deadline = time.monotonic() + 60
        while not fetch(f"http://127.0.0.1:{port}/")[0].endswith("version two"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def run(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **({"PYTHONPATH": str(path)} if path is not None else {})}
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", "serve", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "error", "hint"),
    [
        (["http", "nowhere:app"], 2, "there is no module nowhere", "package.module:app"),
        (["http", "shop.inner:app"], 2, "there is no module shop.inner", "package.module:app"),
        (["http", "shop:ap"], 2, "shop has no ap", "Did you mean shop:app?"),
        (["http", "shop:number"], 2, "shop:number is a int, not an ASGI application", "application object"),
        (["http", "shop:2"], 2, "'shop:2' is not MODULE:APP", "service.main:app"),
        (["ftp"], 2, "cannot make out 'ftp'", "[https|http]"),
        (["http", "wrong:app"], 2, "importing wrong failed in wrong.py:2: ValueError: bad ********", "import wrong"),
        (["http", "typo:app"], 2, "importing typo failed in typo.py:1: SyntaxError", "import typo"),
        (["http", "quits:app"], 2, "importing quits failed in quits.py:1: SystemExit", "import quits"),
        (["http", "--reload", "--workers", "3"], 2, "--reload works with one process", "--workers"),
        (["http", "--host", "no such host"], 2, "is not an address to listen on", "--host 127.0.0.1"),
        (["http", "--host", "192.0.2.1"], 2, "192.0.2.1 is not an address of this machine", "--host 127.0.0.1"),
        (["--cert", "x.pem"], 2, "--cert and --key go together", "neither"),
        (["--cert", "x.pem", "--key", "y.pem"], 3, "cannot be read: No such file", "maestro certs generate"),
        (["--cert", "shop.py", "--key", "shop.py"], 3, "cannot be used", "maestro certs generate"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_next_command(
    shop: Path, arguments: Sequence[str], code: int, error: str, hint: str
) -> None:
    (shop / "wrong.py").write_text("import os\nraise ValueError('bad ' + os.environ['API_SECRET_KEY'])\n")
    (shop / "typo.py").write_text("def\n")
    (shop / "quits.py").write_text("raise SystemExit(3)\n")
    port = [] if arguments[0] == "ftp" else ["--port", "0"]
    result = run(shop, *arguments, *port)
    assert (result.returncode, result.stdout) == (code, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("warning: plain HTTP") or lines[0].startswith("error: ")
    assert len(lines) == 2, result.stderr
    assert error in lines[0]
    assert hint in lines[1]


def test_a_taken_port(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(shop, "http", "--port", str(port))
    assert result.returncode == 3
    assert result.stderr.splitlines()[0] == f"error: port {port} is taken"
    assert f"--port {port + 1}" in result.stderr


def test_a_key_that_does_not_fit(shop: Path, certificates: Path) -> None:
    ensure_pair(shop / "certs", hosts=["localhost"], key_type="ec-p256", now=datetime.now(UTC))
    (shop / "certs" / "key.pem").write_bytes((certificates / "key.pem").read_bytes())
    result = run(shop, "--port", "0")
    assert result.returncode == 3
    assert "key.pem is not the key of " in result.stderr
    assert "maestro certs generate --force" in result.stderr


def test_without_uvicorn(shop: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    result = run(shop, "http", "--port", "0", path=blocker)
    assert result.returncode == 3
    assert result.stderr == "error: uvicorn is not installed\nInstall it: pip install 'maestro-readiness[serve]'\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_application_that_does_not_start(shop: Path, workers: str) -> None:
    (shop / "late.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    result = run(shop, "http", "late:app", "--port", "0", "--workers", workers)
    assert result.returncode == 3
    assert result.stderr.splitlines()[-2:] == [
        "error: late:app did not start; its own messages are above.",
        "Its settings: maestro validate readiness",
    ]


def test_without_an_application(tmp_path: Path) -> None:
    result = run(tmp_path, "http")
    assert result.returncode == 2
    assert "api.app in maestro.yaml" in result.stderr


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 10_000),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 10_000),
        ({"cpu.max": "nonsense"}, 10_000),
    ],
)
def test_cores_are_those_one_may_use(tmp_path: Path, files: dict[str, str], most: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == min(len(os.sched_getaffinity(0)), most)


def test_workers() -> None:
    assert check_workers(None, reload=False) == usable_cores()
    assert check_workers(3, reload=False) == 3
    assert check_workers(1, reload=True) == 1
    with pytest.raises(UsageError):
        check_workers(2, reload=True)


def test_the_environment_wins_over_the_file() -> None:
    environ = {"A": "mine"}
    assert load_environment({"A": "file", "B": "new"}, environ) == ("B",)
    assert environ == {"A": "mine", "B": "new"}


def test_an_ipv6_address() -> None:
    try:
        with bind("::1", 0) as listener:
            assert listener.family == socket.AF_INET6
    except UsageError:
        pytest.skip("no IPv6 here")
