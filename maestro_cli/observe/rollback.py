"""The application's migrations, up, down and up again, in a scratch database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from maestro_cli.observe.application import run_application
from maestro_cli.observe.database import libpq_arguments
from maestro_cli.observe.migrations import alembic_ini
from maestro_cli.observe.schema_print import schema_print
from maestro_cli.observe.scratch_database import Scratch
from maestro_cli.observe.variables import variables

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

TIMEOUT_S = 50.0
_POSTGRESQL = ("postgresql", "postgres")


@dataclass
class Rehearsal:
    """What was seen.

    Attributes:
        heads: Of the scripts; nothing is tried unless there is one.
        unread: The kind of the error where Alembic cannot read the scripts.
        revision: The head.
        states: Step (`empty`, `before`, `head`, `down`, `base`, `again`) → the schema after it.
        failed: The step that failed, and the kind of its error; None where none did.
        wrong: Whether the scripts wanted to work in another database. Nothing was sent to it.
        foreign: Whether they worked somewhere else than in the scratch database, as far as it is seen.
        lost: Why there was not another outcome where the process did not end by itself.
    """

    heads: tuple[str, ...] = ()
    unread: str | None = None
    revision: str = ""
    states: dict[str, frozenset[str]] = field(default_factory=dict)
    failed: tuple[str, str] | None = None
    wrong: bool = False
    foreign: bool = False
    lost: str | None = None


def rehearse(ctx: Context, scratch: Scratch, *, to: str) -> Rehearsal:
    """Run them.

    Raises:
        NotConfigured: Without database.alembic_ini.
        FileNotFoundError: When there is no such file.
        ApplicationError: When no process could be started.
    """
    seen = Rehearsal()
    version_table = ""

    def look(outcome: Mapping[str, Any]) -> None:
        nonlocal version_table
        if not seen.heads and seen.unread is None:
            if "error" in outcome:
                seen.unread = str(outcome["error"])
                return
            seen.heads, version_table = tuple(outcome["heads"]), outcome["version_table"]
            seen.states["empty"] = schema_print(scratch, without=version_table)
            return
        seen.revision = str(outcome.get("revision", ""))
        if "error" in outcome:
            seen.failed = (str(outcome.get("step", "start")), str(outcome["error"]))
            seen.wrong = bool(outcome.get("wrong"))
            return
        seen.states[str(outcome["step"])] = schema_print(scratch, without=version_table)
        seen.foreign = seen.foreign or not outcome["seen"]

    outcomes = run_application(
        ctx,
        "rehearse",
        alembic_ini(ctx),
        timeout_s=TIMEOUT_S,
        environment=environment_for(ctx, scratch, to),
        on_outcome=look,
    )
    seen.lost = outcomes[1]
    return seen


def environment_for(ctx: Context, scratch: Scratch, to: str) -> dict[str, str]:
    """The service's variables, with every way to its database leading to the scratch database.

    URLs keep their driver. Where an address is put together from parts (POSTGRES_HOST, POSTGRES_DB, …), those that are
    equal to a part of a configured URL are replaced, passwords above all: with the wrong one nothing is reached.
    """
    database = ctx.require(ctx.settings.database, "database")
    own = [libpq_arguments(url.reveal()) for url in (database.url, database.admin_url) if url is not None]
    new = scratch.arguments
    values = {name: _led(name, value, own, new, scratch) for name, value in variables(ctx).items()}
    given = (database.admin_url or database.url).reveal() if database.url is not None else ""
    values |= {
        "PGDATABASE": scratch.name,
        "PGHOST": str(new.get("host", "")),
        "PGPORT": str(new.get("port", 5432)),
        "PGUSER": str(new.get("user", "")),
        "PGPASSWORD": str(new.get("password", "")),
        "MAESTRO_SCRATCH_DATABASE": scratch.name,
        "MAESTRO_SCRATCH_URL": _with_scheme(scratch, urlsplit(given).scheme or "postgresql"),
        "MAESTRO_ROLLBACK_TO": to,
    }
    return values


def _led(name: str, value: str, own: Iterable[Mapping[str, Any]], new: Mapping[str, Any], scratch: Scratch) -> str:
    if "://" in value:
        scheme = urlsplit(value).scheme if value.partition("://")[0].replace("+", "").isalnum() else ""
        return _with_scheme(scratch, scheme) if scheme.split("+")[0] in _POSTGRESQL else value
    if "REDIS" in name.upper() or not value:
        return value
    for arguments in own:
        for part in ("password", "dbname", "user", "host", "port"):
            if part in new and str(arguments.get(part, "")) == value:
                return str(new[part])
    return value


def _with_scheme(scratch: Scratch, scheme: str) -> str:
    """The scratch database's URL for a driver; `sslmode` is libpq's word, asyncpg says `ssl`."""
    address = scratch.url.reveal().partition("://")[2]
    if scheme.endswith("asyncpg"):
        address = address.replace("sslmode=", "ssl=")
    return f"{quote(scheme, safe='+')}://{address}"
