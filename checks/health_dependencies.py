"""Does the health report look at the database, or does it only say so?"""

from __future__ import annotations

import re
from datetime import datetime

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, skipped
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.health_report import words

SAMPLES = 3
_DATABASE = re.compile(r"postgres|database|\bdb\b|sql", re.IGNORECASE)

# Sessions of the service: its role's, without our own. A service that connects anew each time shows in the count.
_ACTIVITY = """
SELECT max(query_start), (SELECT sessions FROM pg_stat_database WHERE datname = current_database())
FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND backend_type = 'client backend'
  AND application_name NOT LIKE 'maestro%'"""


@check(
    "health.dependencies",
    component="infrastructure",
    priority="medium",
    # Not a burst, but it has to be alone: the requests of other checks would move the database as well.
    bursts=True,
    requests=SAMPLES + sessions.LOGIN_REQUESTS + 1,
    faults=("health-lies", "health-remembered"),
)
def dependencies(ctx: Context) -> Finding:
    """The health report looks at the database.

    Why: a report that says `database: ok` without asking keeps sending users to a service that cannot work.
    Fails when: api.health_path says that the database is well, and none of the service's database sessions has done
    anything in three such answers, while a request to api.auth.protected is seen to move one.
    Fix: run a statement (`SELECT 1`) in the health endpoint, with a short timeout; do not cache the answer for long.
    Source: Google SRE Book, Monitoring Distributed Systems (black-box monitoring); PostgreSQL manual, pg_stat_activity
    """
    api = ctx.require(ctx.settings.api, "api")
    auth = logins.settings_of(ctx)
    ctx.require(auth.protected, "api.auth.protected")
    ctx.require(ctx.settings.database, "database")
    path = api.health_path
    said = [name for name, _, kind in words(ctx.http.get(path).json()) if kind == "well" and _DATABASE.search(name)]
    if not said:
        return skipped(f"GET {path} says nothing of a database, so there is nothing to compare")
    before = _activity(ctx)
    for _ in range(SAMPLES - 1):
        ctx.http.get(path)
    asked = _activity(ctx)
    claim = Evidence(f"GET {path}", f"says that {', '.join(said)} is well", "")
    if asked != before:
        return passed("The health report asks the database.", claim, Evidence("database sessions", "asked", "asked"))
    sessions.protected(ctx, sessions.for_account(ctx).headers)
    if _activity(ctx) == asked:
        return errored("The service's database sessions cannot be seen at work, so nothing can be compared.", claim)
    return failed(
        f"GET {path} says that {', '.join(said)} is well without asking.",
        claim,
        Evidence("database sessions", "untouched by it, moved by a request to api.auth.protected", "asked"),
    )


def _activity(ctx: Context) -> tuple[datetime | None, int]:
    latest, count = ctx.database.query(_ACTIVITY)[0]
    return latest, int(count or 0)
