"""The rules for security headers, one set of headers each; the verdicts are those of MDN's Observatory (benchmarks/probes.py)."""

from __future__ import annotations

import pytest

from maestro_cli.observe.header_rules import problems_of
from maestro_cli.observe.http import Answer

GOOD = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def problems(**given: str | None) -> list[str]:
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in given.items()}}
    kept = {name: value for name, value in headers.items() if value is not None}
    answer = Answer(200, kept, b"{}", 0.0, all_headers=tuple(kept.items()))
    return [problem.text for problem in problems_of(answer, https=True, private=True) if problem.fails]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"strict_transport_security": "max-age=15552000; includeSubDomains"},
        {"x_frame_options": None},
        {"content_security_policy": "default-src 'self'; script-src 'nonce-YWJj' 'unsafe-inline'"},
        {
            "content_security_policy": "default-src 'self'; script-src 'nonce-YWJj' 'strict-dynamic' https: 'unsafe-inline'"
        },
        {"content_security_policy": "default-src 'self'; style-src 'self' 'unsafe-inline'"},
        {"content_security_policy": "default-src 'self'; img-src http://images.example.org"},
        {"referrer_policy": None},
        {"referrer_policy": "unsafe-url, strict-origin"},
        {"referrer_policy": "strict-origin, something-newer"},
    ],
)
def test_what_is_good_enough(given: dict[str, str | None]) -> None:
    assert problems(**given) == []


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"strict_transport_security": None}, "no Strict-Transport-Security"),
        ({"strict_transport_security": "max-age=15551999"}, "15551999 s only"),
        ({"strict_transport_security": "includeSubDomains"}, "for ? s only"),
        ({"x_content_type_options": "sniff"}, "not nosniff"),
        ({"x_frame_options": "ALLOWALL", "content_security_policy": "default-src 'none'"}, "no X-Frame-Options"),
        ({"content_security_policy": "default-src 'none'; frame-ancestors *"}, "frame-ancestors of everybody"),
        ({"content_security_policy": None, "x_frame_options": "DENY"}, "no Content-Security-Policy"),
        ({"content_security_policy": "default-src 'self' 'unsafe-inline'"}, "allows 'unsafe-inline'"),
        ({"content_security_policy": "default-src 'self'; script-src https:"}, "allows https:"),
        ({"content_security_policy": "default-src 'self'; script-src data:"}, "allows data:"),
        ({"content_security_policy": "default-src 'self'; script-src 'self' 'unsafe-eval'"}, "'unsafe-eval'"),
        ({"content_security_policy": "default-src 'self'; style-src 'unsafe-eval'"}, "'unsafe-eval'"),
        ({"content_security_policy": "frame-ancestors 'none'"}, "scripts from anywhere"),
        ({"content_security_policy": "script-src 'self'"}, "plug-ins from anywhere"),
        ({"content_security_policy": "default-src 'self'; object-src *"}, "plug-ins from anywhere"),
        (
            {"content_security_policy": "default-src 'self'; connect-src http://api.example.org"},
            "connect-src over HTTP",
        ),
        ({"referrer_policy": "unsafe-url"}, "Referrer-Policy unsafe-url"),
        ({"referrer_policy": "strict-origin, origin"}, "Referrer-Policy origin"),
        ({"referrer_policy": "never"}, "no known value"),
    ],
)
def test_what_falls_short(given: dict[str, str | None], word: str) -> None:
    (problem,) = problems(**given)
    assert word in problem


def test_of_several_policies_the_strictest_decides() -> None:
    pairs = (*GOOD.items(), ("content-security-policy", "default-src *"))
    answer = Answer(200, dict(pairs), b"{}", 0.0, all_headers=pairs)
    assert [problem for problem in problems_of(answer, https=True, private=True) if problem.fails] == []
