"""What stands behind a second door: a login with an API key, a refresh that reads tokens its own way, an object's own errors."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from check_support import context, expect, run_check
from other_service import OtherService, Shape, configuration
from small_api import Asked, Said, serving

from maestro_cli.model import CheckResult
from maestro_cli.observe import tokens


class SecondDoor(OtherService):
    """The other service; `wrong` says what is wrong behind which door."""

    wrong: str = ""
    key: str = ""

    def __call__(self, asked: Asked) -> Said:
        path = urlsplit(asked.path).path
        if path == "/session" and self.key and asked.headers.get("x-api-key") != self.key:
            return super().__call__(replace(asked, body=b'{"user": "nobody", "password": "none"}'))
        try:
            said = super().__call__(asked)
        except (ValueError, TypeError, KeyError):
            said = Said(500 if self.wrong == "making-crashes" else 400, b"{}")
            if self.wrong == "making-of-anything" and asked.body:
                return super().__call__(replace(asked, body=b'{"text": "anything"}'))
        if said.status == 400 and path == "/session" and self.wrong == "login-crashes":
            return replace(said, status=500)
        if said.status == 400 and path == "/session" and self.wrong == "login-hangs":
            raise ConnectionAbortedError("a handler that dies")
        if said.status == 400 and path == "/session" and self.wrong == "bare-400":
            return Said(400, said.body)
        if path in ("/session", "/session/renew") and said.status == 200 and "cookie" in self.wrong:
            flags = "" if path.endswith("renew") and self.wrong == "cookie-weaker" else "; HttpOnly"
            return replace(said, headers={**said.headers, "Set-Cookie": f"seen=1; SameSite=Lax; Path=/{flags}"})
        return said

    def _issue(self, user: str, family: str) -> dict[str, str]:
        digits = {"refresh-digits": f"{secrets.randbelow(10**6):06}", "refresh-opaque": secrets.token_urlsafe(32)}
        issued = super()._issue(user, family)
        return {**issued, "refresh": digits.get(self.wrong, issued["refresh"])}

    def _claims(self, text: str, kind: str) -> dict[str, Any] | None:
        token = tokens.parse(text)
        if kind == "refresh" and token is not None:
            unsigned = token.algorithm == "none" and self.wrong == "refresh-alg-none"
            if unsigned or self.wrong == "refresh-unsigned":
                claims = dict(token.claims)
                return claims if claims["fam"] not in self.ended and claims["use"] == kind else None
            if self.wrong == "refresh-ended-accepted" and self._signed(token):
                later = tokens.forge(token.header, {**token.claims, "exp": 2**40}, self.secret.encode())
                return super()._claims(later, kind)
        return super()._claims(text, kind)


def look(check: str, folder: Path, wrong: str, key: str = "") -> CheckResult:
    service = SecondDoor(Shape())
    service.wrong, service.key = wrong, key
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        if key:
            settings["api"]["auth"]["login"]["headers"] = {"X-Api-Key": key}
        return run_check(check, context(folder, json.dumps(settings)))


@pytest.mark.parametrize("key", ["", "the-key"])
def test_a_malformed_login_is_looked_at_with_its_api_key(project: Path, key: str) -> None:
    expect(look("security.malformed-body", project, "", key), "pass")
    expect(look("security.malformed-body", project, "login-crashes", key), "fail", "internal error at broken JSON")
    expect(look("security.headers", project, "bare-400", key), "fail", "on 400")


def test_a_login_that_does_not_answer_broken_json_is_one_that_crashes(project: Path) -> None:
    result = look("security.malformed-body", project, "login-hangs")
    expect(result, "fail", "internal error at broken JSON (no answer)")


def test_an_internal_error_when_making_an_object_is_a_warning(project: Path) -> None:
    expect(look("security.malformed-body", project, "making-crashes"), "warn", "POST /notes with broken JSON")
    expect(look("security.malformed-body", project, ""), "pass", "POST /notes with broken JSON")


def test_an_object_that_is_made_of_broken_json_is_found_and_deleted(project: Path) -> None:
    service = SecondDoor(Shape())
    service.wrong = "making-of-anything"
    with serving(service) as port:
        ctx = context(project, configuration(service, port))
        expect(run_check("security.malformed-body", ctx), "fail", "Broken JSON is taken for a body: POST /notes")
    assert service.objects == {}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("refresh-unsigned", "a changed signature"),
        ("refresh-alg-none", "alg none"),
        ("refresh-ended-accepted", "an end an hour ago"),
        ("", None),
    ],
)
def test_a_forged_refresh_token_is_tried(project: Path, wrong: str, says: str | None) -> None:
    result = look("security.refresh-rotation", project, wrong)
    if says is None:
        expect(result, "pass")
        tried = {row.name.partition(" (")[0]: row.observed for row in result.evidence}
        assert tried["R2 with an end an hour ago"] == "401", "the tried one is refused, and so does not go untried"
    else:
        expect(result, "fail", f"A forged refresh token is accepted: with {says}")


@pytest.mark.parametrize(("wrong", "status"), [("cookie-weaker", "fail"), ("cookie", "pass")])
def test_a_cookie_of_the_refresh_is_looked_at_beside_tokens_in_the_body(project: Path, wrong: str, status: str) -> None:
    expect(look("security.cookies", project, wrong), status, *(["seen lacks HttpOnly"] if status == "fail" else []))


@pytest.mark.parametrize(("told", "status"), [(401, "pass"), (403, "warn")])
def test_a_deactivated_account_is_told_only_to_who_has_its_password(project: Path, told: int, status: str) -> None:
    class Deactivating(OtherService):
        def _login(self, asked: Asked) -> Said:
            return self._refusal(told) if json.loads(asked.body)["user"] == "eve" else super()._login(asked)

    with serving(Deactivating(Shape())) as port:
        settings = json.loads(configuration(OtherService(Shape()), port))
        settings["api"]["auth"]["inactive_account"] = {"username": "eve", "password": "eve-has-one"}
        result = run_check("security.inactive-account", context(project, json.dumps(settings)))
    expect(result, status, *(["eve is deactivated"] if status == "warn" else []))


@pytest.mark.parametrize(("wrong", "status"), [("refresh-digits", "fail"), ("refresh-opaque", "pass"), ("", "pass")])
def test_a_refresh_token_that_can_be_guessed(project: Path, wrong: str, status: str) -> None:
    says = {"fail": ["The refresh token can be guessed: it holds 20 bits at most."], "pass": ["10 minutes"]}
    expect(look("readiness.token-settings", project, wrong), status, *says[status])
