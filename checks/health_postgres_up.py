"""Is there a PostgreSQL, and does it take sessions?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.database import libpq_arguments
from maestro_cli.observe.postgres_protocol import greet, postgresql_target

_REFUSALS = {
    "57P03": "it is starting up, shutting down or recovering",
    "53300": "it has no connection left",
    "57P01": "it is shutting down",
    "53200": "it is out of memory",
}


@check(
    "health.postgres-up",
    component="infrastructure",
    priority="critical",
    faults=("postgres-port-taken", "postgres-starting-up"),
)
def postgres_up(ctx: Context) -> Finding:
    """PostgreSQL is up.

    Why: a container that is listed as running may hold a server that is still recovering, or no server at all; only its
    own protocol tells.
    Fails when: what answers at the address of database.url is not PostgreSQL, or refuses every session before it asks
    for a login (starting up, shutting down, no connection left).
    Fix: look at the server's log; start it, or correct the host and port in database.url.
    Source: PostgreSQL manual, Frontend/Backend Protocol, Message Flow; pg_isready
    """
    target = postgresql_target(ctx)
    database = ctx.require(ctx.settings.database, "database")
    arguments = libpq_arguments(ctx.require(database.url, "database.url").reveal())
    user = str(arguments.get("user") or "postgres")
    heard = greet(target, user, str(arguments.get("dbname") or user))
    address = Evidence("address", str(target))
    if not heard.speaks_postgresql:
        first = heard.heard.decode("ascii", "replace").strip() or "nothing, and closed the connection"
        return failed(
            f"Something that is not PostgreSQL answers at {target}.", address, Evidence("answer", first, "S or N")
        )
    if heard.sqlstate in _REFUSALS:
        return failed(
            f"PostgreSQL at {target} refuses sessions: {_REFUSALS[heard.sqlstate]}.",
            address,
            Evidence("SQLSTATE", heard.sqlstate, "a request to log in"),
        )
    return passed(
        f"PostgreSQL at {target} asks for a login.", address, Evidence("TLS offered", "yes" if heard.tls else "no")
    )
