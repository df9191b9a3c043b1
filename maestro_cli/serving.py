"""What must hold before an application is served: a free port, a module that imports, a key that fits its certificate.

Each is tried here, before the server starts, so that what is wrong is one sentence with the next command instead of a
worker's traceback. The server itself is in `maestro_cli.serving_process`.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import importlib.util
import os
import re
import socket
import ssl
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from maestro_cli.errors import OutOfReach, Refused, UsageError

HTTPS_PORT = 8443
HTTP_PORT = 8000
DRAIN_S = 30
_APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


@dataclass(frozen=True)
class ServePlan:
    """How an application is served.

    Attributes:
        app: `module:attribute` of an ASGI application.
        host: Address to listen on.
        workers: Processes.
        cert: Certificate chain in PEM; None for plain HTTP.
        key: Its private key.
        reload: Start again when a source file changes.
        drain_s: How long requests under way may take after SIGTERM, in seconds.
        trusted_proxies: Addresses whose X-Forwarded-For is believed; nobody's where None.
    """

    app: str
    host: str
    workers: int
    cert: Path | None = None
    key: Path | None = None
    reload: bool = False
    drain_s: int = DRAIN_S
    trusted_proxies: str | None = None


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors this process may use: its CPU affinity, and the quota of its control group (v2 or v1); at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    for quota, period in (_quota_v2(cgroup / "cpu.max"), _quota_v1(cgroup / "cpu")):
        if quota > 0 and period > 0:
            cores = min(cores, -(-quota // period))
    return max(cores, 1)


def bind(host: str, port: int) -> socket.socket:
    """Take a port; 0 for any free one.

    Raises:
        OutOfReach: Somebody else has it, or it is not ours to take.
        UsageError: The host is no address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"{host!r} is not an address to listen on", hint="For example: --host 127.0.0.1") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)  # a second server on this port fails here at the latest
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    listener.set_inheritable(True)
    return listener


def check_pair(cert: Path, key: Path) -> None:
    """Load a certificate chain and its key as the server will.

    Raises:
        OutOfReach: One of them cannot be read, is no PEM, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hint = "New ones: maestro certs generate --force        What is there: maestro certs verify"
    try:
        # An empty password instead of a prompt: an encrypted key is an error here, not a hanging server.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise OutOfReach(f"{key} is not the key of {cert}", hint=hint) from error
        raise OutOfReach(
            f"{cert} and {key} cannot be used: {error.reason or 'not PEM, or encrypted'}", hint=hint
        ) from error
    except OSError as error:
        raise OutOfReach(f"{error.filename or cert} cannot be read: {error.strerror}", hint=hint) from error


def load_environment(values: Mapping[str, str], environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """Put what an env_file holds into the environment, behind what is there already.

    Returns:
        The names that were added.
    """
    added = tuple(name for name in values if name not in environ and "\0" not in values[name])
    for name in added:
        environ[name] = values[name]
    return added


def check_app(app: str, folder: Path, *, run: bool = True) -> None:
    """Find an application.

    Args:
        app: `module:attribute`.
        folder: Where the module is looked for first.
        run: Whether to import it; otherwise it is only looked for (a reloading server imports it later).

    Raises:
        UsageError: The module does not exist, its import fails, or it has no such application.
    """
    if not _APP.match(app):
        raise UsageError(f"{app!r} is not MODULE:APP", hint="For example: maestro serve https service.main:app")
    for place in (folder / "src", folder):  # the first is of a project laid out that way and not installed
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    module_name, _, attribute = app.partition(":")
    _check_module(module_name, folder)
    if not run:
        return
    try:
        found: object = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(
            f"importing {module_name} failed{_place(error, folder)}: {_first_line(error)}",
            hint=f"See it in full: python -c 'import {module_name}'",
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, [name for name in dir(found) if not name.startswith("_")], 1)
            hint = (
                f"Did you mean {module_name}:{near[0]}?"
                if near
                else f"Look at its names: python -c 'import {module_name}; print(dir({module_name}))'"
            )
            raise UsageError(f"{module_name} has no {attribute}", hint=hint)
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(
            f"{app} is a {type(found).__name__}, not an ASGI application", hint="Name the application object."
        )


def require_uvicorn() -> None:
    """Raise OutOfReach where uvicorn is not installed."""
    if importlib.util.find_spec("uvicorn") is None:
        raise OutOfReach("uvicorn is not installed", hint="Install it: pip install 'maestro-readiness[serve]'")


def check_workers(workers: int | None, *, reload: bool) -> int:
    """The number of processes: what was asked for, or one for each usable core.

    Raises:
        UsageError: Several processes and `--reload`.
    """
    if reload:
        if workers is not None and workers > 1:
            raise UsageError("--reload works with one process only", hint="Leave --workers out.")
        return 1
    return workers if workers is not None else usable_cores()


def _check_module(name: str, folder: Path) -> None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    except (ImportError, ValueError, SyntaxError) as error:
        raise UsageError(f"{name} cannot be imported: {_first_line(error)}") from error
    except Exception as error:
        raise UsageError(
            f"importing the package of {name} failed{_place(error, folder)}: {_first_line(error)}"
        ) from error
    if spec is None:
        raise UsageError(
            f"there is no module {name} in {folder}", hint="Name it as Python would import it: package.module:app"
        )


def _place(error: BaseException, folder: Path) -> str:
    """` in main.py:12`, the last line of the user's own code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    if isinstance(error, SyntaxError) and error.filename:
        return f" in {os.path.relpath(error.filename, folder)}:{error.lineno}"
    return f" in {os.path.relpath(frames[-1].filename, folder)}:{frames[-1].lineno}" if frames else ""


def _first_line(error: BaseException) -> str:
    """The kind of an error and its first line; the lines behind often quote the values they complain about."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _cannot_bind(host: str, port: int, error: OSError) -> OutOfReach | UsageError | Refused:
    if error.errno == errno.EADDRINUSE:
        return OutOfReach(
            f"port {port} is taken",
            hint=f"Another one: --port {port + 1}        Whose it is: ss -ltnp 'sport = :{port}'",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return OutOfReach(f"port {port} is for the system only", hint=f"Take one from 1024 on: --port {HTTPS_PORT}")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"{host} is not an address of this machine", hint="For example: --host 127.0.0.1")
    return OutOfReach(f"cannot listen on {host}:{port}: {error.strerror}")


def _quota_v2(path: Path) -> tuple[int, int]:
    try:
        quota, period = path.read_text().split()
        return int(quota), int(period)
    except (OSError, ValueError):  # no such group, or "max"
        return 0, 0


def _quota_v1(folder: Path) -> tuple[int, int]:
    try:
        return int((folder / "cpu.cfs_quota_us").read_text()), int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return 0, 0
