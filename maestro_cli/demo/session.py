"""Starting everything the demo needs, in order, and stopping all of it, whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maestro_cli.config import Loaded
from maestro_cli.demo.plants import Plant, plant_of
from maestro_cli.demo.processes import free_port
from maestro_cli.demo.project import PASSED_ON, DemoProject, Ports
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.demo.service import DATABASE, RunningService, provision
from maestro_cli.errors import MaestroError
from maestro_cli.model import Report, Status
from maestro_cli.redaction import Secret

SAMPLE_ROWS = 200
"""Projects that the database holds before the migration: it is turned multi-tenant with rows in it."""
SERVERS = ".maestro"
"""Folder of the servers' data inside the project; ignored by its git."""


def _planting(faults: Sequence[str]) -> dict[str, str]:
    return {"MAESTRO_FAULT": ",".join(faults), "MAESTRO_ALLOW_FAULTS": "1"} if faults else {}


@dataclass
class Demo:
    """A running demo; a context manager: leaving it stops everything it started.

    Args:
        directory: A new or empty folder.
        now: The clock, for certificates and secrets.
        say: Told each step as it ends.
        fault: A fault to plant.
    """

    directory: Path
    now: datetime
    say: Callable[[str], None] = lambda _text: None
    fault: str | None = None
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def loaded(self) -> Loaded:
        """The project's configuration."""
        return self.project.load()

    @property
    def environ(self) -> dict[str, str]:
        """The environment that its checks see: the caller's, without anything that could stand for a setting."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def secrets(self) -> list[str]:
        """Every value that no output may hold."""
        from maestro_cli.config.interpolation import is_secret_name

        values = [value for name, value in self.environment.items() if is_secret_name(name) or name.endswith("_URL")]
        return [*values, self.postgres.password.reveal(), self.valkey.admin_password.reveal()]

    def planted(self, report: Report) -> dict[str, Any]:
        """The planted fault, and which of the checks that claim it did find it."""
        if self.fault is None:
            raise MaestroError("no fault is planted")
        plant = plant_of(self.fault)
        red = [row.id for row in report.checks if row.status is Status.FAIL and self.fault in row.faults]
        return {"name": self.fault, "description": plant.description, "found_by": red}

    def _start(self) -> None:
        plant: Plant | None = plant_of(self.fault) if self.fault is not None else None
        with self._step("project folder"):
            self.project = DemoProject.create(self.directory)
        servers = self.directory / SERVERS
        self.postgres = EmbeddedPostgres(servers / "postgres", port=free_port(), archive=True)
        self.valkey = EmbeddedValkey(servers / "valkey", port=free_port())
        ports = Ports(free_port(), self.postgres.port, self.valkey.port)
        with self._step("secrets, in .env at mode 0600"):
            self.project.write_environment(ports, self.now)
        self.environment = self.project.environment()
        with self._step("certificates: a CA and an RSA 4096 pair"):
            self.project.write_certificates(self.now)
        with self._step("git repository"):
            self.project.commit()
        self._start_servers()
        with self._step("single-tenant schema with rows in it"):
            self.project.service.migrate(self.environment)
            self.project.service.seed(self.environment, sample_rows=SAMPLE_ROWS)
        with self._step("tenant migration: 6 tables, row-level security"):
            self._migrate_tenants()
            self.project.service.seed(self.environment)
        with self._step("the service's own tests, on these servers"):
            self.project.run_tests()
        with self._step("a dump, and the log in its archive"):
            self.project.back_up(self.postgres.programs, self.postgres.url_for(DATABASE).reveal())
            self.postgres.archive_now()
        if plant is not None:
            if plant.seed_faults:
                self.project.service.seed({**self.environment, **_planting(plant.seed_faults)})
            plant.before_start(self)
        self._start_service(ports.api, plant)
        if plant is not None:
            plant.after_start(self)

    def _start_servers(self) -> None:
        with self._step("PostgreSQL and Valkey"):
            self._stack.callback(self.postgres.close)
            self.postgres.start()
            self.valkey.password = Secret(self.environment["REDIS_PASSWORD"])
            self._stack.callback(self.valkey.close)
            self.valkey.start()
            provision(
                self.postgres.admin_url,
                owner_password=Secret(self.environment["POSTGRES_OWNER_PASSWORD"]),
                app_password=Secret(self.environment["POSTGRES_PASSWORD"]),
                scratch_password=Secret(self.environment["POSTGRES_SCRATCH_PASSWORD"]),
            )
            self.project.add_to_environment(
                {"POSTGRES_DATA": self.postgres.data, "POSTGRES_PROGRAMS": self.postgres.programs}
            )
            self.environment = self.project.environment()

    def _migrate_tenants(self) -> None:
        from maestro_cli.tenants.runner import apply

        tenancy = self.loaded.settings.tenancy
        if tenancy is None:
            raise MaestroError("the demo's maestro.yaml has no tenancy section")
        apply(self.environment["ADMIN_DATABASE_URL"], tenancy, contract=True)

    def _start_service(self, port: int, plant: Plant | None) -> None:
        certs = self.directory / "certs"
        with self._step(f"the service, https://localhost:{port}"):
            self.service: RunningService = self.project.service.start(
                {**self.environment, **(plant.environment if plant is not None else {})},
                cert=certs / "fullchain.pem",
                key=certs / "key.pem",
                port=port,
                faults=plant.service_faults if plant is not None else (),
            )
            self._stack.callback(self.service.stop)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.say(f"  {what} ({time.perf_counter() - started:.1f} s)")
