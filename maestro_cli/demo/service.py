"""The reference service as a project of its own: copied, given a database, migrated, filled, and run over HTTPS."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from maestro_cli.demo.preloader import Preloader
from maestro_cli.demo.processes import LOOPBACK, Process, ServerProcess, free_port
from maestro_cli.errors import MaestroError
from maestro_cli.redaction import Secret

DATABASE = "maestro_ml"
OWNER_ROLE = "maestro_owner"
APPLICATION_ROLE = "maestro_app"
SCRATCH_ROLE = "maestro_scratch"
START_SECONDS = 30
COMMAND_SECONDS = 60
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", ".coverage", "reports", ".env", "certs", "*.log")


def template_folder() -> Path:
    """Where the reference service lies in this installation."""
    return Path(str(resources.files("maestro_cli.templates"))) / "service"


def provision(
    admin_url: Secret,
    *,
    owner_password: Secret,
    app_password: Secret,
    scratch_password: Secret | None = None,
    database: str = DATABASE,
) -> None:
    """Make the roles and the database, as the template's bootstrap.sql does; what is there already stays.

    The owner runs migrations; the application's role owns nothing, creates nothing and can't pass row-level security.

    Args:
        admin_url: A superuser's URL (libpq form) of any database of the server.
        owner_password: Password of `maestro_owner`.
        app_password: Password of `maestro_app`.
        scratch_password: Password of `maestro_scratch`, which makes databases for rehearsals; no such role where it is None.
        database: Name of the database.
    """
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(admin_url.reveal())
    connection.autocommit = True
    name, owner, application = (sql.Identifier(word) for word in (database, OWNER_ROLE, APPLICATION_ROLE))
    restricted = sql.SQL("LOGIN NOSUPERUSER NOCREATEROLE NOBYPASSRLS")
    roles = [(owner, owner_password, "NOCREATEDB INHERIT"), (application, app_password, "NOCREATEDB NOINHERIT")]
    if scratch_password is not None:
        roles.append((sql.Identifier(SCRATCH_ROLE), scratch_password, "CREATEDB INHERIT"))
    try:
        with connection.cursor() as cursor:
            for role, word, rights in roles:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role.string,))
                verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
                statement = sql.SQL("{} ROLE {} {} {} PASSWORD {}")
                cursor.execute(statement.format(verb, role, restricted, sql.SQL(rights), sql.Literal(word.reveal())))
            # `maestro migrate verify` runs as the owner and proves the isolation as the service's role.
            cursor.execute(sql.SQL("GRANT {} TO {}").format(application, owner))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, owner))
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, application))
    finally:
        connection.close()


def fault_names() -> dict[str, str]:
    """The faults that the service can be started with → what is then wrong, in one sentence each."""
    import ast

    # Read, not imported: the service's package is called `service`, a name that is not ours to occupy here.
    tree = ast.parse((template_folder() / "service" / "faults.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", None) == "FAULTS" and node.value is not None:
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    raise MaestroError("the reference service has no table of faults")  # pragma: no cover - a broken installation


@dataclass
class RunningService:
    """The service, up. A context manager that stops it."""

    url: str
    process: Process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def log(self) -> Path:
        """Its log: JSON lines."""
        return self.process.log

    def stop(self) -> None:
        """Stop it in order: requests that have begun are answered."""
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class ServiceProject:
    """A copy of the reference service in a folder.

    Its environment, for all methods: DATABASE_URL (role maestro_app), ADMIN_DATABASE_URL (role maestro_owner; migrate and
    seed), REDIS_URL, JWT_SECRET_KEY, JWT_REFRESH_SECRET_KEY, API_SECRET_KEY, ENCRYPTION_KEY (32 bytes or more each),
    PROBE_A_PASSWORD and PROBE_B_PASSWORD (seed); optionally ENVIRONMENT, CORS_ORIGINS, RATE_LIMIT_PER_MINUTE,
    TRUSTED_PROXIES, PROBE_VIEWER_PASSWORD, PROBE_INACTIVE_PASSWORD. What is not given is read from `.env` in the folder.
    """

    directory: Path

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Copy the template; files that exist already are overwritten, others stay."""
        shutil.copytree(template_folder(), directory, dirs_exist_ok=True, ignore=_LEFT_OUT)
        return cls(directory)

    def migrate(self, environment: Mapping[str, str], revision: str = "head") -> None:
        """Run the service's own Alembic migrations."""
        self._run(["alembic", "upgrade", revision], environment)

    def check_models(self, environment: Mapping[str, str]) -> None:
        """Raise where models and database differ (`alembic check`)."""
        self._run(["alembic", "check"], environment)

    def seed(self, environment: Mapping[str, str], *, sample_rows: int = 0) -> None:
        """Make the accounts (after the tenant migration), or `sample_rows` projects (at any time)."""
        self._run(["service.seed", *(["--sample-rows", str(sample_rows)] if sample_rows else [])], environment)

    def start(
        self,
        environment: Mapping[str, str],
        *,
        cert: Path,
        key: Path,
        port: int | None = None,
        faults: Sequence[str] = (),
        log: Path | None = None,
        preloader: Preloader | None = None,
    ) -> RunningService:
        """Start it over HTTPS on 127.0.0.1 and wait until it answers.

        Args:
            environment: See the class.
            cert: PEM file of the certificate chain.
            key: PEM file of its private key.
            port: TCP port; None for a free one.
            faults: Names from `fault_names()` to plant.
            log: Where its log goes; `service.log` in the folder where it is None.
            preloader: Starts it in a third of the time; for whoever starts it often.

        Raises:
            MaestroError: It ends at once, or does not answer in time; the end of its log is in the message.
        """
        port = port or free_port()
        planted = {"MAESTRO_FAULT": ",".join(faults), "MAESTRO_ALLOW_FAULTS": "1"} if faults else {}
        values = self._environment({**environment, **planted})
        argv = ["--host", LOOPBACK, "--port", str(port), "--cert", str(cert.resolve()), "--key", str(key.resolve())]
        process = self._process(argv, values, log or self.directory / "service.log", preloader)
        try:
            process.wait_until(lambda: _answers(port), seconds=START_SECONDS)
        except BaseException:
            process.stop()
            raise
        return RunningService(f"https://localhost:{port}", process)

    def _process(self, argv: list[str], environment: dict[str, str], log: Path, preloader: Preloader | None) -> Process:
        name = "the service"
        if preloader is not None:
            return preloader.start(name, "service", argv, environment=environment, cwd=self.directory, log=log)
        whole = [sys.executable, "-m", "service", *argv]
        process = ServerProcess(name, whole, log=log, environment=environment, cwd=self.directory)
        process.start()
        return process

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        passed_on = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
        ours = {name: os.environ[name] for name in passed_on if name in os.environ}
        # The present interpreter's packages, also where they came by PYTHONPATH.
        ours |= {"PYTHONPATH": os.pathsep.join(_package_folders())}
        return ours | dict(given)

    def _run(self, module_and_arguments: list[str], environment: Mapping[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *module_and_arguments],
            cwd=self.directory,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            told = (done.stderr.strip() or done.stdout.strip())[-2000:]
            raise MaestroError(f"{' '.join(module_and_arguments)} failed:\n{_without_passwords(told)}")


def _package_folders() -> Iterable[str]:
    return [entry for entry in sys.path if "site-packages" in entry or "dist-packages" in entry]


def _without_passwords(text: str) -> str:
    return re.sub(r"(?<=://)[^\s/@]+@", "********@", text)


def _answers(port: int) -> bool:
    """Whether a TLS server of any kind of health answers HTTP there; says nothing about its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only asks whether anybody is there; checks verify the chain
    with (
        suppress(OSError),
        socket.create_connection((LOOPBACK, port), timeout=5) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(b"GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return connection.recv(16).startswith(b"HTTP/1.")
    return False
