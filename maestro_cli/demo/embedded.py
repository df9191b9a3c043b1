"""What the embedded servers have in common: a folder, a port, a process, and an end."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from maestro_cli.demo.processes import LOOPBACK, ServerProcess, free_port
from maestro_cli.errors import MaestroError

PIP_HINT = "pip install 'maestro-readiness[demo]'"
START_SECONDS = 30


def package_folder(name: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(name)  # finds without importing: the wheels' modules are slow to import and warn
    if spec is None or spec.origin is None:
        raise MaestroError(f"the Python package {distribution} is not installed", hint=PIP_HINT)
    return Path(spec.origin).parent


def enterable(path: Path) -> bool:
    """Whether any user may enter each folder above `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def scratch_folder(prefix: str) -> Path:
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108 - mkdtemp below makes a private folder in it
    for base in candidates:
        if Path(base).is_dir() and enterable(Path(base) / "x"):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    raise MaestroError("no temporary folder that an ordinary user may enter", hint="set TMPDIR to one, such as /tmp")


def bare_environment(home: Path) -> dict[str, str]:
    """A server needs almost nothing of ours: no credentials, no PG* variables, no proxy settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": str(home)}


class EmbeddedServer(ABC):
    """A server in a folder of its own; a context manager whose `start` and `stop` may be called any number of times.

    Args:
        directory: Folder for data, configuration and log; made (0700) where it is missing.
        port: TCP port; None for a free one, which then stays the same over restarts.
    """

    name = "server"
    host = LOOPBACK

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory
        self._wanted_port = port
        self._port: int | None = port
        self._process: ServerProcess | None = None

    @property
    def port(self) -> int:
        """TCP port it listens on."""
        if self._port is None:
            raise MaestroError(f"{self.name} has not been started")
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise MaestroError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is up."""
        return self._process is not None and self._process.running

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.directory / f"{self.name.lower()}.log"

    def start(self) -> Self:
        """Start it and wait until it answers; does nothing where it runs.

        Raises:
            MaestroError: The wheel is missing, or the server does not come up; nothing is left running.
        """
        if self.running:
            return self
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prepare()
        fixed = self._port
        for attempt in range(5):
            self._port = fixed or free_port(self.host)
            self._process = self._build()
            try:
                self._process.start()
                self._process.wait_until(self._ready, seconds=START_SECONDS)
            except BaseException as error:
                tail = self._process.log_tail()
                self._process.stop()
                # Somebody took the port between our choice and the server's bind: choose again.
                taken = isinstance(error, MaestroError) and "in use" in tail
                if fixed or not taken or attempt == 4:
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Stop it in order; data stay for the next start."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Stop it as a crash would."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove what it keeps outside its folder."""
        self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make data and configuration, once."""

    @abstractmethod
    def _build(self) -> ServerProcess:
        """The process for the present port."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it answers."""
