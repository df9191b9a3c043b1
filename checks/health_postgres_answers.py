"""Does PostgreSQL answer the application's own role, quickly and writably, and is its version still supported?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.timing import median_ms

END_OF_LIFE = {
    11: date(2023, 11, 9),
    12: date(2024, 11, 21),
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
"""Final releases, from https://www.postgresql.org/support/versioning/."""
_NOTICE_DAYS = 90


@check(
    "health.postgres-answers",
    component="infrastructure",
    priority="critical",
    faults=("postgres-slow", "postgres-read-only", "postgres-end-of-life"),
)
def postgres_answers(ctx: Context) -> Iterator[Finding]:
    """PostgreSQL answers.

    Why: an open port says nothing of logins, of latency, or of a standby that takes no writes.
    Fails when: the median round trip of the application's role is above database.max_latency_ms, the server is a standby
    or read-only, or its major version gets no more fixes.
    Fix: look at the server's load and at the network between; point database.url at the primary; upgrade the server.
    Source: PostgreSQL manual, Versioning Policy (https://www.postgresql.org/support/versioning/)
    """
    budget = ctx.require(ctx.settings.database, "database").max_latency_ms
    with ctx.database.transaction() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,"
            " pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"
        )
        version, major, standby, read_only = cursor.fetchone()
        taken = median_ms(lambda: _ask(cursor))
    latency = Evidence("median round trip", f"{taken:.1f} ms", f"at most {budget:g} ms")
    where = ctx.database.address
    if taken > budget:
        yield failed(f"PostgreSQL at {where} takes {taken:.0f} ms for a round trip; at most {budget:g} ms.", latency)
    else:
        yield passed(f"PostgreSQL {version} at {where} answers in {taken:.1f} ms.", latency)
    if standby or read_only:
        what = "a standby" if standby else "set to read-only transactions"
        yield failed(
            f"PostgreSQL at {where} is {what}, so the service can write nothing.",
            Evidence("writable", f"no: {what}", "yes"),
        )
    yield _supported(str(version), int(major), ctx.now.date())


def _ask(cursor: Any) -> None:
    cursor.execute("SELECT 1")
    cursor.fetchone()


def _supported(version: str, major: int, today: date) -> Finding:
    last = END_OF_LIFE.get(major)
    if last is None and major < min(END_OF_LIFE):
        last = END_OF_LIFE[min(END_OF_LIFE)]
    seen = Evidence("server version", version, f"fixes until {last}" if last else "a supported major version")
    if last is not None and today > last:
        return failed(f"PostgreSQL {version} has had no fixes since {last}.", seen)
    if last is not None and (last - today).days < _NOTICE_DAYS:
        return warned(f"PostgreSQL {version} gets its last fixes on {last}.", seen)
    return passed(f"PostgreSQL {version} is supported.", seen)
