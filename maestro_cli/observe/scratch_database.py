"""A database that is made for a rehearsal and dropped again. No database that was there before is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from maestro_cli.errors import MaestroError
from maestro_cli.observe.database import connect, libpq_arguments
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

NAME = "the scratch PostgreSQL"
STATEMENT_MS = 60_000
DROPS = 3
"""How often a database is tried to be dropped while somebody is in it."""
ROLE = "CREATE ROLE maestro_scratch LOGIN CREATEDB PASSWORD '…'"
_ROLE = """
SELECT rolsuper, rolcreatedb, rolcreaterole OR rolreplication OR rolbypassrls,
       (SELECT system_identifier FROM pg_control_system()), current_setting('server_version_num')::int
FROM pg_roles WHERE rolname = current_user"""


class ScratchError(MaestroError):
    """No scratch database could be made, and why."""


@dataclass(frozen=True)
class Scratch:
    """A database of our own.

    Attributes:
        name: Its name, `maestro_scratch_…`.
        url: Its URL, as a libpq URL.
    """

    name: str
    url: Secret

    @property
    def arguments(self) -> dict[str, Any]:
        """Its URL as libpq's keywords."""
        return libpq_arguments(self.url.reveal())

    def connect(self) -> Any:
        """A psycopg2 connection that commits each statement."""
        connection = connect(self.url, NAME)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_MS}")
        return connection


def scratch_url(ctx: Context) -> Secret:
    """database.scratch_url.

    Raises:
        NotConfigured: Where it is absent or empty.
    """
    database = ctx.require(ctx.settings.database, "database")
    url = database.scratch_url
    return ctx.require(url if url is not None and url.reveal() else None, "database.scratch_url")


@contextmanager
def scratch_database(ctx: Context, purpose: str) -> Iterator[Scratch]:
    """Make an empty database and drop it at the end; where the run ends first, it is dropped then.

    Args:
        ctx: The run.
        purpose: One word that tells this run's scratch databases from each other.

    Raises:
        NotConfigured: Without database.scratch_url.
        ScratchError: When its role may make none, or may do more than that on the service's own server.
        Unreachable: When its server is.
    """
    url = scratch_url(ctx)
    name = f"maestro_scratch_{purpose}_{ctx.nonce}"
    arguments = libpq_arguments(url.reveal())
    drop = ctx.cleanup.add(f"database {name}", lambda: _drop(url, name))
    try:
        with closing(connect(url, NAME)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                _judge_role(ctx, cursor, str(arguments.get("user", "")))
                cursor.execute(f"SET statement_timeout = {STATEMENT_MS}")
                # Templates of the site may hold anything; template0 holds nothing.
                cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield Scratch(name, _url_of({**arguments, "dbname": name}))
    finally:
        drop()


def _judge_role(ctx: Context, cursor: Any, role: str) -> None:
    cursor.execute(_ROLE)
    superuser, may_create, more, identifier, version = cursor.fetchone()
    if not (superuser or may_create):
        raise ScratchError(
            f"the role {role} of database.scratch_url may not create databases", hint=f"Make one: {ROLE}"
        )
    if version < 130_000:
        raise ScratchError("database.scratch_url needs PostgreSQL 13 or newer")
    # What a dump or a migration says is run as this role: on the service's own server it must not reach anything else.
    if (superuser or more) and identifier == _own_identifier(ctx):
        raise ScratchError(
            f"the role {role} of database.scratch_url may do more than create databases on the service's own server",
            hint=f"Make another one: {ROLE}",
        )


def _own_identifier(ctx: Context) -> int:
    (identifier,) = ctx.database.query("SELECT system_identifier FROM pg_control_system()")[0]
    return int(identifier)


def _drop(url: Secret, name: str) -> None:
    with closing(connect(url, NAME)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_MS}")
            for _ in range(DROPS - 1):
                if _dropped(cursor, name):
                    return
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _dropped(cursor: Any, name: str) -> bool:
    """End what its sessions are doing; the server's own, autovacuum's, belong to a superuser and may not be ended by hand."""
    from psycopg2 import errors

    try:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    except errors.InsufficientPrivilege:
        try:
            cursor.execute(
                f'DROP DATABASE IF EXISTS "{name}"'
            )  # this one asks autovacuum to go, and waits for it for 5 s
        except errors.ObjectInUse:
            return False
    return True


def _url_of(arguments: dict[str, Any]) -> Secret:
    rest = dict(arguments)
    login = quote(str(rest.pop("user", "")), safe="")
    password = rest.pop("password", None)
    if password is not None:
        login += f":{quote(str(password), safe='')}"
    host, port, name = rest.pop("host", None), rest.pop("port", None), quote(str(rest.pop("dbname")), safe="")
    if host and (":" in str(host) or "/" in str(host)):
        host = f"[{host}]" if "/" not in str(host) else quote(str(host), safe="")
    where = f"{login}@{host or ''}{f':{port}' if port else ''}"
    options = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return Secret(f"postgresql://{where}/{name}{options}")
