"""Whether the database insists on TLS."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, Unreachable, check, errored, failed, passed, skipped
from maestro_cli.observe.database import connect, libpq_arguments
from maestro_cli.observe.loopback import is_loopback


@check(
    "security.postgres-tls",
    component="security",
    priority="high",
    faults=("postgres-plain-taken", "postgres-without-tls"),
)
def postgres_tls(ctx: Context) -> Finding:
    """PostgreSQL refuses connections without TLS.

    Why: between two machines every query, every row and the login itself can be read and changed on the way.
    Fails when: the host of database.url is not this machine and takes a connection with sslmode=disable.
    Fix: `hostssl` instead of `host` in pg_hba.conf, and `ssl = on`; `sslmode=verify-full` in database.url.
    Source: CIS PostgreSQL Benchmark 6.8; PostgreSQL manual, Secure TCP/IP Connections with SSL
    """
    database = ctx.require(ctx.settings.database, "database")
    url = ctx.require(database.url, "database.url")
    address = ctx.database.address  # the control: it can be reached at all
    host = str(libpq_arguments(url.reveal()).get("host") or "")
    if not host or host.startswith("/") or is_loopback(host):
        return skipped(f"PostgreSQL is on this machine ({address}): nothing is sent over a network")
    try:
        connect(url, sslmode="disable").close()
    except Unreachable as error:
        if any(
            word in error.reason for word in ("no encryption", "SSL off", "requires SSL", "SSL required", "sslmode")
        ):
            return passed(
                f"PostgreSQL at {address} refuses connections without TLS.",
                Evidence("sslmode=disable", "refused: no encryption", "refused"),
            )
        return errored(f"A connection without TLS fails for another reason: {error.reason}.")
    return failed(
        f"PostgreSQL at {address} takes connections without TLS.", Evidence("sslmode=disable", "taken", "refused")
    )
