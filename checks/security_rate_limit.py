"""Does a client that asks too much run into the limit: at the limit, not before, and is it told when to come back?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, combine, errored, failed, passed, warned
from maestro_cli.observe.burst import BEYOND, MAXIMUM_BURST, Burst, burst, send_burst
from maestro_cli.observe.header_rules import problems_of
from maestro_cli.observe.patience import retry_after
from maestro_cli.observe.session import LOGIN_REQUESTS


@check(
    "security.rate-limit",
    component="security",
    priority="high",
    bursts=True,
    requests=5 * (MAXIMUM_BURST + BEYOND) + 2 + LOGIN_REQUESTS,
    deadline_s=30,
    faults=("rate-limit-off", "rate-limit-high", "rate-limit-low", "rate-limit-no-retry-after"),
)
def rate_limit(ctx: Context) -> Finding:
    """The rate limit holds.

    Why: without one, passwords are guessed and the service is exhausted at the speed of the network; a limit that bites
    too early turns users away.
    Fails when: of api.rate_limit.requests + 5 requests (logins of nobody's, where the path is api.auth.login's; with a
    token, where the path needs one) none is answered 429, the first 429 comes before the limit or after
    limit + 1, or it has no Retry-After that can be read. A 429 that says to come back at once and refuses
    then, or is without the security headers that other answers carry, is a warning.
    Fix: set the limit of the gateway or middleware to what maestro.yaml says, and answer 429 with Retry-After.
    Source: OWASP API4:2023; RFC 6585 §4; RFC 9110 §10.2.3
    """
    first = burst(ctx)
    status = first.answers[0].status
    # A login of nobody's is refused, and counted all the same.
    strange = status in (404, 405) or status >= 500 if first.asking.login else status >= 400
    if strange and first.limited_at is None:
        return errored(f"{first.asking} is answered {status}, so no limit can be seen.")
    found = _settled(ctx, first)
    limit, window = found.limit.requests, found.limit.window_seconds
    if found.elapsed_s > window / 2 and found.limited_at != limit + 1:
        return errored(
            f"{len(found.answers)} requests took {found.elapsed_s:.0f} s, too long for a window of {window:g} s."
        )
    expected = f"429 at request {limit + 1}"
    if found.limited_at is None:
        other = _otherwise(found)
        seen = Evidence(
            f"{found.before + len(found.answers)} requests to {found.asking.path}", f"no 429{other}", expected
        )
        return failed(
            f"There is no limit in {found.before + len(found.answers)} requests to {found.asking.path}{other}.", seen
        )
    seen = Evidence(f"requests to {found.asking.path}", f"429 at request {found.limited_at}", expected)
    if found.limited_at != limit + 1:
        when = "already" if found.limited_at <= limit else "only"
        return failed(f"The limit of {limit} refuses {when} request {found.limited_at}.", seen)
    return combine(
        (passed(f"Request {limit + 1} of a window is answered 429.", seen), _told(ctx, found), *_bare(ctx, found))
    )


def _otherwise(found: Burst) -> str:
    """What the burst ended with, where that is another refusal than it began with: a lock or a breakdown, but no 429."""
    statuses = [answer.status for answer in found.answers]
    last = statuses[-1]
    if last < 400 or last == statuses[0]:
        return ""
    since = len(statuses) - next(count for count, status in enumerate(reversed(statuses)) if status != last)
    return f"; from request {found.before + since + 1} on they are answered {last}"


def _bare(ctx: Context, found: Burst) -> list[Finding]:
    """Security headers that the other answers carry and the 429 does not: a limit often stands in front of what adds them."""
    usual_status = found.answers[0].status  # a login of nobody's is refused, in all its headers
    if found.refusal is None or usual_status == 429 or usual_status >= 500:
        return []
    https = ctx.http.base.startswith("https:")
    usual, lost = (
        [problem.text for problem in problems_of(answer, https=https, private=False) if problem.fails]
        for answer in (found.answers[0], found.refusal)
    )
    only = [text for text in lost if text not in usual]
    if not only:
        return []
    seen = Evidence("security headers of the 429", "; ".join(only), "as of other answers")
    return [warned("The 429 carries fewer security headers than other answers.", seen)]


def _told(ctx: Context, found: Burst) -> Finding:
    value = found.refusal.header("retry-after") if found.refusal is not None else None
    seen = Evidence("Retry-After of the 429", value or "none", "seconds or a date")
    if value is None or retry_after(value, default_s=-1) < 0:
        return failed("The 429 does not say when to come back.", seen)
    if retry_after(value, default_s=-1) == 0 and found.asking.send(ctx, found.source).status == 429:
        return warned("The 429 says to come back at once, and who does is refused again.", seen)
    return passed("The 429 says when to come back.", seen)


def _settled(ctx: Context, first: Burst) -> Burst:
    """The burst that is judged: a first one that is off by chance is repeated.

    A window that ends in the middle of a burst lets more through; one that other clients of this address have used lets
    fewer through. What comes out the same twice is no chance.
    """
    limit = first.limit
    if first.limited_at == limit.requests + 1:
        return first
    if first.limited_at is None:
        return first
    source = ctx.http.another_source(7_778)
    if source is not None:
        second = send_burst(ctx, first.asking, limit, source)
        if second.limited_at in {first.limited_at, limit.requests + 1}:
            return second
        first = second
    refusal = first.refusal
    told = refusal.header("retry-after") if refusal is not None else None
    wait_s = retry_after(told, default_s=limit.window_seconds)
    if first.asking.headers:
        # Counted by account, whatever the address: other probes have used it, and a sliding window forgets one by one.
        wait_s = max(wait_s, limit.window_seconds)
    ctx.patience.wait(wait_s)
    return send_burst(ctx, first.asking, limit, source)
