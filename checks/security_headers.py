"""Security headers, on good answers and on bad ones."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.answers import ANSWER_REQUESTS, answers
from maestro_cli.observe.header_rules import problems_of

OTHERS = {201, 202, 403, 409, 410, 415, 422}
"""What else the application says by itself, looked at where another probe has come by it; a proxy's own answers are not."""


@check(
    "security.headers",
    component="security",
    priority="medium",
    last=True,
    requests=ANSWER_REQUESTS,
    deadline_s=20,
    faults=(
        "header-missing-hsts",
        "header-short-hsts",
        "header-missing-nosniff",
        "header-missing-csp",
        "header-weak-csp",
        "header-missing-frame-options",
        "headers-missing-on-401",
        "headers-missing-on-404",
        "headers-missing-on-400",
        "headers-missing-on-201",
    ),
)
def headers(ctx: Context) -> Finding:
    """Every answer carries the security headers, errors included.

    Why: browsers are safe only when told so; middlewares that add headers often skip the answers that exceptions make.
    Fails when: on a good answer, a 401, a 404, a 405, a 400 or 422, a 500, or a 201, 403, 409 or 415 that
    another probe was given, the Strict-Transport-Security (six months, over HTTPS),
    X-Content-Type-Options, X-Frame-Options (or frame-ancestors) or Content-Security-Policy is missing or weak, or the
    Referrer-Policy is unsafe. A missing Referrer-Policy, or no Cache-Control on what a token opens, is a warning.
    Fix: add them in the outermost middleware or in the proxy, so that no answer passes by.
    Source: MDN HTTP Observatory; OWASP ASVS 5.0 3.4.1, 3.4.3 to 3.4.6; OWASP REST Security Cheat Sheet
    """
    evidence, wrong, weak = [], [], []
    https = ctx.http.base.startswith("https:")
    asked = answers(ctx)
    known = {answer.status for _, answer in asked}
    others = [row for status, row in sorted(ctx.http.seen.items()) if status in OTHERS - known]
    for name, answer in [*asked, *others]:
        problems = problems_of(answer, https=https, private=name.endswith("with a token"))
        wrong += [f"{problem.text} on {answer.status}" for problem in problems if problem.fails]
        weak += [f"{problem.text} on {answer.status}" for problem in problems if not problem.fails]
        observed = "; ".join(problem.text for problem in problems) or "complete"
        evidence.append(Evidence(f"{name} ({answer.status})", observed, "complete"))
    if wrong:
        return failed(f"Security headers fall short: {_some(wrong)}.", *evidence)
    if weak:
        return warned(f"Security headers could be stricter: {_some(weak)}.", *evidence)
    return passed(f"All {len(evidence)} answers carry the security headers.", *evidence)


def _some(items: list[str]) -> str:
    different = list(dict.fromkeys(items))
    more = f" and {len(different) - 4} more" if len(different) > 4 else ""
    return ", ".join(different[:4]) + more
