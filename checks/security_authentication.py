"""Whether the API asks for a token at all."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe.control import CONTROL_REQUESTS, outcome, protected_answers
from maestro_cli.observe.not_found import MISSING_REQUESTS, missing_answer


@check(
    "security.authentication",
    component="security",
    priority="critical",
    requests=CONTROL_REQUESTS + MISSING_REQUESTS,
    faults=("anonymous-accepted", "garbage-token-accepted"),
)
def authentication(ctx: Context) -> Finding:
    """The protected path is closed without a valid token.

    Why: one route without its guard, after a refactoring say, opens what all others protect.
    Fails when: api.auth.protected is answered 2xx without a token, or with a token that is none.
    Fix: guard by default (a router-wide dependency, a middleware) and open single routes, not the other way round.
    Source: OWASP ASVS 5.0 8.3.1; OWASP API2:2023
    """
    answers = protected_answers(ctx)
    auth, valid = answers.session.auth, answers.valid
    path = auth.protected
    if outcome(auth, valid) != "accepted":
        raise ControlFailed(f"GET {path} with the token of a successful login is answered {valid.status}")
    evidence = [Evidence(f"control: GET {path} with a valid token", str(valid.status), "2xx")]
    rows = (("without a token", answers.missing), ("with a token that is none", answers.garbage))
    evidence += [Evidence(f"GET {path} {name}", str(answer.status), "401") for name, answer in rows]
    opened = [name for name, answer in rows if outcome(auth, answer) == "accepted"]
    if opened:
        # A service that says yes to everything proves nothing about this path.
        evidence.append(Evidence("control: a path that does not exist", str(missing_answer(ctx).status), "404"))
        return failed(f"GET {path} is answered {' and '.join(opened)}.", *evidence)
    crashed = [f"{name} ({answer.status})" for name, answer in rows if answer.status >= 500]
    if crashed:
        return failed(f"GET {path} fails {' and '.join(crashed)} instead of refusing.", *evidence)
    return passed(f"GET {path} is refused without a valid token.", *evidence)
