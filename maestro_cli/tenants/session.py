"""One PostgreSQL session whose statements can be watched and interrupted while they run.

psycopg2's asynchronous mode with a wait loop of our own: an index build of ten minutes leaves the program free to
report progress from a second session, and Ctrl-C reaches it at once (in blocking mode it waits for the server).
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from maestro_cli.errors import MaestroError, OutOfReach
from maestro_cli.tenants.urls import libpq_url, shown

APPLICATION = "maestro migrate"
CONNECT_S = 10.0
"""How long a server may take to answer at all."""

# A killed client's statement would stay queued, block readers and then commit, unless the server looks at the socket
# while it works: https://www.postgresql.org/docs/current/runtime-config-connection.html (PostgreSQL 14 and later).
_SETUP = (
    "SET client_connection_check_interval = '500ms'",
    "SET lock_timeout = 0",
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET client_min_messages = warning",
    "SET row_security = on",
)


class DatabaseError(MaestroError):
    """The database refused a statement; holds the SQLSTATE.

    Args:
        message: The server's own words.
        sqlstate: Five characters (PostgreSQL manual, appendix A); empty when the connection was lost.
        statement: What was sent.
    """

    def __init__(self, message: str, *, sqlstate: str = "", statement: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate
        self.statement = statement


class Session:
    """A connection in autocommit mode; transactions are written out in the statements.

    Args:
        url: Any PostgreSQL URL.
        schema: What `search_path` starts with.
        application: What `pg_stat_activity` shows.

    Raises:
        OutOfReach: There is no server, or it refuses the login.
    """

    def __init__(self, url: str, *, schema: str = "public", application: str = APPLICATION) -> None:
        import psycopg2

        self._psycopg2 = psycopg2
        self.on_tick: Callable[[], None] | None = None
        self.tick_s = 0.25
        try:
            self._connection = psycopg2.connect(libpq_url(url), async_=True, application_name=application)
            self._wait(give_up_s=CONNECT_S)
        except psycopg2.Error as error:
            said = next(iter(str(error).strip().splitlines()), "no reason given")
            raise OutOfReach(
                f"the database at {shown(url)} can't be reached: {said}",
                hint="Check database.url (or database.admin_url) in maestro.yaml and that the server is up.",
            ) from None
        self.server_version: int = self._connection.server_version
        for statement in _SETUP:
            if self.server_version < 140000 and "client_connection_check_interval" in statement:
                continue
            self.execute(statement)
        self.execute("SELECT set_config('search_path', %s, false)", (f"{_quoted(schema)}, public",))
        self.pid: int = self._connection.get_backend_pid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session; an open transaction is rolled back by the server."""
        with contextlib.suppress(self._psycopg2.Error):
            self._connection.close()

    @property
    def alive(self) -> bool:
        """Whether the connection still stands."""
        return not self._connection.closed

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement (or several in one message) and return the rows of the last one.

        Raises:
            DatabaseError: The server refused it.
        """
        return self._run(sql, parameters)[0]

    def affected(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> int:
        """Run a statement and return how many rows it touched."""
        return self._run(sql, parameters)[1]

    def _run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None) -> tuple[list[tuple[Any, ...]], int]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                self._wait()
                rows = cursor.fetchall() if cursor.description else []
                return rows, cursor.rowcount
        except self._psycopg2.Error as error:
            raise self._translated(error, sql) from None

    def rollback(self) -> None:
        """End an aborted transaction, if there is one."""
        if self.alive:
            with contextlib.suppress(DatabaseError):
                self.execute("ROLLBACK")

    def interrupt(self) -> None:
        """Ask the server to stop the statement that is running; it then fails with 57014 (query_canceled)."""
        with contextlib.suppress(self._psycopg2.Error):
            self._connection.cancel()

    def cancel(self) -> None:
        """Stop the statement that is running and swallow its answer."""
        with contextlib.suppress(self._psycopg2.Error):
            self._connection.cancel()
            self.on_tick = None
            self._wait()

    def _wait(self, *, give_up_s: float | None = None) -> None:
        try:
            self._poll(give_up_s)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _poll(self, give_up_s: float | None) -> None:
        connection, extensions = self._connection, self._psycopg2.extensions
        idle_s = 0.0
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            reading = [connection] if state == extensions.POLL_READ else []
            writing = [connection] if state == extensions.POLL_WRITE else []
            if any(select.select(reading, writing, [], self.tick_s)):
                continue
            idle_s += self.tick_s
            if give_up_s is not None and idle_s >= give_up_s:
                # libpq's own connect_timeout does not hold for asynchronous connections.
                raise self._psycopg2.OperationalError(f"no answer within {give_up_s:.0f} s")
            if self.on_tick is not None:
                self.on_tick()

    def _translated(self, error: Any, sql: str) -> DatabaseError:
        lines = [line for line in str(error).strip().splitlines() if line.strip()] or [repr(error)]
        message = lines[0].removeprefix("ERROR:").strip()
        detail = next((line for line in lines[1:] if line.startswith("DETAIL:")), None)
        if detail is not None:
            message = f"{message} ({detail.removeprefix('DETAIL:').strip()})"
        return DatabaseError(message, sqlstate=error.pgcode or "", statement=sql)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
