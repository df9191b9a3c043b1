"""The reference service holds what it promises: tokens, tenants, limits, headers, health."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psycopg2
import pytest
import redis
from reference_platform import DEFAULT_TENANT, ORIGINS, SAMPLE_ROWS, SECOND_TENANT, Answer, Client, ReferencePlatform

from maestro_cli.demo.servers import EmbeddedValkey
from maestro_cli.demo.service import RunningService, ServiceProject, fault_names, template_folder
from maestro_cli.errors import MaestroError

REQUIRED_HEADERS = (
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "Content-Security-Policy",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cache-Control",
    "Cross-Origin-Resource-Policy",
)


@pytest.fixture(autouse=True)
def fresh_windows(reference_platform: ReferencePlatform) -> None:
    reference_platform.forget_requests()


@pytest.fixture
def client(reference_platform: ReferencePlatform, reference_service: RunningService) -> Iterator[Client]:
    with reference_platform.client(reference_service) as made:
        yield made


@pytest.fixture
def a(reference_platform: ReferencePlatform, reference_service: RunningService) -> Iterator[Client]:
    with reference_platform.as_account(reference_service, "a") as made:
        yield made


@pytest.fixture
def b(reference_platform: ReferencePlatform, reference_service: RunningService) -> Iterator[Client]:
    with reference_platform.as_account(reference_service, "b") as made:
        yield made


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    def encode(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    return f"{encode(header)}.{encode(claims)}."


def forged(platform: ReferencePlatform, token: str, *, key: str | None = None, without: str = "", **claims: Any) -> str:
    """The same token but for one thing."""
    changed = {**jwt.decode(token, options={"verify_signature": False}), **claims}
    changed.pop(without, None)
    return jwt.encode(changed, key or platform.environment["JWT_SECRET_KEY"], algorithm="HS256")


# Tokens


def test_login_gives_short_lived_tokens_and_a_guarded_cookie(
    reference_platform: ReferencePlatform, reference_service: RunningService
) -> None:
    answer = reference_platform.login(reference_service)
    access = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    refresh = jwt.decode(answer.json["refresh_token"], options={"verify_signature": False})
    assert access["exp"] - access["iat"] == 15 * 60
    assert refresh["exp"] - refresh["iat"] == 7 * 24 * 3600
    assert access["tid"] == DEFAULT_TENANT
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-refresh_token=")
    assert all(word in cookie for word in ("; Secure", "; HttpOnly", "; SameSite=strict", "; Path=/"))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # HS512 with our key, as an attacker would
def test_only_intact_access_tokens_open_the_door(
    reference_platform: ReferencePlatform, reference_service: RunningService, client: Client
) -> None:
    pair = reference_platform.login(reference_service).json
    token, now = pair["access_token"], int(time.time())
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert client("GET", "/projects", token=forged(reference_platform, token)).status == 200, "the control"
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    other_body = jwt.encode({**claims, "sub": str(uuid.uuid4())}, "k" * 32, algorithm="HS256").split(".")[1]
    refused = {
        "none": None,
        **{f"alg {alg}": unsigned({"alg": alg, "typ": "JWT"}, claims) for alg in ("none", "None", "NONE", "nOnE")},
        "stripped signature": f"{head}.{body}.",
        "flipped signature": f"{head}.{body}.{flipped}",
        "edited claims": f"{head}.{other_body}.{signature}",
        "another key": forged(reference_platform, token, key="another key of at least 32 bytes, you see"),
        "weak key": forged(reference_platform, token, key="secret".ljust(32, "\0")),
        "HS512": jwt.encode(claims, reference_platform.environment["JWT_SECRET_KEY"], algorithm="HS512"),
        "expired": forged(reference_platform, token, exp=now - 60),
        "not yet": forged(reference_platform, token, nbf=now + 120),
        "from the future": forged(reference_platform, token, iat=now + 120),
        "another audience": forged(reference_platform, token, aud="somebody-else"),
        "another issuer": forged(reference_platform, token, iss="somebody-else"),
        "nobody's": forged(reference_platform, token, sub=str(uuid.uuid4())),
        "another tenant's": forged(reference_platform, token, tid=SECOND_TENANT),
        "no uuid": forged(reference_platform, token, sub="1 OR 1=1"),
        "refresh token": pair["refresh_token"],
        **{
            f"no {name}": forged(reference_platform, token, without=name)
            for name in ("exp", "aud", "iss", "typ", "jti")
        },
    }
    answers = {name: client("GET", "/auth/me", token=value) for name, value in refused.items()}
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(refused, 401)
    assert len({answer.text for answer in answers.values()}) == 1, "a refusal does not tell why"


def test_a_refresh_token_works_once_and_its_reuse_ends_the_login(
    reference_platform: ReferencePlatform, reference_service: RunningService, client: Client
) -> None:
    first = reference_platform.login(reference_service).json
    assert client("POST", "/auth/refresh", {"refresh_token": first["access_token"]}).status == 401
    second = client("POST", "/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert second.status == 200
    assert client("GET", "/auth/me", token=second.json["access_token"]).status == 200
    assert client("POST", "/auth/refresh", {"refresh_token": first["refresh_token"]}).status == 401
    assert client("POST", "/auth/refresh", {"refresh_token": second.json["refresh_token"]}).status == 401
    assert client("GET", "/auth/me", token=second.json["access_token"]).status == 401
    other_login = reference_platform.login(reference_service).json
    assert client("POST", "/auth/refresh", {"refresh_token": other_login["refresh_token"]}).status == 200


def test_the_cookie_refreshes_too(
    reference_platform: ReferencePlatform, reference_service: RunningService, client: Client
) -> None:
    cookie = reference_platform.login(reference_service).headers["Set-Cookie"].partition(";")[0]
    assert client("POST", "/auth/refresh", headers={"Cookie": cookie}).status == 200
    assert client("POST", "/auth/refresh").status == 401


def test_logging_out_revokes_both_tokens_for_as_long_as_they_would_live(
    reference_platform: ReferencePlatform, reference_service: RunningService, client: Client
) -> None:
    pair = reference_platform.login(reference_service).json
    jti = jwt.decode(pair["access_token"], options={"verify_signature": False})["jti"]
    assert client("POST", "/auth/logout", token=pair["access_token"]).status == 204
    assert client("GET", "/auth/me", token=pair["access_token"]).status == 401
    assert client("POST", "/auth/refresh", {"refresh_token": pair["refresh_token"]}).status == 401
    with redis.Redis.from_url(reference_platform.valkey.url.reveal()) as store:
        assert 880 < store.ttl(f"token:blacklist:{jti}") < 960
        assert not [key for key in store.scan_iter("token:*") if pair["access_token"].encode() in key]


# Accounts


def test_an_unknown_user_and_a_wrong_password_look_the_same(client: Client) -> None:
    wrong = client("POST", "/auth/login", {"email": "a@example.test", "password": "wrong"})
    unknown = client("POST", "/auth/login", {"email": "nobody@example.test", "password": "wrong"})
    assert (
        (wrong.status, wrong.text) == (unknown.status, unknown.text) == (401, '{"detail":"wrong e-mail or password"}')
    )
    for password in ("x" * 73, "nul\0nul", "x" * 1000):
        assert client("POST", "/auth/login", {"email": "a@example.test", "password": password}).status == 401


def test_roles_are_kept(reference_platform: ReferencePlatform, reference_service: RunningService, a: Client) -> None:
    made = a("POST", "/projects", {"name": "kept"}).json["id"]
    with reference_platform.as_account(reference_service, "viewer") as viewer:
        assert viewer("GET", f"/projects/{made}").status == 200
        assert viewer("POST", "/projects", {"name": "x"}).status == 403
        assert viewer("PATCH", f"/projects/{made}", {"name": "x"}).status == 403
        assert viewer("DELETE", f"/projects/{made}").status == 403
    assert a("DELETE", f"/projects/{made}").status == 204


@pytest.mark.parametrize(
    ("table", "key", "row"), [("tenants", "id", SECOND_TENANT), ("users", "email", "b@example.test")]
)
def test_whoever_is_deactivated_is_out_at_once(
    reference_platform: ReferencePlatform, reference_service: RunningService, b: Client, table: str, key: str, row: str
) -> None:
    refresh = reference_platform.login(reference_service, "b").json["refresh_token"]
    connection = psycopg2.connect(reference_platform.environment["ADMIN_DATABASE_URL"])
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET is_active = false WHERE {key} = %s", (row,))
            try:
                assert b("GET", "/projects").status == 401
                assert reference_platform.login(reference_service, "b").status == 401
                assert b("POST", "/auth/refresh", {"refresh_token": refresh}).status == 401
            finally:
                cursor.execute(f"UPDATE {table} SET is_active = true WHERE {key} = %s", (row,))
    finally:
        connection.close()
    assert b("GET", "/projects").status == 200


# Tenants


def test_a_tenant_sees_and_touches_only_its_own(a: Client, b: Client) -> None:
    made = a("POST", "/projects", {"name": "a's own", "problem_class": "x"}).json["id"]
    artifact = b("POST", "/artifacts", {"name": "b's", "type": "model", "storage_path": "s3://bucket/b"}).json["id"]
    assert a("GET", f"/projects/{made}").json["name"] == "a's own"
    assert made in a("GET", "/projects").text
    assert made not in b("GET", "/projects").text
    assert b("GET", f"/projects/{made}").status == 404
    assert b("PATCH", f"/projects/{made}", {"name": "b's now"}).status == 404
    assert b("DELETE", f"/projects/{made}").status == 404
    assert b("POST", f"/artifacts/{artifact}/usage", {"project_id": made}).status == 404
    assert b("POST", f"/projects/{made}/metrics", {"metric_type": "m", "metric_value": 1}).status == 404
    assert a("GET", f"/projects/{made}").json["name"] == "a's own"
    assert a("DELETE", f"/projects/{made}").status == 204
    assert a("GET", f"/projects/{made}").status == 404
    assert b("DELETE", f"/artifacts/{artifact}").status == 204


def test_what_a_request_says_about_tenants_is_not_believed(a: Client, b: Client) -> None:
    made = a("POST", "/projects", {"name": "a's own"}).json["id"]
    for headers in ({"X-Tenant-ID": DEFAULT_TENANT}, {"X-Tenant": DEFAULT_TENANT}, {"Tenant": "default"}):
        assert b("GET", f"/projects/{made}", headers=headers).status == 404
    assert b("GET", f"/projects/{made}?tenant_id={DEFAULT_TENANT}").status == 404
    assert made not in b("GET", f"/projects?tenant_id={DEFAULT_TENANT}").text
    smuggled = b("POST", "/projects", {"name": "smuggled", "tenant_id": DEFAULT_TENANT})
    assert smuggled.status == 422
    assert a("PATCH", f"/projects/{made}", {"tenant_id": SECOND_TENANT}).status == 422
    assert "smuggled" not in a("GET", "/projects").text
    a("DELETE", f"/projects/{made}")


def test_rows_of_before_belong_to_the_default_tenant(a: Client, b: Client) -> None:
    names = {project["name"] for project in a("GET", "/projects").json["items"]}
    assert {f"project {number}" for number in range(SAMPLE_ROWS)} <= names
    assert b("GET", "/projects").json == {"items": []}


def test_projects_artifacts_and_what_hangs_on_them(a: Client) -> None:
    project = a("POST", "/projects", {"name": "p", "start_date": "2025-02-03", "meta": {"k": [1, "ü"]}}).json
    assert (project["start_date"], project["meta"]) == ("2025-02-03", {"k": [1, "ü"]})
    changed = a("PATCH", f"/projects/{project['id']}", {"success_score": 0.5}).json
    assert changed == {**project, "success_score": 0.5}
    artifact = a("POST", "/artifacts", {"name": "f", "type": "feature", "tags": ["x"]}).json
    used = a("POST", f"/artifacts/{artifact['id']}/usage", {"project_id": project["id"], "impact_score": 1})
    assert used.status == 201
    assert a("GET", f"/artifacts/{artifact['id']}").json["usage_count"] == 1
    assert a("PATCH", f"/artifacts/{artifact['id']}", {"is_active": False}).json["is_active"] is False
    assert artifact["id"] in a("GET", "/artifacts").text
    a("POST", f"/projects/{project['id']}/metrics", {"metric_type": "lead_time", "metric_value": 3})
    metrics = a("GET", f"/projects/{project['id']}/metrics").json["items"]
    assert [(m["metric_type"], m["metric_value"]) for m in metrics] == [("lead_time", 3)]
    newest = a("GET", "/projects?limit=1").json["items"][0]["id"]
    assert newest == project["id"]
    assert newest not in a("GET", f"/projects?before={newest}").text
    a("DELETE", f"/projects/{project['id']}")
    a("DELETE", f"/artifacts/{artifact['id']}")


def test_the_database_itself_keeps_tenants_apart(reference_platform: ReferencePlatform) -> None:
    connection = psycopg2.connect(reference_platform.environment["DATABASE_URL"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False, False)
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tableowner = current_user")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM projects")
        assert cursor.fetchone() == (0,), "no tenant set, no row"
        cursor.execute("SELECT set_config('app.tenant_id', %s, true)", (SECOND_TENANT,))
        for statement in (
            f"INSERT INTO projects (name, tenant_id) VALUES ('x', '{DEFAULT_TENANT}')",
            "CREATE TABLE mine (id int)",
            "INSERT INTO users (email, password_hash, tenant_id) SELECT 'x', 'x', id FROM tenants",
            "DELETE FROM tenants",
        ):
            cursor.execute("SAVEPOINT before")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
            cursor.execute("ROLLBACK TO before")
    connection.close()


def test_stored_passwords_and_paths_are_unreadable(reference_platform: ReferencePlatform, a: Client) -> None:
    artifact = a("POST", "/artifacts", {"name": "f", "type": "model", "storage_path": "s3://canary/path"}).json
    assert artifact["storage_path"] == "s3://canary/path"
    connection = psycopg2.connect(reference_platform.environment["DATABASE_URL"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant_id', %s, true)", (DEFAULT_TENANT,))
        cursor.execute("SELECT storage_path FROM artifacts WHERE id = %s", (artifact["id"],))
        row = cursor.fetchone()
        assert row is not None
        assert "canary" not in row[0]
        cursor.execute("SELECT DISTINCT substr(password_hash, 1, 7) FROM users")
        assert cursor.fetchall() == [("$2b$12$",)]
    connection.close()
    a("DELETE", f"/artifacts/{artifact['id']}")


# Browsers


def test_exactly_the_configured_origins_may_call(client: Client) -> None:
    hostile = (
        "https://evil.example.net",
        "null",
        "https://app.example.test.evil.net",
        "https://evilapp.example.test",
        "http://app.example.test",
        "https://APP.example.test",
        "https://app.example.test:8443",
    )
    preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for origin in ORIGINS:
        for answer in (
            client("GET", "/health", headers={"Origin": origin}),
            client("OPTIONS", "/projects", headers={"Origin": origin, **preflight}),
            client("GET", "/projects", headers={"Origin": origin}),
        ):
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.status in {200, 401}
    for origin in hostile:
        for answer in (
            client("GET", "/health", headers={"Origin": origin}),
            client("OPTIONS", "/projects", headers={"Origin": origin, **preflight}),
        ):
            assert not [name for name in answer.headers if name.lower().startswith("access-control")], origin
            assert "Origin" in answer.headers["Vary"]


def test_every_answer_carries_the_security_headers(
    reference_platform: ReferencePlatform, reference_service: RunningService, client: Client
) -> None:
    answers = {
        200: client("GET", "/health"),
        401: client("GET", "/projects"),
        404: client("GET", "/nowhere"),
        405: client("TRACE", "/health"),
        422: client("POST", "/auth/login", {}),
        413: client("POST", "/auth/login", raw=b"x" * 1_100_000),
    }
    with reference_platform.start("health-500") as broken, reference_platform.client(broken) as other:
        answers[500] = other("GET", "/health")
        assert answers[500].json["detail"] == "internal error"
    for status, answer in answers.items():
        assert answer.status == status
        assert [name for name in REQUIRED_HEADERS if name not in answer.headers] == []
        assert "Server" not in answer.headers
        assert "Traceback" not in answer.text


# Limits


def test_the_61st_request_of_a_minute_is_refused_whatever_it_claims(client: Client) -> None:
    answers = [client("GET", "/health") for _ in range(60)]
    assert {answer.status for answer in answers} == {200}
    assert [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers] == list(range(59, -1, -1))
    refused = client("GET", "/health")
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"):
        value = "for=203.0.113.7" if name == "Forwarded" else "203.0.113.7"
        assert client("GET", "/health", headers={name: value}).status == 429
    assert client("GET", "/health?x=1").status == 429
    assert client("GET", "/live").status == 200, "another endpoint has a window of its own"


def test_ids_in_the_path_and_unknown_paths_give_no_fresh_window(a: Client) -> None:
    remaining = [
        int(a("GET", f"{prefix}{uuid.uuid4()}").headers["X-RateLimit-Remaining"])
        for prefix in ("/projects/", "/projects/", "/nowhere/", "/else/")
    ]
    assert remaining == [59, 58, 59, 58]


def test_malformed_bodies_are_the_clients_fault(a: Client) -> None:
    good = '"name": "x"'
    bodies = [
        b"{",
        b'{"name": ',
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"",
        b'{"name": "nul\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"\\ud800": 1}',
        b"[" * 900_000,
        b"[" * 200_000,
        f'{{{good}, "meta": {{"a": NaN}}}}'.encode(),
        f'{{{good}, "meta": {{"a": "\\u0000"}}}}'.encode(),
        f'{{{good}, "meta": {{"a": "\\ud800"}}}}'.encode(),
        f'{{{good}, "meta": {"[" * 900}{"]" * 900}}}'.encode(),
        f'{{{good}, "meta": {{"a": {"[" * 900}{"]" * 900}}}}}'.encode(),
        f'{{{good}, "team_size": {"9" * 5000}}}'.encode(),
        f'{{{good}, "success_score": 1e999}}'.encode(),
        f'{{{good}, "start_date": "0000-00-00"}}'.encode(),
    ]
    for body in bodies:
        answer = a("POST", "/projects", raw=body)
        assert answer.status in {201, 400, 422}, (body[:60], answer.text)
        assert not re.search(r"Traceback|site-packages|psycopg2|sqlalchemy", answer.text)
        if answer.status == 201:
            a("DELETE", f"/projects/{answer.json['id']}")
    assert a("POST", "/projects", raw=b"{}", headers={"Content-Type": "text/plain"}).status == 422
    assert a("GET", "/projects/not-a-uuid").status == 422
    assert a("GET", "/projects?limit=1000000").status == 422


def test_a_refusal_does_not_repeat_the_password(client: Client) -> None:
    answer = client("POST", "/auth/login", {"email": ["x"], "password": {"canary": "canary-password"}})
    assert answer.status == 422
    assert "canary-password" not in answer.text


def test_bodies_are_bounded_also_when_their_length_is_not_declared(
    reference_platform: ReferencePlatform, reference_service: RunningService
) -> None:
    import http.client
    import ssl

    host, port = reference_service.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=reference_platform.pair.ca)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
    connection.request(
        "POST",
        "/auth/login",
        body=(b"x" * 65_536 for _ in range(20)),
        headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 413
    connection.close()


# Exposure


def test_nothing_is_served_that_should_not_be(reference_platform: ReferencePlatform, client: Client) -> None:
    for path in ("/.git/HEAD", "/.env", "/docs", "/redoc", "/openapi.json", "/debug", "/maestro.yaml", "/../.env"):
        assert client("GET", path).status == 404, path
    traced = client("TRACE", "/health", headers={"X-Canary": "canary-4711"})
    assert traced.status == 405
    assert "canary-4711" not in traced.text
    assert client("GET", "/metrics").status == 401
    assert client("GET", "/metrics", token="guess").status == 401
    metrics = client("GET", "/metrics", token=reference_platform.environment["API_SECRET_KEY"])
    assert 'service_answers_total{status="200"}' in metrics.text


# Operation


def test_health_names_what_is_down(reference_platform: ReferencePlatform, tmp_path: Path) -> None:
    with (
        EmbeddedValkey(tmp_path) as valkey,
        reference_platform.start(REDIS_URL=valkey.url.reveal()) as service,
        reference_platform.as_account(service, "a") as client,
    ):
        assert client("GET", "/health").json == {"status": "ok", "checks": {"postgresql": "ok", "redis": "ok"}}
        valkey.stop()
        down = client("GET", "/health")
        assert down.status == 503
        assert down.json["checks"] == {"postgresql": "ok", "redis": "unreachable"}
        assert client("GET", "/projects").status == 503, "a revoked token can't be told from a good one"
        assert client("GET", "/live").status == 200
        valkey.start()
        assert client("GET", "/health").status == 200
        assert client("GET", "/projects").status == 200
    dead = "postgresql://maestro_app:canary@127.0.0.1:1/maestro_ml"
    with reference_platform.start(DATABASE_URL=dead) as service, reference_platform.client(service) as client:
        down = client("GET", "/health")
        assert (down.status, down.json["checks"]) == (503, {"postgresql": "unreachable", "redis": "ok"})
        assert reference_platform.login(service).status == 503
        assert "canary" not in service.log.read_text()


def test_stopping_answers_what_has_begun(reference_platform: ReferencePlatform) -> None:
    service = reference_platform.start("health-slow")
    answers: list[Answer] = []
    with reference_platform.client(service) as client:
        thread = threading.Thread(target=lambda: answers.append(client("GET", "/health")))
        thread.start()
        time.sleep(0.5)
        service.stop()
        thread.join()
    assert [answer.status for answer in answers] == [200]


def test_logs_are_json_and_hold_no_secret(reference_platform: ReferencePlatform) -> None:
    with reference_platform.start() as service:
        pair = reference_platform.login(service).json
        with reference_platform.client(service) as client:
            client("GET", "/projects?token=canary-query", token=pair["access_token"])
            client("GET", f"/projects/{pair['access_token']}", token=pair["access_token"])
            client("POST", "/auth/login", {"email": "a@example.test", "password": "canary-password"})
            client("POST", "/auth/refresh", {"refresh_token": pair["refresh_token"]})
    text = service.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["path"] for line in lines if line["message"] == "request"} >= {"/auth/login", "/projects"}
    secrets = [
        value for name, value in reference_platform.environment.items() if name not in {"CORS_ORIGINS", "ENVIRONMENT"}
    ]
    for secret in (*secrets, *pair.values(), "canary-query", "canary-password"):
        assert not isinstance(secret, str) or secret == "bearer" or secret not in text


def test_missing_settings_are_named_all_at_once_and_without_values(
    reference_platform: ReferencePlatform, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=reference_platform.project.directory,
        env={"PATH": os.environ["PATH"], "ENV_FILE": str(tmp_path / "none"), "JWT_SECRET_KEY": "canary-short"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "DATABASE_URL, REDIS_URL, JWT_REFRESH_SECRET_KEY, API_SECRET_KEY, ENCRYPTION_KEY" in done.stderr
    assert "canary" not in done.stderr
    assert "Traceback" not in done.stderr


def test_models_and_database_agree_and_the_first_revision_goes_down_and_up(
    reference_platform: ReferencePlatform, database: str
) -> None:
    reference_platform.project.check_models(reference_platform.environment)
    empty = {**reference_platform.environment, "ADMIN_DATABASE_URL": database}
    project = ServiceProject(reference_platform.project.directory)
    project.migrate(empty)
    with pytest.raises(MaestroError, match="tenants"):
        project.check_models(empty)
    project._run(["alembic", "downgrade", "base"], empty)
    project.migrate(empty)


# Faults


def test_a_fault_is_ignored_loudly_unless_it_is_allowed(reference_platform: ReferencePlatform) -> None:
    with reference_platform.start(MAESTRO_FAULT="jwt-alg-none,git-exposed") as service:
        with reference_platform.client(service) as client:
            assert client("GET", "/.git/HEAD").status == 404
            token = reference_platform.login(service).json["access_token"]
            claims = jwt.decode(token, options={"verify_signature": False})
            assert client("GET", "/auth/me", token=unsigned({"alg": "none"}, claims)).status == 401
        loud = [json.loads(line) for line in service.log.read_text().splitlines() if '"critical"' in line]
        assert "IGNORED" in loud[0]["message"]


def test_an_unknown_fault_is_refused(reference_platform: ReferencePlatform) -> None:
    with pytest.raises(MaestroError, match="did you mean 'jwt-alg-none'"):
        reference_platform.start("jwt-alg-non")


def test_the_table_of_faults_and_the_code_agree() -> None:
    table = fault_names()
    assert len(table) >= 80
    code = "\n".join(
        file.read_text() for file in (template_folder() / "service").rglob("*.py") if file.name != "faults.py"
    )
    code = code.replace(
        'f"headers-missing-on-{status}"', " ".join(f'"headers-missing-on-{s}"' for s in (401, 404, 500))
    )
    quoted = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', code))
    assert [name for name in table if name not in quoted] == [], "in the table, but nowhere in the code"
    asked = set(re.findall(r'faults\.on\("([^"]+)"\)', code))
    assert asked <= set(table)
    assert all(sentence.endswith(".") and sentence[0] != " " for sentence in table.values())
