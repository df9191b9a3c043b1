"""Whether the clocks agree."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, failed, passed
from maestro_cli.errors import MaestroError

LARGEST_S = 30.0
DATE_STEP_S = 1.0
"""The Date header counts whole seconds."""


@check(
    "health.clock-skew",
    component="infrastructure",
    priority="medium",
    requests=1,
    faults=("clock-api-ahead", "clock-api-behind"),
)
def clock_skew(ctx: Context) -> Finding:
    """The clocks of API, database, Redis and this machine agree.

    Why: tokens begin and end by the clock; where two differ, fresh tokens are refused and ended ones accepted.
    Fails when: the Date header of the API, now() of PostgreSQL or TIME of Redis is more than 30 seconds from this
    machine's clock.
    Fix: run an NTP client (chrony, systemd-timesyncd) on every host.
    Source: RFC 9110 §6.6.1; RFC 7519 §4.1.4; OWASP ASVS 5.0 16.2.2
    """
    evidence, skewed = [], []
    unknown: list[MaestroError] = []
    for name, ask in (("API", _api), ("PostgreSQL", _postgres), ("Redis", _redis)):
        started = time.time()
        try:
            theirs = ask(ctx)
        except NotConfigured:
            continue
        except MaestroError as error:
            unknown.append(error)
            continue
        if theirs is None:
            continue
        ended = time.time()
        step = DATE_STEP_S if name == "API" else 0.0
        skew = theirs - started if theirs + step < started else theirs - ended if theirs > ended else 0.0
        evidence.append(Evidence(f"clock of {name}", f"{skew:+.1f} s", f"within {LARGEST_S:g} s"))
        if abs(skew) > LARGEST_S:
            skewed.append(f"{name} {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}")
    if skewed:
        return failed(f"Clocks differ: {', '.join(skewed)}.", *evidence)
    if unknown:
        raise unknown[0]
    if not evidence:
        raise NotConfigured("api.url, database.url and redis.url are not configured, or none of them tells a time")
    return passed("The clocks agree.", *evidence)


def _api(ctx: Context) -> float | None:
    api = ctx.require(ctx.settings.api, "api")
    value = ctx.http.get(api.health_path).header("date")
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError):
        return None


def _postgres(ctx: Context) -> float:
    rows = ctx.database.query("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(rows[0][0])


def _redis(ctx: Context) -> float | None:
    from redis.exceptions import ResponseError

    try:
        seconds, microseconds = ctx.redis.call("TIME")
    except ResponseError:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).timestamp() + int(microseconds) / 1e6
