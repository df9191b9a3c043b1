"""The demo's project folder: the reference service with secrets, certificates and evidence of its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from maestro_cli.demo.processes import LOOPBACK
from maestro_cli.demo.service import APPLICATION_ROLE, DATABASE, OWNER_ROLE, SCRATCH_ROLE, ServiceProject
from maestro_cli.errors import MaestroError, UsageError

if TYPE_CHECKING:
    from maestro_cli.config import Loaded

PROBE_PASSWORDS = tuple(f"PROBE_{account}_PASSWORD" for account in ("A", "B", "VIEWER", "INACTIVE"))
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""What of the caller's environment the demo's programs see: a DATABASE_URL of theirs must not become the demo's."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1."""

    api: int
    postgres: int
    redis: int


@dataclass(frozen=True)
class DemoProject:
    """A folder with the reference service and everything it needs to run."""

    directory: Path

    @property
    def service(self) -> ServiceProject:
        """The service in it."""
        return ServiceProject(self.directory)

    @classmethod
    def create(cls, directory: Path) -> DemoProject:
        """Copy the service's template.

        Raises:
            UsageError: When the folder holds something already.
        """
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(f"{directory} is not empty", hint="Name a new folder: maestro demo --keep NEW-FOLDER")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ServiceProject.create(directory)
        project = cls(directory)
        project.observe_operation()
        return project

    def observe_operation(self) -> None:
        """Take the template's word for what only the machine of the database sees: backups, and the log's archive."""
        file = self.directory / "maestro.yaml"
        text = file.read_text("utf-8")
        for key in ("backups", "wal_archiving"):
            if f"  # {key}:" not in text:
                raise MaestroError(f"the demo's maestro.yaml has no {key}")  # pragma: no cover - a broken installation
            text = text.replace(f"  # {key}:", f"  {key}:")
        file.write_text(text, "utf-8")

    def add_to_environment(self, values: Mapping[str, Path]) -> None:
        """Add paths that are known only when the servers run to `.env`."""
        with (self.directory / ".env").open("a", encoding="utf-8") as stream:
            stream.writelines(f"{name}={path}\n" for name, path in values.items())

    def back_up(self, programs: Path, url: str, *options: str) -> None:
        """Dump the database, as a nightly job would.

        Args:
            programs: Folder of pg_dump.
            url: The database as a role that sees every row.
            options: Further ones of pg_dump's, for a dump that is not whole.
        """
        folder = self.directory / "backups"
        folder.mkdir(mode=0o700, exist_ok=True)
        parts = urlsplit(url)
        address = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}"))
        argv = [str(programs / "pg_dump"), "-Fc", "-f", str(folder / "nightly.dump"), *options, address]
        self._run(argv, {"PGPASSWORD": unquote(parts.password or "")})

    def write_environment(self, ports: Ports, now: datetime) -> None:
        """Generate `.env` as `maestro secrets generate` does, with the demo's addresses in it."""
        from maestro_cli.secrets import generate

        generate(
            self.directory / ".env",
            required=self._required(),
            now=now,
            given=self._addresses(ports),
            derived=_urls,
        )

    def _required(self) -> dict[str, int]:
        from maestro_cli.config import load

        loaded = load(self.directory / "maestro.yaml", environ={}, require_variables=False)
        required = dict(loaded.settings.secrets.required) if loaded.settings.secrets is not None else {}
        return {**required, **dict.fromkeys(PROBE_PASSWORDS, 192)}

    @staticmethod
    def _addresses(ports: Ports) -> dict[str, str]:
        return {
            "ENVIRONMENT": "production",
            "API_PORT": str(ports.api),
            "POSTGRES_HOST": LOOPBACK,
            "POSTGRES_PORT": str(ports.postgres),
            "POSTGRES_DB": DATABASE,
            "POSTGRES_USER": APPLICATION_ROLE,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(ports.redis),
            "REDIS_USER": "app",
            "CORS_ORIGINS": "https://app.example.test,https://admin.example.test,https://docs.example.test",
        }

    def environment(self) -> dict[str, str]:
        """What `.env` holds."""
        from maestro_cli.config.environment_file import read_environment_file

        return read_environment_file(self.directory / ".env")

    def load(self) -> Loaded:
        """Its configuration, read without the caller's environment."""
        from maestro_cli.config import load

        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return load(self.directory / "maestro.yaml", environ=environ)

    def write_certificates(self, now: datetime) -> None:
        """Make the CA and the server's pair as `maestro certs generate` does."""
        from maestro_cli.certs.generate import ensure_pair

        certs = self.load().settings.certs
        if certs is None:
            raise MaestroError("the demo's maestro.yaml has no certs section")
        ensure_pair(
            self.directory / certs.directory, hosts=certs.hosts, key_type=certs.key_type, days=certs.days, now=now
        )

    def commit(self) -> None:
        """Put it under git, where git is there: some checks look at what is tracked and ignored."""
        if shutil.which("git") is None:
            return
        identity = ["-c", "user.name=maestro demo", "-c", "user.email=demo@example.test", "-c", "commit.gpgsign=false"]
        for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "The reference service"]):
            self._run(["git", *arguments], {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})

    def run_tests(self) -> None:
        """Run the service's own tests, which leave a JUnit and a coverage file as evidence.

        Raises:
            MaestroError: When they fail.
        """
        (self.directory / "reports").mkdir(exist_ok=True)
        coverage = [sys.executable, "-m", "coverage"]
        data = {"COVERAGE_FILE": str(self.directory / "reports" / ".coverage")}
        self._run(
            [
                *coverage,
                "run",
                "--source=service",
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "--junitxml=reports/junit.xml",
            ],
            data,
        )
        self._run([*coverage, "xml", "-q", "-o", "reports/coverage.xml"], data)

    def _run(self, argv: list[str], extra: Mapping[str, str]) -> None:
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        done = subprocess.run(
            argv,
            cwd=self.directory,
            env={**environ, "PYTHONDONTWRITEBYTECODE": "1", **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            told = (done.stdout.strip() + "\n" + done.stderr.strip()).strip()[-2000:]
            raise MaestroError(f"{' '.join(argv[:4])} … failed in {self.directory}:\n{told}")


def _urls(values: Mapping[str, str]) -> dict[str, str]:
    """The URLs that are made of the generated passwords."""

    def url(scheme: str, user: str, password: str, prefix: str, path: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"{scheme}://{login}@{values[f'{prefix}_HOST']}:{values[f'{prefix}_PORT']}/{path}"

    return {
        "DATABASE_URL": url("postgresql", APPLICATION_ROLE, values["POSTGRES_PASSWORD"], "POSTGRES", DATABASE),
        "ADMIN_DATABASE_URL": url("postgresql", OWNER_ROLE, values["POSTGRES_OWNER_PASSWORD"], "POSTGRES", DATABASE),
        "SCRATCH_DATABASE_URL": url(
            "postgresql", SCRATCH_ROLE, values["POSTGRES_SCRATCH_PASSWORD"], "POSTGRES", "postgres"
        ),
        "REDIS_URL": url("redis", values["REDIS_USER"], values["REDIS_PASSWORD"], "REDIS", "0"),
    }
