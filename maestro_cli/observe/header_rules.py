"""What is wrong with an answer's security headers: the rules of the MDN HTTP Observatory, for an API.

https://github.com/mdn/mdn-http-observatory: what its scoring takes points for is a failure here.
"""

from __future__ import annotations

import re

from maestro_cli.observe.http import Answer
from maestro_cli.records import record

SIX_MONTHS_S = 15_552_000
"""180 days: what many set, and what the Observatory takes for six months."""
_SAFE_REFERRER = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
_UNSAFE_REFERRER = {"unsafe-url", "origin", "origin-when-cross-origin", "no-referrer-when-downgrade"}
_BROAD = {"*", "http:", "https:", "ftp:", "http://*", "https://*", "http://*.*", "https://*.*"}
_UNSAFE_SOURCES = _BROAD | {"'unsafe-inline'", "'unsafe-eval'", "data:"}
_PASSIVE = {"img-src", "media-src"}
_TRUSTED = ("'nonce-", "'sha256-", "'sha384-", "'sha512-")


@record(frozen=True)
class Problem:
    """One rule that does not hold; `fails` tells a failure from a warning."""

    text: str
    fails: bool = True


def problems_of(answer: Answer, *, https: bool, private: bool) -> list[Problem]:
    """All of them.

    Args:
        answer: With its headers.
        https: It came over HTTPS (Strict-Transport-Security means nothing over HTTP: RFC 6797 §7.2).
        private: A token opened it, so no cache may keep it.
    """
    found = [*_transport(answer)] if https else []
    if (answer.header("x-content-type-options") or "").strip().lower() != "nosniff":
        found.append(Problem("X-Content-Type-Options is not nosniff"))
    policies = [value for name, value in answer.all_headers if name == "content-security-policy"]
    found += _framing(answer, policies)
    found += _content(policies, https=https)
    found += _referrer(answer)
    cache = (answer.header("cache-control") or "").lower()
    if private and not any(word in cache for word in ("no-store", "no-cache", "private")):
        found.append(Problem(f"Cache-Control {cache}" if cache else "no Cache-Control", fails=False))
    return found


def _transport(answer: Answer) -> list[Problem]:
    value = answer.header("strict-transport-security")
    if value is None:
        return [Problem("no Strict-Transport-Security")]
    age = re.search(r"max-age\s*=\s*\"?(\d+)", value, re.IGNORECASE)
    if age is None or int(age.group(1)) < SIX_MONTHS_S:
        return [Problem(f"Strict-Transport-Security for {age.group(1) if age else '?'} s only")]
    return []


def _framing(answer: Answer, policies: list[str]) -> list[Problem]:
    ancestors = [found for policy in policies if (found := _directives(policy).get("frame-ancestors")) is not None]
    if ancestors:  # browsers do not look at X-Frame-Options then (CSP level 3 §6.4.2)
        everybody = all(sources & _BROAD for sources in ancestors)
        return [Problem("frame-ancestors of everybody")] if everybody else []
    value = (answer.header("x-frame-options") or "").strip().lower()
    return [] if value in ("deny", "sameorigin") else [Problem("no X-Frame-Options or frame-ancestors")]


def _content(policies: list[str], *, https: bool) -> list[Problem]:
    if not policies:
        return [Problem("no Content-Security-Policy")]
    # Several policies all apply; the strictest one decides.
    reasons = [_loose(_directives(policy), https=https) for policy in policies]
    if all(reasons):
        return [Problem(f"Content-Security-Policy allows {reasons[0]}")]
    return []


def _loose(directives: dict[str, set[str]], *, https: bool) -> str | None:
    others = directives.get("default-src")
    scripts = directives.get("script-src", others)
    if scripts is None:
        return "scripts from anywhere"
    unsafe = scripts & _UNSAFE_SOURCES
    if any(source.startswith(_TRUSTED) for source in scripts):
        unsafe.discard("'unsafe-inline'")  # ignored beside a nonce or hash (CSP level 2)
        if "'strict-dynamic'" in scripts:
            unsafe -= _BROAD  # ignored beside it (CSP level 3)
    if unsafe:
        return " ".join(sorted(unsafe))
    objects = directives.get("object-src", others)
    if objects is None or objects & _BROAD:
        return "plug-ins from anywhere"
    if "'unsafe-eval'" in directives.get("style-src", others or set()):
        return "'unsafe-eval'"
    clear = {name for name, sources in directives.items() if any(map(_in_the_clear, sources))} - _PASSIVE
    if https and clear and "'strict-dynamic'" not in scripts:
        return f"{min(clear)} over HTTP"
    return None


def _in_the_clear(source: str) -> bool:
    return source.startswith(("http:", "ftp:"))


def _directives(policy: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in policy.lower().split(";"):
        name, *sources = part.split() or [""]
        if name:
            found.setdefault(name, set(sources))
    return found


def _referrer(answer: Answer) -> list[Problem]:
    value = answer.header("referrer-policy")
    if value is None:
        return [Problem("no Referrer-Policy", fails=False)]
    known = [word for word in value.lower().replace(" ", "").split(",") if word in _SAFE_REFERRER | _UNSAFE_REFERRER]
    if not known:
        return [Problem("Referrer-Policy of no known value")]
    # The last one that a browser knows counts (Referrer Policy §8.1).
    return [Problem(f"Referrer-Policy {known[-1]}")] if known[-1] in _UNSAFE_REFERRER else []
