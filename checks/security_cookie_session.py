"""Sessions in a cookie: used by other sites, or chosen by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, combine, failed, passed, warned
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import CONTROL_REQUESTS, control, outcome
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS, Session
from maestro_cli.observe.tenant_objects import OBJECT_REQUESTS, create, delete, get, make, settings_of, update
from maestro_cli.observe.token_headers import CSRF, attributes_of, cookies_of
from maestro_cli.records import record

ELSEWHERE = "https://maestro-probe.invalid"
FROM_ELSEWHERE = {"Origin": ELSEWHERE, "Referer": f"{ELSEWHERE}/", "Sec-Fetch-Site": "cross-site"}
_REFUSED = (400, 401, 403, 422)
"""A bad session's refusals; a limit, a crash and a `not now` are none."""


@record(frozen=True)
class Foreign(Session):
    """A session as another site's page can use it: the browser adds its cookies, and the page knows no token of it.

    Attributes:
        instead: What stands in the place of the token against forged requests; no header at all where it is empty.
        plain: The body is said to be text, which a page may send anywhere without asking (Fetch standard, CORS-safelisted).
    """

    instead: str = ""
    plain: bool = False

    def headers_with(self, token: str) -> dict[str, str]:
        """What the browser sends."""
        sent = super().headers_with(token)
        proof = [name for name in sent if is_proof(self, name)]
        kept = {name: value for name, value in sent.items() if name not in proof}
        put = dict.fromkeys(proof, self.instead) if self.instead else {}
        return {**kept, **put, **FROM_ELSEWHERE, **({"Content-Type": "text/plain"} if self.plain else {})}


@record(frozen=True)
class Alone(Foreign):
    """The same of a session whose token goes in a header: only its cookies are left."""

    @property
    def headers(self) -> dict[str, str]:
        """What the browser sends."""
        jar = "; ".join(f"{name}={value}" for name, value in self.tokens.cookies.items())
        return {"Cookie": jar, **FROM_ELSEWHERE, **({"Content-Type": "text/plain"} if self.plain else {})}


@check(
    "security.cookie-session",
    component="security",
    priority="high",
    writes=True,
    last=True,
    requests=CONTROL_REQUESTS + 4 * LOGIN_REQUESTS + 6 * OBJECT_REQUESTS + 6,
    deadline_s=20,
    faults=(
        "csrf-token-unchecked",
        "csrf-any-token-accepted",
        "csrf-token-of-another-session-accepted",
        "csrf-deletion-unguarded",
        "cookie-sent-by-other-sites",
        "session-chosen-before-login",
    ),
)
def cookie_session(ctx: Context) -> Finding:
    """A session in a cookie can be neither used nor chosen by another site.

    Why: browsers add cookies to whatever any page sends; a page that may make them send a change acts as whoever looks at it,
    and whoever can choose the session's number before the login has it afterwards.
    Fails when: a cookie that is not SameSite opens api.auth.protected beside the configured header's token (where the
    login's cookies hold a token against forged requests: makes an object without it); a request from another origin, as a page can send it unasked, makes an object although the cookie is not
    SameSite; or the session is one that was there before the login. Where the service gives out a token against forged
    requests, making, changing or deleting without it, with a wrong one or with another session's fails; it is a warning
    where SameSite still holds the cookie back.
    Fix: SameSite=Lax or Strict; ask for the token in every method but GET, HEAD and OPTIONS, and compare it with the
    session's; make a new session at the login.
    Source: OWASP ASVS 5.0 3.5.1, 3.3.2 and 7.2.4; OWASP CSRF Prevention Cheat Sheet; CWE-352, CWE-384
    """
    control(ctx)
    place = logins.cookie_of(logins.settings_of(ctx))
    if place is None:
        return _beside_header(ctx)
    findings = [_chosen(ctx, place)]
    if ctx.require(ctx.settings.api, "api").isolation is not None:
        findings.append(_forged(ctx, place))
    return combine(findings)


def _beside_header(ctx: Context) -> Finding:
    """Where the token goes in a header, which no other site's page can send: whether cookies do without it."""
    session = sessions.for_account(ctx, 0)
    cookies = session.tokens.cookies
    if not cookies:
        seen = Evidence("cookies of the login", "none", "none, or such as open nothing")
        return passed("Browsers add nothing to requests by themselves: the token goes in a header.", seen)
    alone = sessions.protected(
        ctx, {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}, session
    )
    names = ", ".join(cookies)
    seen = Evidence(f"{session.auth.protected} with {names} alone", str(alone.status), "401")
    if outcome(session.auth, alone) != "accepted":
        return passed("What the login's cookies open by themselves is nothing: the token goes in a header.", seen)
    if all(_same_site(session.answer, name) for name in cookies):
        return passed(f"{names} opens without the token in its header, and browsers keep it back (SameSite).", seen)
    if any(CSRF.search(name) for name in cookies):
        return _written_beside(ctx, session, names, seen)
    return failed(f"{names} opens without the token in its header, and browsers send it for other sites' pages.", seen)


def _written_beside(ctx: Context, session: Session, names: str, seen: Evidence) -> Finding:
    """Reading needs no token against forged requests; where the login sets one as a cookie, a change must ask for it."""
    ctx.require(
        ctx.require(ctx.settings.api, "api").isolation, "api.isolation, to try a change with the cookies alone,"
    )
    done, evidence = [], [seen]
    for number, plain in enumerate((False, True)):
        known = {item.name: getattr(session, item.name) for item in fields(Session)}
        made, answer = create(ctx, Alone(**known, plain=plain), f"a{number}")
        what = f"another origin's page makes an object{', as text that no browser asks about' if plain else ''}"
        evidence.append(Evidence(f"{what}, with {names} alone", str(answer.status), "refused"))
        if made is not None:
            done.append(what)
            if settings_of(ctx).delete is not None:
                delete(ctx, session, made)
    if done:
        return failed(f"With {names} alone, {' and '.join(done)}.", *evidence)
    return passed(f"{names} opens without the token in its header, for reading only.", *evidence)


def is_proof(session: Session, name: str) -> bool:
    """Whether a request header is there to say that the request is not forged."""
    return CSRF.search(name) is not None or name in session.proof


def _forged(ctx: Context, place: str) -> Finding:
    session, other = sessions.for_account(ctx, 0), sessions.for_account(ctx, 1)
    owned = make(ctx, session, "f")
    proof = [value for name, value in session.headers.items() if is_proof(session, name)]
    theirs = next((value for name, value in other.headers.items() if is_proof(other, name)), None)
    held = _same_site(session.answer, place)
    evidence = [
        Evidence("control: made with everything that belongs to it", "made", "made"),
        Evidence(f"SameSite of the cookie {place}", held or "none", "Lax or Strict"),
        Evidence("a token against forged requests", "goes along" if proof else "none seen", "one, or SameSite"),
    ]
    done = []
    for what, foreign in _pages(session, proof, theirs):
        made, answer = create(ctx, foreign, f"f{len(evidence)}")
        evidence.append(Evidence(f"another origin's page makes an object, {what}", str(answer.status), "refused"))
        done += [f"making an object, {what}"] if made is not None else []
    if proof:
        bare = _as_page(session)
        for what in ("changing", "deleting"):
            tried = _attempted(ctx, what, bare, owned.id)
            if tried is None:
                continue
            evidence.append(Evidence(f"{what} one, without the token", str(tried.status), "refused"))
            gone = what == "deleting" and not 200 <= get(ctx, session, owned.id).status < 300
            through = gone if what == "deleting" else outcome(session.auth, tried) == "accepted"
            done += [f"{what} one, without the token"] if through else []
    if not done:
        return passed("No other site's page can use a session.", *evidence)
    if held is None:
        return failed(f"Another site's page acts as whoever looks at it: {'; '.join(done)}.", *evidence)
    if proof:
        return warned(
            f"The token against forged requests is not asked for, only SameSite={held} holds: {'; '.join(done)}.",
            *evidence,
        )
    return passed(
        f"No other site's page can use a session: browsers keep its cookie back (SameSite={held}).", *evidence
    )


def _pages(session: Session, proof: list[str], theirs: str | None) -> Iterator[tuple[str, Foreign]]:
    yield "as text that no browser asks about", _as_page(session, plain=True)
    if proof:
        yield "without the token", _as_page(session)
        yield "with a wrong token", _as_page(session, instead="A" * len(proof[0]))
    if proof and theirs is not None and theirs not in proof:
        yield "with the token of another session", _as_page(session, instead=theirs)


def _as_page(session: Session, *, instead: str = "", plain: bool = False) -> Foreign:
    known = {item.name: getattr(session, item.name) for item in fields(Session)}
    return Foreign(**known, instead=instead, plain=plain)


def _attempted(ctx: Context, what: str, actor: Session, made: str) -> Answer | None:
    settings = settings_of(ctx)
    if what == "changing":
        return None if settings.update is None else update(ctx, actor, made, f"{ctx.nonce}fu")
    return None if settings.delete is None else delete(ctx, actor, made)


def _same_site(answer: Answer, place: str) -> str | None:
    """The cookie's SameSite, where it keeps the cookie back."""
    for header, value in answer.all_headers:
        name, _, given = attributes_of(value)
        if header == "set-cookie" and name == place:
            found = given.get("samesite", "").capitalize()
            return found if found in ("Lax", "Strict") else None
    return None


def _chosen(ctx: Context, place: str) -> Finding:
    """Log in with a session that was there before, and look whether it is the one that is logged in."""
    auth = logins.settings_of(ctx)
    page = logins.new_page(ctx)
    jar = {place: f"maestro{ctx.nonce}", **(page.cookies if page is not None else {})}
    before = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    ctx.redact.add([jar[place]])
    account = auth.accounts[0]
    answer = refused_login.attempt(ctx, account.username, account.password.reveal(), page=page, headers=before)
    seen = Evidence("the session that was there before the login", "another one afterwards", "another one afterwards")
    if logins.login_refused(auth, answer):
        if answer.status not in _REFUSED:
            raise ControlFailed(f"the login with a session of its own beside it is answered {answer.status}")
        sessions.fresh(ctx, 0)  # the control: without that session it is let in
        refused = Evidence(seen.name, f"refused together with the login: {answer.status}", seen.expected)
        return passed("A session that the service did not make is refused, even for the login.", refused)
    after = cookies_of(answer).get(place)
    if after is not None and after != jar[place]:
        return passed("The login makes a new session.", seen)
    opened = sessions.protected(ctx, before)
    if outcome(auth, opened) != "accepted":
        return passed("The login makes a new session.", seen)
    kept = Evidence(seen.name, "is the one that is logged in", seen.expected)
    return failed("A session that was there before the login is the one that is logged in afterwards.", kept)
