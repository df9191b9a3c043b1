"""Writing, and reading elsewhere, with tokens that one place refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, NotConfigured, check, failed, passed, warned
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import changed, control, forger, outcome
from maestro_cli.observe.endpoint import send, words_of
from maestro_cli.observe.held_objects import lists, shows
from maestro_cli.observe.http import Answer
from maestro_cli.observe.revocation import REVOCATION_REQUESTS, logged_out
from maestro_cli.observe.session import LOGIN_REQUESTS, Session, fingerprint
from maestro_cli.observe.tenant_names import in_request
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    changing,
    deleted_later,
    get,
    make,
    object_id,
    path_of,
    settings_of,
    twin_of,
    update,
)
from maestro_cli.observe.tokens import encode64, forge, parse, unsigned

Deed = Callable[[Context, Owned, Mapping[str, str]], Answer]
TRIALS = 7
"""No token, none that is one, another signature, no signature, one that has ended, a refresh token, one logged out."""
HOUR = 3600
WRONG = "a changed signature"


@check(
    "security.write-authentication",
    component="security",
    priority="critical",
    writes=True,
    last=True,
    requests=REVOCATION_REQUESTS + LOGIN_REQUESTS + 1 + (1 + TRIALS) * OBJECT_REQUESTS + 13 * TRIALS + 7,
    deadline_s=20,
    faults=("anonymous-writes", "logout-forgotten-by-writes"),
)
def write_authentication(ctx: Context) -> Finding:
    """A token that one place refuses is refused for writing, and for reading elsewhere, too.

    Why: each method of a route may have its own guard, and the one that is forgotten is seldom that of the list.
    Fails when: an object of the first account is read or listed (also with a slash behind the path) without a
    token; or one is read (api.isolation.read), listed, made (api.isolation.create), changed (api.isolation.update, also
    with PUT for PATCH and the other way round) or deleted (api.isolation.delete) without a token, with a text that is none,
    with one that is forged, unsigned or ended, with a refresh token, or after the log-out, although api.auth.protected
    refuses the same. An internal error (500) in place of the refusal is a warning, where nothing was done.
    Fix: guard the router or the whole application, not each function; let no middleware look at the method.
    Source: OWASP API2:2023; OWASP ASVS 5.0 8.3.1; CWE-306
    """
    evidence = [control(ctx).evidence]
    owned = make(ctx, sessions.living(ctx), "a")
    without = list(_without_token(ctx, owned, evidence))
    if without:
        return failed(f"What needs no token, and should: {', '.join(without)}.", *evidence)
    deeds = _deeds(ctx, owned)
    open_: list[str] = []
    shown: list[str] = []
    crashed: list[str] = []
    unchecked = False
    for name, headers in _trials(ctx, owned.owner):
        seen = None if unchecked else _seen(ctx, owned, headers, name, evidence)
        if seen is not None and not _reads(ctx, owned, headers):
            unchecked = name.startswith(WRONG)  # security.jwt-signature says so: whatever else is taken there follows
            shown += [] if unchecked else [f"{seen} with {name.partition(' (')[0]}"]
        if _made(ctx, owned, headers, name, evidence) and not _reads(ctx, owned, headers):
            open_.append(f"making an object with {name.partition(' (')[0]}")
        for deed, act in deeds.items():
            answer = act(ctx, owned, headers)
            evidence.append(Evidence(f"{deed} with {name}", str(answer.status), "401"))
            result = outcome(owned.owner.auth, answer)
            if result not in ("accepted", "crashed") or _reads(ctx, owned, headers):
                continue
            what = f"{deed} with {name.partition(' (')[0]}"
            if _done(ctx, owned, deed):
                open_.append(what)
            elif result == "crashed" and deed in ("change", "deletion") and _refused_elsewhere(ctx, owned, headers):
                crashed.append(what)
            if deed == "deletion" and open_:
                return _finding(open_, shown, crashed, evidence)
    return _finding(open_, shown, crashed, evidence)


def _deeds(ctx: Context, owned: Owned) -> dict[str, Deed]:
    """What is configured to be done to an object, which its owner can."""
    isolation = settings_of(ctx)
    deeds: dict[str, Deed] = {}
    if isolation.update is not None:
        deeds["change"] = _change
        other = twin_of(isolation.update.method)
        if other is not None and "{nonce}" in str(changing(ctx, other).body):
            deeds[f"change with {other}"] = partial(_change, method=other)
        own = update(ctx, owned.owner, owned.id, f"{ctx.nonce}ao")
        if outcome(owned.owner.auth, own) != "accepted":
            raise ControlFailed(
                f"its owner cannot change the object: api.isolation.update is answered {own.status}{words_of(ctx, own)}"
            )
    if isolation.delete is not None:
        deeds["deletion"] = _delete
    return deeds


def _without_token(ctx: Context, owned: Owned, evidence: list[Evidence]) -> Iterator[str]:
    """Reading and listing an object: what is answered holds the object, so no page for everybody is meant."""
    isolation = settings_of(ctx)
    answer = ctx.http.get(path_of(ctx, isolation.read, owned.id))
    evidence.append(Evidence("reading the object without a token", str(answer.status), "401"))
    if shows(answer, owned):
        yield "reading an object"
    if isolation.list is not None:
        path = path_of(ctx, isolation.list, owned.id)
        slashed = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        for name, other in (("listing objects", path), (f"listing objects at {slashed}", slashed)):
            answer = ctx.http.get(other)
            evidence.append(Evidence(f"GET {other} without a token", str(answer.status), "401, or not there"))
            if "?" not in other and lists(answer, owned, isolation.create.id):
                yield name
                break


def _made(ctx: Context, owned: Owned, headers: Mapping[str, str], name: str, evidence: list[Evidence]) -> bool:
    """Whether an object is made so, which its id in the answer tells; it is deleted when the run ends."""
    endpoint = settings_of(ctx).create
    nonce = f"{ctx.nonce}a{len(evidence)}"
    values = {"nonce": nonce, **in_request(ctx, endpoint, owned.owner)}
    answer = send(ctx, endpoint, values, default_method="POST", headers=headers)
    evidence.append(Evidence(f"making an object with {name}", str(answer.status), "401"))
    made = object_id(ctx, answer, nonce) if outcome(owned.owner.auth, answer) == "accepted" else None
    if made is not None:
        deleted_later(ctx, owned.owner, made)
    return made is not None


def _seen(ctx: Context, owned: Owned, headers: Mapping[str, str], name: str, evidence: list[Evidence]) -> str | None:
    """What is shown so: the object, or a list that holds it."""
    isolation = settings_of(ctx)
    if not headers:
        return None  # asked for already
    answer = ctx.http.get(path_of(ctx, isolation.read, owned.id), headers=headers)
    answers = [("reading an object", answer, shows(answer, owned))]
    if isolation.list is not None:
        answer = ctx.http.get(path_of(ctx, isolation.list, owned.id), headers=headers)
        answers.append(("listing objects", answer, lists(answer, owned, isolation.create.id)))
    evidence += [Evidence(f"{deed} with {name}", str(answer.status), "401") for deed, answer, _ in answers]
    return " and ".join(deed for deed, _, told in answers if told) or None


def _finding(open_: list[str], shown: list[str], crashed: list[str], evidence: list[Evidence]) -> Finding:
    said = []
    if open_:
        said.append(f"What reading refuses is good enough for writing: {', '.join(open_)}.")
    if shown:
        said.append(f"What api.auth.protected refuses is good enough elsewhere: {', '.join(shown)}.")
    if said:
        return failed(" ".join(said), *evidence)
    if crashed:
        # It was let in to where it crashed: what holds it back is an accident.
        return warned(f"An internal error, and no refusal, is answered to {', '.join(crashed)}.", *evidence)
    return passed("What reading refuses is refused for writing as well.", *evidence)


def _trials(ctx: Context, session: Session) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What is sent in place of a good token; the log-out comes last, as some end every session of an account with it."""
    yield "no token", {}
    for name, token in _tokens(ctx, session):
        ctx.redact.add([token])
        yield f"{name} ({fingerprint(token)})", session.headers_with(token)
    try:
        ended = logged_out(ctx).session
    except (ControlFailed, NotConfigured):
        return  # security.revocation says why
    yield "a token after its log-out", ended.headers


def _tokens(ctx: Context, session: Session) -> Iterator[tuple[str, str]]:
    yield "a token that is none", f"maestro-{ctx.nonce}"
    parts = parse(session.access_token)
    if parts is not None:
        flipped = bytes(byte ^ 0xFF for byte in parts.signature)
        yield WRONG, f"{parts.signed.decode()}.{encode64(flipped)}"
        yield "alg none", f"{unsigned({**parts.header, 'alg': 'none'}, parts.claims)}."
        try:
            _, key = forger(ctx)
        except (ControlFailed, NotConfigured):
            pass  # nothing can be forged, as security.jwt-time says
        else:
            begun, ended = int(session.issued_at) - 2 * HOUR, int(session.issued_at) - HOUR
            past = {name: begun for name in ("iat", "nbf") if name in parts.claims}
            yield "a token that ended an hour ago", forge(parts.header, changed(parts.claims, **past, exp=ended), key)
    if session.refresh_token is not None:
        yield "a refresh token", session.refresh_token


def _change(ctx: Context, owned: Owned, headers: Mapping[str, str], method: str | None = None) -> Answer:
    endpoint = changing(ctx, method)
    values = {"nonce": f"{ctx.nonce}{_text(method)}", "id": owned.id, **in_request(ctx, endpoint, owned.owner)}
    return send(ctx, endpoint, values, default_method="PATCH", headers=headers)


def _text(method: str | None) -> str:
    return "ax" if method is None else f"ax{method.lower()}"


def _delete(ctx: Context, owned: Owned, headers: Mapping[str, str]) -> Answer:
    path = path_of(ctx, ctx.require(settings_of(ctx).delete, "api.isolation.delete"), owned.id)
    return ctx.http.request("DELETE", path, headers=headers)


def _reads(ctx: Context, owned: Owned, headers: Mapping[str, str]) -> bool:
    """Whether it opens api.auth.protected as well: then it is not the writing's fault, and another check says so."""
    return outcome(owned.owner.auth, sessions.protected(ctx, headers)) == "accepted"


def _refused_elsewhere(ctx: Context, owned: Owned, headers: Mapping[str, str]) -> bool:
    """Whether api.auth.protected refuses it: one that crashes on the token everywhere is another check's to tell."""
    return outcome(owned.owner.auth, sessions.protected(ctx, headers)) == "refused"


def _done(ctx: Context, owned: Owned, deed: str) -> bool:
    """Whether the owner sees the deed: a 2xx alone may be a page that is answered to everything."""
    answer = get(ctx, owned.owner, owned.id)
    if answer.status in (401, 403) or answer.status >= 500:  # logged out meanwhile, which some answer with a crash
        answer = get(ctx, sessions.for_account(ctx, 0), owned.id)
    if deed == "deletion":
        marked = owned.mark is not None and ctx.nonce.encode() not in answer.body
        return marked or outcome(owned.owner.auth, answer) == "refused"
    method = deed.partition(" with ")[2] or None
    if "{nonce}" not in str(changing(ctx, method).body):
        return answer.body != owned.read.body
    return f"{ctx.nonce}{_text(method)}".encode() in answer.body
