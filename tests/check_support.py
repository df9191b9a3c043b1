"""Running one check against real parts: a maestro.yaml in a folder, and servers that misbehave on purpose."""

from __future__ import annotations

import contextlib
import functools
import importlib
import socket
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from maestro_cli.api import Check, Context
from maestro_cli.config import load, without_file
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.discovery import discover
from maestro_cli.model import CheckResult, Status
from maestro_cli.redaction import Redactor, Secret
from maestro_cli.runner import execute


def load_check(check_id: str) -> Check:
    """The check of a file in checks/, which is named after its id."""
    module = importlib.import_module(f"maestro_cli.checks.{check_id.replace('.', '_').replace('-', '_')}")
    found = [value for value in vars(module).values() if isinstance(value, Check)]
    assert [item.id for item in found] == [check_id], "one file, one check, named after its id"
    return found[0]


@functools.cache
def asking() -> tuple[Check, ...]:
    """The shipped checks that send requests to the API."""
    checks = discover(without_file(Path.cwd()), plugins=False).checks.values()
    return tuple(check for check in checks if check.requests)


def context(
    folder: Path, yaml: str, *, environ: Mapping[str, str] | None = None, now: datetime | None = None
) -> Context:
    """The context of a maestro.yaml with this text, in this folder."""
    path = folder / "maestro.yaml"
    path.write_text(textwrap.dedent(yaml), "utf-8")
    loaded = load(path, environ=environ or {})
    return Context(loaded, now=now or datetime.now(UTC), redact=Redactor(loaded.secrets), environ=environ or {})


def run_check(check_id: str, ctx: Context) -> CheckResult:
    """Run it the way the runner does."""
    try:
        return execute(load_check(check_id), ctx)
    finally:
        ctx.close()


def expect(result: CheckResult, status: Status | str, *words: str) -> CheckResult:
    """Assert the status, and that message and evidence say these words."""
    text = " ".join([result.message, *(f"{item.name} {item.observed} {item.expected}" for item in result.evidence)])
    assert result.status == status, f"{result.id}: {result.status}: {text}"
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"
    if status in {"pass", "fail", "warn"}:
        assert result.evidence, "what was observed is shown"
    if status in {"fail", "warn"}:
        assert result.remedy is not None
        assert result.remedy.text or result.remedy.command
    return result


def git(folder: Path, *arguments: str, date: str | None = None) -> str:
    """Run git in a folder, with a name of its own and no configuration of the machine."""
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "test@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    if date is not None:
        environ |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True
    ).stdout


def checkout(folder: Path, *, date: str | None = None) -> None:
    """Make a git checkout of a folder, everything in it committed."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "start", date=date)


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on a free port of the loopback address, one thread per connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    ending = threading.Event()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not ending.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=_guarded, args=(serve, connection), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ending.set()
        acceptor.join()
        listener.close()
        for thread in threads:
            thread.join(timeout=2)


def _guarded(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        serve(connection)


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """A server that reads something, says this, and closes."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(answer)

    with listening(serve) as port:
        yield port


@contextlib.contextmanager
def delaying(port: int, seconds: float) -> Iterator[int]:
    """A way to a server of this machine on which every question takes longer."""

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as server:
            back = threading.Thread(target=_copy, args=(server, connection, 0.0), daemon=True)
            back.start()
            _copy(connection, server, seconds)
            back.join(timeout=2)

    with listening(serve) as found:
        yield found


def _copy(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(seconds)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def application_role(server: EmbeddedPostgres, database: str) -> Iterator[str]:
    """URL of an ordinary role that owns nothing, in that database; dropped afterwards."""
    name, password = f"app_{database.rpartition('_')[2]}", Secret("a-long-enough-pass-phrase")
    run_sql(database, f"CREATE ROLE {name} LOGIN PASSWORD '{password.reveal()}'")
    try:
        yield server.url_for(database.rpartition("/")[2], name, password).reveal()
    finally:
        run_sql(
            database,
            "SET default_transaction_read_only = off",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'",
            f"DROP OWNED BY {name}",
            f"DROP ROLE {name}",
        )


def role_of(url: str) -> str:
    """The role in a URL."""
    return str(urlsplit(url).username)


def at_port(url: str, port: int) -> str:
    """The URL with another port of this machine."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()


def run_sql(url: str, *statements: str) -> list[Any]:
    """Run statements, each committed; the last one's rows."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@contextlib.contextmanager
def valkey_admin(server: EmbeddedValkey) -> Iterator[Callable[..., Any]]:
    """Commands as the administrator, to plant faults with."""
    from redis import Redis

    client: Any = Redis.from_url(server.admin_url.reveal(), decode_responses=True)
    try:
        yield client.execute_command
    finally:
        client.close()
