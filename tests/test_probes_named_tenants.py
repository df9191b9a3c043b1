"""Services that want a header with every request: a gateway's key, and whose tenant one asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from check_support import context, load_check
from other_service import SAFE, OtherService, Shape, configuration
from small_api import Asked, Said, serving
from test_probes_other_services import ALWAYS, asking, findings

from maestro_cli.model import Component, Report
from maestro_cli.observe import tokens
from maestro_cli.observe.http import LEFT_OUT, overridden
from maestro_cli.redaction import Secret
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

KEY = Secret("a-gateway-key-of-some-length-5713")


class Gated(OtherService):
    """The other service behind a gateway, which opens with a key and for requests that name their tenant rightly."""

    believes: bool = False
    unnamed: str = ""
    """What is let through although it names no tenant: nothing, or `missing`, or `empty`; it is not narrowed then."""

    def __call__(self, asked: Asked) -> Said:
        path = urlsplit(asked.path).path.removeprefix(self.shape.prefix)
        preflight = asked.method == "OPTIONS"
        if preflight:
            assert "x-api-key" not in asked.headers, "no browser sends a page's headers with a preflight"
        elif asked.headers.get("x-api-key") != KEY.reveal():
            return Said(401, b'{"error": "who asks?"}', SAFE)
        if path.startswith("/notes") and not preflight:
            named = asked.headers.get("x-company")
            if (self.unnamed == "missing" and named is None) or (self.unnamed == "empty" and named == ""):
                return self._unnarrowed(asked, path)
            if named is None:
                return Said(400, b'{"error": "whose?"}', SAFE)
            token = tokens.parse(self._bearer(asked) or "")
            if token is not None and not self.believes and named != str(token.claims.get("org_id")):
                return Said(403, b'{"error": "not yours"}', SAFE)
            if self.believes:
                asked = replace(asked, headers={**asked.headers, "x-tenant-id": named})
        return super().__call__(asked)

    def _unnarrowed(self, asked: Asked, path: str) -> Said:
        row = self.objects.get(path.removeprefix("/notes/"))
        if self._bearer(asked) is None or (row is None and path != "/notes"):
            return Said(401, b'{"error": "who asks?"}', SAFE)
        if row is None:
            return Said(200, json.dumps({"notes": list(self.objects.values())}).encode(), SAFE)
        if asked.method == "DELETE":
            del self.objects[str(row["id"])]
        elif asked.method in ("PUT", "PATCH"):
            row["text"] = json.loads(asked.body)["text"]
        return Said(200, json.dumps(row).encode(), SAFE)


def probe(service: OtherService, folder: Path, *, tenants: bool) -> Report:
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        settings["api"]["headers"] = {"X-Api-Key": KEY.reveal(), "X-Company": "{tenant}"}
        if tenants:
            for account, tenant in zip(settings["api"]["auth"]["accounts"], ("1", "2"), strict=True):
                account["tenant"] = tenant
        ctx = context(folder, json.dumps(settings))
        try:
            return run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        finally:
            ctx.close()
            assert ctx.cleanup.left == []


@pytest.mark.parametrize("tenants", [True, False], ids=["written", "told-by-the-token"])
def test_what_every_request_needs_goes_with_every_request(project: Path, tenants: bool) -> None:
    service = Gated(Shape(algorithm="ES256", prefix="/svc"))
    report = probe(service, project, tenants=tenants)
    assert set(findings(report)) == ALWAYS
    measured = {row.id for row in report.checks if row.status == "pass"}
    wanted = {"security.jwt-signature", "security.tenant-spoofing", "security.tenant-write", "security.revocation"}
    assert wanted <= measured
    assert service.objects == {}
    assert KEY.reveal() not in repr(report)


def test_the_services_own_header_believed_is_found_by_its_name(project: Path) -> None:
    service = Gated(Shape(), frozenset({"tenant-header-believed"}))
    service.believes = True
    report = probe(service, project, tenants=True)
    found = {row.id: row.message for row in report.checks if row.status == "fail"}
    assert set(found) == {*ALWAYS, load_check("security.tenant-spoofing").id}
    assert "X-Company" in found["security.tenant-spoofing"]
    assert service.objects == {}


@pytest.mark.parametrize(("unnamed", "said"), [("missing", "without X-Company"), ("empty", "with an empty X-Company")])
def test_who_names_no_tenant_is_not_let_into_all_of_them(project: Path, unnamed: str, said: str) -> None:
    service = Gated(Shape())
    service.unnamed = unnamed
    report = probe(service, project, tenants=True)
    found = {row.id: row.message for row in report.checks if row.status == "fail"}
    wanted = {"security.tenant-list", "security.tenant-read", "security.tenant-write"}
    assert set(found) == {*ALWAYS, *wanted}
    assert all(said in found[name] for name in wanted), found


def test_a_header_is_sent_once_however_its_name_is_written() -> None:
    usual = {"User-Agent": "maestro", "X-Org-Id": "1"}
    assert overridden(usual, {"X-Org-ID": "2"}) == {"User-Agent": "maestro", "X-Org-ID": "2"}
    assert overridden(usual, {"X-ORG-ID": LEFT_OUT}) == {"User-Agent": "maestro"}
    assert overridden({}, {"X-Org-Id": "1", "x-org-id": "2"}) == {"x-org-id": "2"}
