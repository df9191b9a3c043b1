"""The control of the token probes, and what an answer to a bad token means.

A probe that is refused proves nothing by itself: the service may refuse everybody, or not look at tokens at all. So
first a valid token must be accepted and a missing one refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from maestro_cli.errors import NotConfigured
from maestro_cli.model import Evidence
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe import tokens
from maestro_cli.observe.endpoint import words_of
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Auth
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session
    from maestro_cli.observe.tokens import Jwt

CONTROL_REQUESTS = sessions.LOGIN_REQUESTS + 4
"""Login and log-out; a request with a valid token, one without a token, one with a token that is none; one without after all."""
FORGED_REQUESTS = CONTROL_REQUESTS + 1
SIGNED_REQUESTS = CONTROL_REQUESTS + 1
"""The same, and a token forged with the right key."""
Outcome = Literal["accepted", "refused", "crashed", "unclear"]


@record(frozen=True)
class Control:
    """A session whose token is seen to open api.auth.protected, which is closed without it."""

    session: Session
    valid: Answer
    missing: Answer

    @property
    def evidence(self) -> Evidence:
        """Both halves of the control."""
        return Evidence(
            f"control: GET {self.session.auth.protected}",
            f"{self.valid.status} with a valid token, {self.missing.status} without one",
            "2xx and 401",
        )


@record(frozen=True)
class Trial:
    """One bad token: what is wrong with it, and the token."""

    name: str
    token: str


@record(frozen=True)
class ProtectedAnswers:
    """What api.auth.protected answers: with a valid token, without one, and with one that is none."""

    session: Session
    valid: Answer
    missing: Answer
    garbage: Answer


def protected_answers(ctx: Context) -> ProtectedAnswers:
    """The three answers, asked for once per run; nothing is judged yet."""
    return ctx.shared("protected-answers", lambda: _protected_answers(ctx))


def _protected_answers(ctx: Context) -> ProtectedAnswers:
    ctx.require(logins.settings_of(ctx).protected, "api.auth.protected")
    session = sessions.for_account(ctx, 0)
    return ProtectedAnswers(
        session,
        valid=sessions.protected(ctx, session.headers),
        missing=sessions.protected(ctx, {}),
        garbage=sessions.protected(ctx, session.headers_with(f"maestro-{ctx.nonce}")),
    )


def control(ctx: Context) -> Control:
    """The run's control, made once.

    Raises:
        NotConfigured: Without a login, an account or api.auth.protected.
        ControlFailed: When a valid token is refused or a missing one accepted.
    """
    return ctx.shared("token-control", lambda: _control(ctx))


def _control(ctx: Context) -> Control:
    answers = protected_answers(ctx)
    session, valid, missing = answers.session, answers.valid, answers.missing
    auth, path = session.auth, session.auth.protected
    if outcome(auth, valid) != "accepted":
        whose = "a successful login" if auth.login is not None else session.account.username
        raise ControlFailed(
            f"GET {path} with the token of {whose} is answered {valid.status}, so a refusal would prove nothing"
            f"{words_of(ctx, valid)}",
            hint="Name a GET path that this account may read: api.auth.protected.",
        )
    if outcome(auth, missing) == "accepted":
        raise ControlFailed(
            f"GET {path} without a token is answered {missing.status}, so tokens are not looked at there",
            hint="Name a path that needs a token: api.auth.protected.",
        )
    if outcome(auth, answers.garbage) == "accepted":
        raise ControlFailed(
            f"GET {path} with a token that is none is answered {answers.garbage.status}, so tokens are not looked at there",
            hint="See readiness.authentication.",
        )
    if missing.status >= 500:
        raise ControlFailed(f"GET {path} without a token is answered {missing.status}: neither accepted nor refused")
    return Control(session, valid, missing)


def outcome(auth: Auth, answer: Answer) -> Outcome:
    """What an answer means: a 2xx without the configured failure text accepts; a 4xx or a redirect (to a login) refuses."""
    failure = auth.login.failure if auth.login is not None else None
    if 200 <= answer.status < 300:
        return "refused" if failure is not None and failure.encode() in answer.body else "accepted"
    if answer.status == 429 or answer.status in (502, 503, 504):
        return "unclear"
    if answer.status >= 500:
        return "crashed"
    return "refused"


@record(frozen=True)
class Verdict:
    """What became of all trials."""

    accepted: tuple[str, ...]
    crashed: tuple[str, ...]
    unclear: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def attempt_all(ctx: Context, trials: Iterable[Trial]) -> Verdict:
    """Send every bad token to api.auth.protected, after the control.

    Raises:
        ControlFailed: When the control does not hold.
    """
    base = control(ctx)
    verdict = judge(
        base.session.auth,
        (
            (
                f"{trial.name} ({sessions.fingerprint(trial.token)})",
                sessions.protected(ctx, base.session.headers_with(_known(ctx, trial.token))),
            )
            for trial in trials
        ),
        first=(base.evidence,),
    )
    if verdict.accepted:
        still_refused(ctx)
    return verdict


def still_refused(ctx: Context) -> None:
    """Ask once more without a token: a service that by now answers 200 to everything (`too many requests`) accepts nothing.

    Raises:
        ControlFailed: When that is answered as if it were accepted.
    """
    auth = control(ctx).session.auth
    answer = sessions.protected(ctx, {})
    if outcome(auth, answer) == "accepted":
        raise ControlFailed(
            f"GET {auth.protected} without a token is by now answered {answer.status}, so what is answered tells nothing"
        )


def judge(auth: Auth, answers: Iterable[tuple[str, Answer]], *, first: tuple[Evidence, ...] = ()) -> Verdict:
    """Sort answers that should all be refusals."""
    sorted_: dict[str, list[str]] = {"accepted": [], "crashed": [], "unclear": [], "refused": []}
    evidence = list(first)
    for name, answer in answers:
        kind = outcome(auth, answer)
        sorted_[kind].append(name.partition(" (")[0])
        evidence.append(Evidence(name, str(answer.status), "401"))
    return Verdict(tuple(sorted_["accepted"]), tuple(sorted_["crashed"]), tuple(sorted_["unclear"]), tuple(evidence))


def _known(ctx: Context, token: str) -> str:
    ctx.redact.add([token])
    return token


def real_token(ctx: Context) -> Jwt:
    """The access token of the first account, in its parts.

    Raises:
        NotConfigured: When the service's tokens are no JWTs.
        ControlFailed: When they are signed with another algorithm than api.auth.algorithm says.
    """
    base = control(ctx)
    found = tokens.parse(base.session.access_token)
    if found is None:
        raise NotConfigured("the service's access tokens are no JSON Web Tokens")
    expected = base.session.auth.algorithm
    if found.algorithm != expected:
        raise ControlFailed(
            f"the service signs with {found.algorithm[:12]}, api.auth.algorithm says {expected}",
            hint="Write the algorithm that the tokens' header names.",
        )
    return found


def forger(ctx: Context) -> tuple[Jwt, Any]:
    """A real token's parts and the key it is signed with, seen to work: a token forged with it is accepted.

    Raises:
        NotConfigured: Without api.auth.secret.
        ControlFailed: When a correctly forged token is refused.
    """
    return ctx.shared("forger", lambda: _forger(ctx))


def _forger(ctx: Context) -> tuple[Jwt, Any]:
    token = real_token(ctx)
    auth = logins.settings_of(ctx)
    secret = ctx.require(auth.secret, "api.auth.secret")
    key = tokens.signing_key(auth.algorithm, secret.reveal())
    again = _known(ctx, tokens.forge(token.header, token.claims, key))
    answer = sessions.protected(ctx, control(ctx).session.headers_with(again))
    if outcome(auth, answer) != "accepted":
        raise ControlFailed(
            f"a token signed anew with api.auth.secret is answered {answer.status}, so it is not the key of access tokens",
            hint="Write the key that signs access tokens, or leave api.auth.secret out.",
        )
    return token, key


def signatures_checked(ctx: Context) -> None:
    """The control of probes about keys: a token whose signature does not fit is refused.

    Where signatures are not looked at, every key is accepted, and it is not the key's fault.

    Raises:
        ControlFailed: When it is accepted.
    """
    ctx.shared("signatures-checked", lambda: _signatures_checked(ctx))


def _signatures_checked(ctx: Context) -> bool:
    token = real_token(ctx)
    wrong = f"{token.signed.decode()}.{tokens.encode64(bytes(byte ^ 0xFF for byte in token.signature))}"
    base = control(ctx)
    answer = sessions.protected(ctx, base.session.headers_with(_known(ctx, wrong)))
    if outcome(base.session.auth, answer) == "accepted":
        raise ControlFailed("signatures are not verified at all (see security.jwt-signature), so no key is either")
    return True


def changed(claims: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The claims with some of them changed; None takes one out."""
    merged = {**claims, **changes}
    return {name: value for name, value in merged.items() if value is not None or name not in changes}
