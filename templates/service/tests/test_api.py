"""The API as a client sees it; needs `.env` with a migrated, seeded database and Redis."""

from __future__ import annotations

import uuid

import pytest
from conftest import Api
from service import redis_store


def test_health_and_headers(api: Api) -> None:
    answer = api("GET", "/health")
    assert answer.json == {"status": "ok", "checks": {"postgresql": "ok", "redis": "ok"}}
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert api("GET", "/live").status == 200
    assert api("GET", "/nowhere").status == 404
    assert api("TRACE", "/health").status == 405


def test_a_login_lives_until_it_is_ended(api: Api) -> None:
    first = api.log_in("a@example.test", "PROBE_A_PASSWORD")
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    assert api("GET", "/auth/me", token=first.json["access_token"]).json["role"] == "admin"
    second = api("POST", "/auth/refresh", headers={"cookie": cookie})
    assert second.status == 200
    assert api("POST", "/auth/logout", token=second.json["access_token"]).status == 204
    assert api("GET", "/auth/me", token=second.json["access_token"]).status == 401
    assert api("POST", "/auth/refresh", {"refresh_token": second.json["refresh_token"]}).status == 401


def test_wrong_credentials_and_tokens_are_refused(api: Api) -> None:
    credentials = {"email": "nobody@example.test", "password": "wrong"}
    assert api("POST", "/auth/login", credentials).status == 401
    assert api("POST", "/auth/refresh", {"refresh_token": "nonsense"}).status == 401
    assert api("POST", "/auth/refresh").status == 401


@pytest.mark.usefixtures("reachable")
def test_the_reuse_of_a_refresh_token_ends_the_login() -> None:
    family = uuid.uuid4().hex
    redis_store.start_family(family, "first")
    assert redis_store.rotate(family, "first", "second")
    assert not redis_store.rotate(family, "first", "third")
    assert not redis_store.rotate(family, "second", "fourth")
    assert redis_store.is_revoked("any token", family)


def test_projects(a: Api) -> None:
    made = a("POST", "/projects", {"name": "test", "start_date": "2026-01-05", "meta": {"k": 1}}).json
    path = f"/projects/{made['id']}"
    assert a("PATCH", path, {"success_score": 0.5}).json == {**made, "success_score": 0.5}
    assert a("GET", path).json["name"] == "test"
    assert a("GET", "/projects?limit=1").json["items"][0]["id"] == made["id"]
    assert a("POST", f"{path}/metrics", {"metric_type": "m", "metric_value": 2}).status == 201
    assert a("GET", f"{path}/metrics").json["items"][0]["metric_value"] == 2
    assert a("DELETE", path).status == 204
    assert a("GET", path).status == 404


def test_artifacts(a: Api) -> None:
    project = a("POST", "/projects", {"name": "test"}).json["id"]
    made = a("POST", "/artifacts", {"name": "f", "type": "model", "storage_path": "s3://bucket/f"}).json
    path = f"/artifacts/{made['id']}"
    assert made["storage_path"] == "s3://bucket/f"
    assert a("POST", f"{path}/usage", {"project_id": project}).status == 201
    assert a("PATCH", path, {"is_active": False}).json["usage_count"] == 1
    assert path.rpartition("/")[2] in a("GET", "/artifacts").text
    assert a("DELETE", path).status == 204
    assert a("DELETE", f"/projects/{project}").status == 204


def test_tenants_do_not_see_each_other(a: Api, b: Api) -> None:
    made = a("POST", "/projects", {"name": "a's own"}).json["id"]
    tenant = a("GET", "/auth/me").json["tenant_id"]
    for answer in (
        b("GET", f"/projects/{made}"),
        b("GET", f"/projects/{made}?tenant_id={tenant}", headers={"X-Tenant-ID": tenant}),
        b("PATCH", f"/projects/{made}", {"name": "b's now"}),
        b("DELETE", f"/projects/{made}"),
    ):
        assert answer.status == 404
    assert made not in b("GET", "/projects").text
    assert b("POST", "/projects", {"name": "x", "tenant_id": tenant}).status == 422
    assert a("DELETE", f"/projects/{made}").status == 204


def test_bad_requests_are_refused_politely(a: Api, api: Api) -> None:
    for body in (b"{", b"[]", {"name": "nul\0"}, {"name": "x", "meta": {"a": "\0"}}, {"name": "x", "unknown": 1}):
        answer = a("POST", "/projects", body)
        assert answer.status in {400, 422}
        assert "Traceback" not in answer.text
    assert a("GET", f"/projects/{uuid.uuid4()}").status == 404
    assert api("GET", "/projects").status == 401
    assert api("GET", "/projects", token="nonsense").status == 401
    assert api("GET", "/projects", headers={"authorization": "Basic eA=="}).status == 401
    assert api("POST", "/auth/login", b"x" * 1_100_000).status == 413


def test_the_61st_request_is_refused(api: Api) -> None:
    assert {api("GET", "/live").status for _ in range(60)} == {200}
    refused = api("GET", "/live", headers={"X-Forwarded-For": "203.0.113.7"})
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1


def test_only_known_origins_may_call(api: Api) -> None:
    from service.settings import current

    known = current().cors_origins[0]
    preflight = {"Access-Control-Request-Method": "GET"}
    assert api("OPTIONS", "/projects", headers={"origin": known, **preflight}).status == 200
    assert api("GET", "/health", headers={"origin": known}).headers["Access-Control-Allow-Origin"] == known
    for origin in ("https://evil.example.net", "null", f"{known}.evil.net"):
        assert api("OPTIONS", "/projects", headers={"origin": origin, **preflight}).status == 400
        assert "Access-Control-Allow-Origin" not in api("GET", "/health", headers={"origin": origin}).headers


def test_metrics_need_their_key(api: Api) -> None:
    from service.settings import current

    assert api("GET", "/metrics", token="guess").status == 401
    assert "service_answers_total" in api("GET", "/metrics", token=current().api_key).text
