"""A dump put back into a scratch database, and what is in it then."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import MaestroError
from maestro_cli.observe.scratch_database import Scratch

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

_OWNERSHIP = re.compile(
    rb"ALTER [^;]* OWNER TO [^;]+;|GRANT [^;]*;|REVOKE [^;]*;|ALTER DEFAULT PRIVILEGES [^;]*;|COMMENT ON EXTENSION [^;]*;"
)
"""Whole lines of an SQL dump that are about roles; pg_restore leaves them out by --no-owner --no-privileges."""
_COPY = re.compile(rb"COPY [^;]* FROM stdin;")
_HARMLESS = re.compile(rb"\\(?:restrict|unrestrict|\.)")
"""The only commands to psql itself that a dump of one database needs; `\\connect` would lead elsewhere."""
_TABLES = """
SELECT n.nspname, c.relname, c.reltuples::float8, s.n_live_tup::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
ORDER BY 1, 2"""


class RestoreError(MaestroError):
    """The restore could not be tried: a program is missing, or the dump is of a kind that is not restored here."""


@dataclass(frozen=True)
class Outcome:
    """What became of a restore.

    Attributes:
        failure: What the program said when it failed; None where it did not.
        seconds: How long it took.
        slow: Whether it was ended because it took too long.
    """

    failure: str | None
    seconds: float
    slow: bool = False


def program(name: str, folder: Path | None) -> str:
    """pg_restore or psql: in the configured folder, or on the path.

    Raises:
        RestoreError: When there is none.
    """
    found = shutil.which(name) if folder is None else shutil.which(name, path=str(folder))
    if found is None:
        where = (
            f"in {folder}" if folder is not None else "on the path; readiness.backups.programs would name its folder"
        )
        raise RestoreError(f"there is no {name} {where}")
    return found


def restore(dump: Path, scratch: Scratch, *, folder: Path | None, within_s: float) -> Outcome:
    """Put a dump into a scratch database; owners, grants, publications and subscriptions are left out.

    Raises:
        RestoreError: When it cannot be tried.
        OSError: When the dump cannot be read.
    """
    with dump.open("rb") as stream:
        head = stream.read(512)
    if head.startswith(b"PGDMP") or head[257:262] == b"ustar":
        options = ["--no-owner", "--no-privileges", "--no-comments", "--no-publications", "--no-subscriptions"]
        options += ["--no-tablespaces", "--exit-on-error"]
        argv = [program("pg_restore", folder), *options, "-d", _conninfo(scratch), str(dump)]
        return _run(argv, scratch, None, within_s)
    if head.startswith(b"\x28\xb5\x2f\xfd") or (b"\0" in head and not head.startswith(b"\x1f\x8b")):
        raise RestoreError(f"{dump.name} is no dump of pg_dump's; what it is cannot be restored here")
    argv = [program("psql", folder), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", _conninfo(scratch)]
    packed = head.startswith(b"\x1f\x8b")
    with closing(gzip.open(dump)) if packed else dump.open("rb") as stream:
        return _run(argv, scratch, _statements(stream), within_s)


def _conninfo(scratch: Scratch) -> str:
    """Everything but the password, which every user of the machine could read on the command line."""
    from psycopg2.extensions import make_dsn

    return str(make_dsn(**{name: value for name, value in scratch.arguments.items() if name != "password"}))


def _run(argv: Sequence[str], scratch: Scratch, statements: Iterable[bytes] | None, within_s: float) -> Outcome:
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environ |= {"PGPASSWORD": str(scratch.arguments.get("password", "")), "PGAPPNAME": "maestro"}
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if statements is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environ,
            start_new_session=True,
        )
        ended = threading.Timer(within_s, process.kill)
        ended.start()
        try:
            if statements is not None and process.stdin is not None:
                with suppress(BrokenPipeError), process.stdin as pipe:
                    for piece in statements:
                        pipe.write(piece)
            process.wait()
        finally:
            process.kill()
            process.wait()
            ended.cancel()
        seconds = time.monotonic() - started
        said.seek(0)
        told = said.read(20_000).decode("utf-8", "replace")
    if process.returncode == 0:
        return Outcome(None, seconds)
    return Outcome(_first_error(told), seconds, slow=seconds >= within_s)


def _first_error(told: str) -> str:
    lines = [line for line in told.splitlines() if "error:" in line.lower()] or told.splitlines() or ["it fails"]
    return re.sub(r"^(?:pg_restore|psql)(?::<stdin>:\d+)?: (?:error: )?(?:ERROR: +)?", "", lines[0]).strip()[:200]


def _statements(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of an SQL dump without what is about roles.

    Raises:
        RestoreError: When it holds a command to psql itself that leads elsewhere.
    """
    copying = False
    for line in stream:
        if copying:
            copying = line.rstrip(b"\r\n") != b"\\."
        elif line.startswith(b"\\") and not _HARMLESS.match(line):
            word = line.split()[0].decode("ascii", "replace")[:20]
            raise RestoreError(
                f"the dump holds {word}, a command to psql itself: of several databases, dump each by itself"
            )
        elif _OWNERSHIP.fullmatch(line.rstrip()):
            continue
        else:
            copying = _COPY.match(line) is not None
        yield line


def live_tables(ctx: Context) -> dict[str, int | None]:
    """The tables of database.url → how many rows each has by the server's statistics; None where they don't tell."""
    rows = ctx.database.query(_TABLES)
    return {f"{schema}.{name}": _estimate(tuples, live) for schema, name, tuples, live in rows}


def _estimate(tuples: float, live: float | None) -> int | None:
    """The smaller one: rows that are loaded and analysed in one session are counted twice as live."""
    told = [int(number) for number in (tuples, live) if number is not None and number > 0]
    return min(told) if told else None


def restored_tables(scratch: Scratch, wanted: Mapping[str, Any]) -> dict[str, int]:
    """The tables that a scratch database holds → their rows, counted past any row-level security: it is our own."""
    from psycopg2 import sql

    found: dict[str, int] = {}
    with closing(scratch.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for schema, name, *_ in cursor.fetchall():
            table = sql.Identifier(schema, name)
            if f"{schema}.{name}" in wanted:
                cursor.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))
                cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
                found[f"{schema}.{name}"] = int(cursor.fetchone()[0])
            else:
                found[f"{schema}.{name}"] = -1
    return found
