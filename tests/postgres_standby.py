"""A streaming standby of an embedded PostgreSQL, made by `pg_basebackup`."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg2

from maestro_cli.demo.embedded import bare_environment
from maestro_cli.demo.servers import EmbeddedPostgres

NAME = "standby_one"


class Standby(EmbeddedPostgres):
    """Follows `primary`, which has to let `replication` connections of its superuser in (the embedded server does)."""

    name = "the standby"

    def __init__(self, directory: Path, primary: EmbeddedPostgres) -> None:
        super().__init__(directory, settings={"hot_standby": "on"})
        self._primary = primary
        self.password = primary.password

    def _initdb(self, data: Path) -> None:
        identity: dict[str, Any] = {}
        if self._user is not None:
            shutil.chown(data.parent, *self._user)
            identity = {"user": self._user[0], "group": self._user[1], "extra_groups": []}
        primary = self._primary
        source = f"host={primary.host} port={primary.port} user=postgres application_name={NAME}"
        subprocess.run(
            [primary.programs / "pg_basebackup", "-D", data, "-d", source, "-R", "--checkpoint=fast", "-X", "stream"],
            env={**bare_environment(data), "PGPASSWORD": primary.password.reveal()},
            cwd=data.parent,
            capture_output=True,
            check=True,
            timeout=60,
            **identity,
        )

    def follows(self) -> None:
        """Return when it streams."""
        connection = psycopg2.connect(self._primary.admin_url.reveal())
        connection.autocommit = True
        query = "SELECT count(*) FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        end = time.monotonic() + 30
        with connection.cursor() as cursor:
            cursor.execute(query, (NAME,))
            while cursor.fetchone() != (1,):
                assert time.monotonic() < end, "the standby does not stream"
                time.sleep(0.05)
                cursor.execute(query, (NAME,))
        connection.close()
