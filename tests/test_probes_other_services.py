"""Services differ: other logins, tokens, keys, headers, ids and paths; the probes find the same faults, and no others."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from check_support import context
from fault_tables import BEHIND_SIGNATURES, BEHIND_TOKENS, Turns, turns
from other_service import FAULTS, OtherService, Shape, configuration
from small_api import Asked, Said, serving

from maestro_cli.api import Check
from maestro_cli.config import without_file
from maestro_cli.discovery import discover
from maestro_cli.model import Component, Report
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

SHAPES = {
    "json-hs256": Shape(),
    "form-rs256-prefix-nested-integers": Shape(
        algorithm="RS256", prefix="/api/v1", login="form", nested=True, ids="integer"
    ),
    "cookie-es256-slugs-no-with-200": Shape(algorithm="ES256", login="cookie", ids="slug", says_no_with_200=True),
    "own-header-hs512": Shape(
        algorithm="HS512", header="x-auth-token", scheme="", says_no_with_200=True, prefix="/v2", ids="integer"
    ),
    "token-scheme-eddsa-nested": Shape(algorithm="EdDSA", scheme="Token", nested=True),
}
ALWAYS = {"readiness.https"}
"""It is served in the clear."""
HS_ONLY = {"jwt-short-key", "jwt-weak-key", "jwt-repeated-key", "jwt-weak-second-key"}
KEY_PAIR_ONLY = {"jwt-public-key-as-secret", "jwt-public-key-as-hs512-secret"}
EXPECTED: dict[str, Turns] = {
    "garbage-token-accepted": turns("readiness.authentication", unmeasured=BEHIND_TOKENS),
    "anonymous-accepted": turns("readiness.authentication", unmeasured=BEHIND_TOKENS),
    "jwt-alg-none": turns("security.jwt-alg-none"),
    "jwt-signature-unchecked": turns("security.jwt-signature", unmeasured=BEHIND_SIGNATURES),
    "jwt-signature-unchecked-when-reading": turns("security.jwt-signature"),
    "jwt-short-key": turns("security.jwt-weak-key"),
    "jwt-weak-key": turns("security.jwt-weak-key"),
    "jwt-empty-key": turns("security.jwt-key-confusion", unmeasured=("security.jwt-kid-path",)),
    "jwt-public-key-as-secret": turns("security.jwt-key-confusion"),
    "jwt-jwk-trusted": turns("security.jwt-embedded-key"),
    "jwt-oct-jwk-trusted": turns("security.jwt-embedded-key"),
    "jwt-jku-fetched": turns("security.jwt-key-url"),
    "jwt-kid-sql": turns("security.jwt-kid-path"),
    "jwt-x5c-trusted": turns("security.jwt-embedded-key"),
    "jwt-zero-signature": turns("security.jwt-signature"),
    "jwt-public-key-as-hs512-secret": turns("security.jwt-key-confusion"),
    "jwt-repeated-key": turns("security.jwt-weak-key"),
    "jwt-weak-second-key": turns("security.jwt-weak-key"),
    "jwt-audience-by-pattern": turns("security.jwt-audience"),
    "jwt-expired-accepted": turns("security.jwt-time"),
    "jwt-nbf-ignored": turns("security.jwt-time"),
    "jwt-nbf-skew-large": turns("security.jwt-time"),
    "jwt-without-exp": turns("security.jwt-time", "security.token-lifetime", "readiness.token-settings"),
    "jwt-audience-ignored": turns("security.jwt-audience"),
    "jwt-refresh-as-access": turns("security.token-type"),
    "refresh-reusable": turns("security.refresh-rotation"),
    "refresh-not-rotated": turns("security.refresh-rotation"),
    "logout-noop": turns("security.revocation"),
    "tenant-read-unscoped": turns("security.tenant-read", unmeasured=("security.tenant-spoofing",)),
    "tenant-list-unscoped": turns("security.tenant-list"),
    "tenant-update-leaks": turns("security.tenant-write"),
    "tenant-delete-leaks": turns("security.tenant-write"),
    "tenant-header-believed": turns("security.tenant-spoofing"),
    "tenant-header-believed-when-making": turns("security.tenant-spoofing"),
    "tenant-header-believed-when-changing": turns("security.tenant-spoofing"),
    "tenant-header-believed-when-deleting": turns("security.tenant-spoofing"),
    "tenant-body-believed": turns("security.tenant-spoofing"),
    "tenant-nested-in-body-believed": turns("security.tenant-spoofing"),
    "name-in-sql": turns("readiness.authentication"),
    "name-as-operator": turns("readiness.authentication"),
    "id-in-sql": turns("security.tenant-read"),
    "enumeration-status": turns("security.user-enumeration"),
    "cookie-not-httponly": turns("security.cookies"),
    "debug-page": turns("security.exposure", "readiness.environment"),
    "debug-errors": turns("security.malformed-body"),
    "env-exposed": turns("security.exposure"),
    "clock-api-ahead": turns("health.clock-skew"),
    "clock-api-behind": turns("health.clock-skew"),
}


def fits(fault: str, shape: Shape) -> bool:
    """Whether the fault exists in a service of this shape."""
    if fault in HS_ONLY:
        return shape.algorithm.startswith("HS")
    if fault in KEY_PAIR_ONLY:
        return not shape.algorithm.startswith("HS")
    if fault == "name-as-operator":
        return shape.login != "form"
    return fault != "cookie-not-httponly" or shape.login == "cookie"


def cases() -> Iterator[tuple[str, str]]:
    """Each fault in two of the shapes that can have it, in turn: all four would say the same thing twice more."""
    for number, fault in enumerate(FAULTS):
        names = [name for name, shape in SHAPES.items() if fits(fault, shape)]
        yield from {(names[(number + turn) % len(names)], fault) for turn in (0, 1)}


@functools.cache
def asking() -> tuple[Check, ...]:
    checks = discover(without_file(Path.cwd()), plugins=False).checks.values()
    return tuple(check for check in checks if check.requests)


def probe(service: OtherService, folder: Path, *, forging: bool = True) -> Report:
    """Run everything that asks; what was made must be gone afterwards."""
    with serving(service) as port:
        ctx = context(folder, configuration(service, port, forging=forging))
        try:
            return run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        finally:
            ctx.close()
            assert ctx.cleanup.left == []


def findings(report: Report) -> dict[str, str]:
    return {row.id: f"{row.status}" for row in report.checks if row.status not in ("pass", "skip")}


@pytest.mark.parametrize("name", SHAPES)
def test_a_healthy_service_of_any_shape_has_no_finding(project: Path, name: str) -> None:
    service = OtherService(SHAPES[name])
    report = probe(service, project)
    assert set(findings(report)) == ALWAYS
    measured = {row.id for row in report.checks if row.status == "pass"}
    assert {"security.jwt-time", "security.tenant-spoofing", "security.revocation", "security.cookies"} <= measured
    assert service.objects == {}, "no probe's object is left"


@pytest.mark.parametrize(("name", "fault"), sorted(cases()))
def test_a_fault_is_found_whatever_the_shape(project: Path, name: str, fault: str) -> None:
    service = OtherService(SHAPES[name], frozenset({fault}))
    expected = {**dict.fromkeys(ALWAYS, "fail"), **EXPECTED[fault].as_statuses()}
    assert findings(probe(service, project)) == expected
    assert service.objects == {}


@pytest.mark.parametrize("name", SHAPES)
def test_without_the_key_what_needs_it_is_left_out_and_says_which_key(project: Path, name: str) -> None:
    report = probe(OtherService(SHAPES[name]), project, forging=False)
    left_out = {row.id: row.message for row in report.checks if row.status == "skip"}
    for check in ("security.jwt-time", "security.jwt-audience"):
        assert "api.auth.secret" in left_out[check]
    assert set(findings(report)) == ALWAYS
    assert {"security.jwt-alg-none", "security.jwt-signature"} <= {
        row.id for row in report.checks if row.status == "pass"
    }


def test_no_token_and_no_password_is_in_a_report(project: Path) -> None:
    service = OtherService(SHAPES["cookie-es256-slugs-no-with-200"], frozenset({"jwt-alg-none", "logout-noop"}))
    report = probe(service, project)
    text = repr(report)
    assert "eyJ" not in text
    assert "has-a-password" not in text
    assert "sha256:" in text


def test_the_requests_of_a_check_never_exceed_what_it_announces(project: Path) -> None:
    for fault in (None, "jwt-weak-key", "tenant-body-believed"):
        for check in asking():
            service = OtherService(Shape(), frozenset({fault} if fault else ()))
            with serving(service) as port:
                ctx = context(project, configuration(service, port))
                run([check], ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
                ctx.close()
            assert service.asked <= check.requests, f"{check.id} sends {service.asked}, announces {check.requests}"


class OtherAnswers(OtherService):
    """Tells the id of a new object in another way."""

    told: str = "location"

    def __call__(self, asked: Asked) -> Said:
        said = super().__call__(asked)
        if asked.method == "POST" and asked.path.endswith("/notes") and said.status == 201:
            made = json.loads(said.body)["note"]["id"]
            headers = {**said.headers, **({"Location": f"/notes/{made}/"} if self.told == "location" else {})}
            return Said(201, b"{}", headers)
        return said


def test_an_id_in_the_location_header_is_enough(project: Path) -> None:
    service = OtherAnswers(Shape(ids="integer"))
    assert set(findings(probe(service, project))) == ALWAYS
    assert service.objects == {}


def test_an_object_whose_id_is_not_told_is_said_to_be_left_behind(project: Path) -> None:
    service = OtherAnswers(Shape())
    service.told = "nowhere"
    with serving(service) as port:
        ctx = context(project, configuration(service, port))
        report = run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    assert {row.status.value for row in report.checks if ".tenant-" in row.id} == {"error"}
    assert ctx.cleanup.left
    assert all("no id at api.isolation.create.id" in what for what in ctx.cleanup.left)


def test_what_cannot_be_deleted_is_said_to_be_left_behind(project: Path) -> None:
    service = OtherService(Shape())

    def stubborn(asked: Asked) -> Said:
        return Said(405) if asked.method == "DELETE" else service(asked)

    with serving(stubborn) as port:
        ctx = context(project, configuration(service, port))
        run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    assert len(ctx.cleanup.left) == len(service.objects) > 0
    assert all("its deletion is answered 405" in what for what in ctx.cleanup.left)
