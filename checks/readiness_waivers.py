"""Are the waivers still in date?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned

NOTICE_DAYS = 14


@check(
    "readiness.waivers",
    component="configuration",
    priority="high",
    faults=("waiver-expired", "waiver-expired-among-others"),
)
def waivers(ctx: Context) -> Finding:
    """Every waiver is in date.

    Why: a waiver is a promise with a date; one that has passed is a risk that nobody answers for any more.
    Fails when: a waiver's `expires` has passed (the last day it holds, in UTC). It warns from 14 days before that day on.
    Fix: mend what it covers and remove it, or have its owner decide anew and set a new date.
    Source: NIST SP 800-37 rev. 2, task R-4 (risk acceptance is for a stated time)
    """
    rows = ctx.settings.waivers
    if not rows and "waivers" in ctx.loaded.lines:
        return passed("No waiver is in use.", Evidence("waivers", "none"))
    ctx.require(rows, "waivers")
    today = ctx.now.date()
    seen = [
        Evidence(row.check, f"until {row.expires}, {row.owner}", f"{today} or later")
        for row in sorted(rows, key=lambda row: row.expires)
    ]
    past = [row for row in rows if row.expires < today]
    soon = [row for row in rows if row not in past and (row.expires - today).days <= NOTICE_DAYS]
    if past:
        names = ", ".join(f"{row.check} (owner {row.owner})" for row in past)
        ending = "its date and waives" if len(past) == 1 else "their dates and waive"
        return failed(f"{_count(len(past))} past {ending} nothing: {names}.", *seen)
    if soon:
        names = ", ".join(f"{row.check} on {row.expires} (owner {row.owner})" for row in soon)
        return warned(f"{_count(len(soon))} about to expire: {names}.", *seen)
    return passed(f"{_count(len(rows))} in date.", *seen)


def _count(number: int) -> str:
    return "1 waiver is" if number == 1 else f"{number} waivers are"
