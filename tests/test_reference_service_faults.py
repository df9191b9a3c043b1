"""Each fault of the reference service does what its sentence says; without it, the same attempt fails."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jwt
import psycopg2
import pytest
import redis
from reference_platform import DEFAULT_TENANT, ORIGINS, SECOND_TENANT, Answer, Client, ReferencePlatform

from maestro_cli.demo.service import RunningService, fault_names

pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # attackers' keys are short
APP = ORIGINS[0]


@dataclass
class Scene:
    """A running service and what an attacker has: two accounts and a keyboard."""

    platform: ReferencePlatform
    service: RunningService
    clients: list[Client] = field(default_factory=list)

    @cached_property
    def nobody(self) -> Client:
        return self._kept(self.platform.client(self.service))

    def _kept(self, client: Client) -> Client:
        self.clients.append(client)
        return client

    def login(self, account: str = "a") -> dict[str, Any]:
        answer: dict[str, Any] = self.platform.login(self.service, account).json
        return answer

    @cached_property
    def pair(self) -> dict[str, Any]:
        return self.login()

    @cached_property
    def a(self) -> Client:
        return self._kept(self.platform.as_account(self.service, "a"))

    @cached_property
    def b(self) -> Client:
        return self._kept(self.platform.as_account(self.service, "b"))

    @cached_property
    def viewer(self) -> Client:
        return self._kept(self.platform.as_account(self.service, "viewer"))

    @property
    def key(self) -> str:
        return self.platform.environment["JWT_SECRET_KEY"]

    def claims(self, token: str = "", **changes: Any) -> dict[str, Any]:
        claims = {**jwt.decode(token or self.pair["access_token"], options={"verify_signature": False}), **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def accepted(self, token: str) -> bool:
        return self.nobody("GET", "/auth/me", token=token).status == 200

    def forged(self, *, key: str | None = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """An issued token that differs in these claims only (None takes one away)."""
        return jwt.encode(self.claims(**changes), key or self.key, algorithm="HS256", headers=headers)

    def refreshed(self, token: str) -> Answer:
        return self.nobody("POST", "/auth/refresh", {"refresh_token": token})

    @contextlib.contextmanager
    def project_of_a(self) -> Iterator[str]:
        made = self.a("POST", "/projects", {"name": "a's own"}).json["id"]
        yield made
        with self.platform.as_account(self.service, "a") as fresh:
            fresh("DELETE", f"/projects/{made}")

    def login_status(self, email: str, password: str = "wrong") -> Answer:
        return self.nobody("POST", "/auth/login", {"email": email, "password": password})

    def cors(self, origin: str) -> str | None:
        return self.nobody("GET", "/live", headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin")

    def burst(self, count: int) -> list[Answer]:
        self.platform.forget_requests()
        return [self.nobody("GET", "/live") for _ in range(count)]

    def store(self) -> redis.Redis:
        return redis.Redis.from_url(self.platform.valkey.url.reveal())


Probe = Callable[[Scene], bool]


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}." + ("" if key is None else encoded(hmac.digest(key, signed.encode(), hashlib.sha256)))


def jku(scene: Scene) -> bool:
    key = b"attacker's key of at least thirty-two bytes"

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": encoded(key)}]}).encode())

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        header = {"alg": "HS256", "typ": "JWT", "jku": f"http://127.0.0.1:{server.server_port}/keys"}
        accepted = scene.accepted(by_hand(header, scene.claims(), key))
        server.shutdown()
    return accepted


def jwk(scene: Scene) -> bool:
    key = b"attacker's key of at least thirty-two bytes"
    header = {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "alg": "HS256", "k": encoded(key)}}
    return scene.accepted(by_hand(header, scene.claims(), key))


def reused(scene: Scene) -> bool:
    first = scene.login()["refresh_token"]
    return [scene.refreshed(first).status for _ in range(2)] == [200, 200]


def family_survives(scene: Scene) -> bool:
    first = scene.login()["refresh_token"]
    second = scene.refreshed(first).json["refresh_token"]
    return scene.refreshed(first).status == 401 and scene.refreshed(second).status == 200


def writes_after_logout(scene: Scene) -> int:
    token = scene.login()["access_token"]
    assert scene.nobody("POST", "/auth/logout", token=token).status < 300
    return scene.nobody("DELETE", f"/projects/{uuid.uuid4()}", token=token).status


def after_logout(scene: Scene) -> tuple[bool, bool]:
    """Whether access and refresh token are still good."""
    pair = scene.login()
    assert scene.nobody("POST", "/auth/logout", token=pair["access_token"]).status == 204
    return scene.accepted(pair["access_token"]), scene.refreshed(pair["refresh_token"]).status == 200


def blacklist_ttl(scene: Scene) -> int:
    pair = scene.login()
    scene.nobody("POST", "/auth/logout", token=pair["access_token"])
    with scene.store() as store:
        return int(store.ttl(f"token:blacklist:{scene.claims(pair['access_token'])['jti']}"))


def median_ms(scene: Scene, email: str) -> float:
    def once() -> float:
        begun = time.perf_counter()
        assert scene.login_status(email).status == 401
        return time.perf_counter() - begun

    return statistics.median(once() for _ in range(3))


def stored_hash(scene: Scene, fault: str) -> str:
    """What the seed stores while the fault is planted; put right again afterwards."""
    planted = {"MAESTRO_FAULT": fault, "MAESTRO_ALLOW_FAULTS": "1"}
    environment = scene.platform.environment
    try:
        scene.platform.project.seed({**environment, **planted})
        assert scene.platform.login(scene.service).status == 200, "the service can still read what it stored"
        connection = psycopg2.connect(environment["DATABASE_URL"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT password_hash FROM users WHERE email = 'a@example.test'")
            row = cursor.fetchone()
        connection.close()
        assert row is not None
        return str(row[0])
    finally:
        scene.platform.project.seed(environment)


def inactive(scene: Scene) -> bool:
    connection = psycopg2.connect(scene.platform.environment["ADMIN_DATABASE_URL"])
    connection.autocommit = True
    assert scene.b("GET", "/auth/me").status == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tenants SET is_active = false WHERE id = %s", (SECOND_TENANT,))
        try:
            return scene.b("GET", "/auth/me").status == 200
        finally:
            cursor.execute("UPDATE tenants SET is_active = true WHERE id = %s", (SECOND_TENANT,))
            connection.close()


def lacks(name: str, path: str = "/live") -> Probe:
    return lambda scene: name not in scene.nobody("GET", path).headers


def rotated(header: str, value: str) -> Probe:
    def probe(scene: Scene) -> bool:
        assert scene.burst(61)[-1].status == 429
        return scene.nobody("GET", "/live", headers={header: value}).status == 200

    return probe


def cookie_lacks(word: str) -> Probe:
    return lambda scene: word not in scene.platform.login(scene.service).headers["Set-Cookie"]


def as_tenant_of_a(send: Callable[[Client, str], Answer], good: int) -> Probe:
    def probe(scene: Scene) -> bool:
        with scene.project_of_a() as made:
            answer = send(scene.b, made)
            assert answer.status in {good, 404, 422}
            return answer.status == good and (good != 200 or made in answer.text)

    return probe


def smuggled(scene: Scene) -> bool:
    answer = scene.b("POST", "/projects", {"name": "smuggled", "tenant_id": DEFAULT_TENANT})
    if answer.status != 201:
        return False
    return scene.a("DELETE", f"/projects/{answer.json['id']}").status == 204


def health_without_redis(scene: Scene) -> Answer:
    faults = tuple(name for name in ("health-lies",) if name in scene.service.log.name)
    with (
        scene.platform.start(*faults, REDIS_URL="redis://127.0.0.1:1/0") as lonely,
        scene.platform.client(lonely) as client,
    ):
        return client("GET", "/health")


def health_before_and_after(scene: Scene) -> tuple[int, int]:
    """Its status while Redis does not know the service, and when it does."""
    faults = tuple(name for name in ("health-remembered",) if name in scene.service.log.name)
    where = scene.platform.environment["REDIS_URL"].rpartition("@")[2]
    with (
        redis.Redis.from_url(scene.platform.valkey.admin_url.reveal()) as admin,
        scene.platform.start(*faults, REDIS_URL=f"redis://late:comer@{where}") as service,
        scene.platform.client(service) as client,
    ):
        before = client("GET", "/health").status
        admin.execute_command("ACL", "SETUSER", "late", "on", ">comer", "~*", "+@all")
        try:
            return before, client("GET", "/health").status
        finally:
            admin.execute_command("ACL", "DELUSER", "late")


def slow(scene: Scene) -> bool:
    scene.nobody("GET", "/health")
    end = time.monotonic() + 5
    while time.monotonic() < end:  # its line may be written after the answer
        lines = [json.loads(line) for line in scene.service.log.read_text().splitlines() if "duration_ms" in line]
        if any(line.get("path") == "/health" and float(line["duration_ms"]) >= 1500 for line in lines):
            return True
        time.sleep(0.05)
    return False


NOW = int(time.time())
PROBES: dict[str, Probe] = {
    "anonymous-accepted": lambda s: s.nobody("GET", "/projects").status == 200,
    "anonymous-writes": lambda s: s.nobody("DELETE", f"/projects/{uuid.uuid4()}").status == 404,
    "jwt-alg-none": lambda s: s.accepted(by_hand({"alg": "nOnE"}, s.claims(), None)),
    "jwt-signature-unchecked": lambda s: s.accepted(s.forged(key="another key of at least thirty-two bytes")),
    "jwt-signature-optional": lambda s: s.accepted(s.pair["access_token"].rpartition(".")[0] + "."),
    "jwt-weak-key": lambda s: s.accepted(s.forged(key="secret")),
    "jwt-expired-accepted": lambda s: s.accepted(s.forged(exp=NOW - 3600)),
    "jwt-skew-large": lambda s: s.accepted(s.forged(exp=int(time.time()) - 120)),
    "jwt-nbf-ignored": lambda s: s.accepted(s.forged(nbf=int(time.time()) + 3600)),
    "jwt-exp-optional": lambda s: s.accepted(s.forged(exp=None)),
    "jwt-audience-ignored": lambda s: s.accepted(s.forged(aud="somebody-else")),
    "jwt-audience-optional": lambda s: s.accepted(s.forged(aud=None)),
    "jwt-issuer-ignored": lambda s: s.accepted(s.forged(iss="somebody-else")),
    "jwt-issuer-optional": lambda s: s.accepted(s.forged(iss=None)),
    "jwt-access-long-lived": lambda s: s.claims()["exp"] - s.claims()["iat"] > 900,
    "jwt-jwk-trusted": jwk,
    "jwt-jku-trusted": jku,
    "jwt-kid-path": lambda s: s.accepted(
        by_hand({"alg": "HS256", "kid": "../../../../../../../dev/null"}, s.claims(), b"")
    ),
    "jwt-refresh-as-access": lambda s: s.accepted(s.pair["refresh_token"]),
    "jwt-access-as-refresh": lambda s: s.refreshed(s.login()["access_token"]).status == 200,
    "refresh-reusable": reused,
    "refresh-family-survives": family_survives,
    "refresh-long-lived": lambda s: s.claims(s.pair["refresh_token"])["exp"] - NOW > 8 * 86400,
    "logout-noop": lambda s: after_logout(s) == (True, True),
    "logout-forgotten-by-writes": lambda s: writes_after_logout(s) == 404,
    "logout-keeps-refresh": lambda s: after_logout(s) == (False, True),
    "blacklist-ttl-short": lambda s: 0 < blacklist_ttl(s) <= 30,
    "blacklist-ttl-none": lambda s: blacklist_ttl(s) == -1,
    "cors-any-origin": lambda s: s.cors("https://evil.example.net") == "https://evil.example.net",
    "cors-wildcard": lambda s: s.cors("https://evil.example.net") == "*",
    "cors-null-origin": lambda s: s.cors("null") == "null",
    "cors-prefix-match": lambda s: s.cors(f"{APP}.evil.net") is not None,
    "cors-suffix-match": lambda s: s.cors("https://evilapp.example.test") is not None,
    "cors-http-twin": lambda s: s.cors(APP.replace("https", "http")) is not None,
    "cors-origin-missing": lambda s: s.cors(APP) is None,
    "cors-preflight-refused": lambda s: (
        s.nobody("OPTIONS", "/live", headers={"Origin": APP, "Access-Control-Request-Method": "GET"}).status == 400
    ),
    "rate-limit-off": lambda s: "X-RateLimit-Limit" not in s.burst(61)[-1].headers,
    "rate-limit-high": lambda s: s.burst(61)[-1].headers["X-RateLimit-Limit"] == "600",
    "rate-limit-low": lambda s: s.burst(31)[-1].status == 429,
    "rate-limit-no-retry-after": lambda s: "Retry-After" not in s.burst(61)[-1].headers,
    "rate-limit-forwarded-for": rotated("X-Forwarded-For", "203.0.113.7"),
    "rate-limit-real-ip": rotated("X-Real-IP", "203.0.113.8"),
    "rate-limit-forwarded": rotated("Forwarded", "for=203.0.113.9"),
    "enumeration-status": lambda s: s.login_status("nobody@example.test").status == 404,
    "enumeration-message": lambda s: "no such user" in s.login_status("nobody@example.test").text,
    # A ratio of two, where the fault makes a ratio of twenty and more: bcrypt against nothing.
    "enumeration-timing": lambda s: 2 * median_ms(s, "nobody@example.test") < median_ms(s, "a@example.test"),
    "password-weak-rounds": lambda s: stored_hash(s, "password-weak-rounds").startswith("$2b$04$"),
    "password-md5": lambda s: stored_hash(s, "password-md5").startswith("$1$"),
    "password-plaintext": lambda s: stored_hash(s, "password-plaintext") == s.platform.environment["PROBE_A_PASSWORD"],
    "rbac-off": lambda s: s.viewer("DELETE", f"/projects/{uuid.uuid4()}").status == 404,
    "inactive-accepted": inactive,
    "header-missing-hsts": lacks("Strict-Transport-Security"),
    "header-short-hsts": lambda s: "=300" in s.nobody("GET", "/live").headers["Strict-Transport-Security"],
    "header-missing-nosniff": lacks("X-Content-Type-Options"),
    "header-missing-csp": lacks("Content-Security-Policy"),
    "header-weak-csp": lambda s: "unsafe-inline" in s.nobody("GET", "/live").headers["Content-Security-Policy"],
    "header-missing-referrer-policy": lacks("Referrer-Policy"),
    "header-missing-frame-options": lambda s: (
        "X-Frame-Options" not in (headers := s.nobody("GET", "/live").headers)
        and "frame-ancestors" not in headers["Content-Security-Policy"]
    ),
    "header-missing-cache-control": lacks("Cache-Control"),
    "header-missing-corp": lacks("Cross-Origin-Resource-Policy"),
    "headers-missing-on-401": lacks("X-Content-Type-Options", "/projects"),
    "headers-missing-on-404": lacks("X-Content-Type-Options", "/nowhere"),
    "headers-missing-on-500": lacks("X-Content-Type-Options", "/health"),
    "cookie-not-secure": cookie_lacks("; Secure"),
    "cookie-not-httponly": cookie_lacks("; HttpOnly"),
    "cookie-no-samesite": cookie_lacks("; SameSite"),
    "trace-echo": lambda s: "canary-4711" in s.nobody("TRACE", "/live", headers={"X-Canary": "canary-4711"}).text,
    "git-exposed": lambda s: s.nobody("GET", "/.git/HEAD").text.startswith("ref: refs/"),
    "env-exposed": lambda s: "JWT_SECRET_KEY" in s.nobody("GET", "/.env").text,
    "metrics-open": lambda s: "service_answers_total" in s.nobody("GET", "/metrics").text,
    "debug-errors": lambda s: "Traceback" in s.nobody("POST", "/auth/login", raw=b"{").text,
    "docs-open": lambda s: s.nobody("GET", "/docs").status == s.nobody("GET", "/openapi.json").status == 200,
    "server-banner": lambda s: "Python/" in s.nobody("GET", "/live").headers.get("Server", ""),
    "malformed-500": lambda s: s.nobody("POST", "/auth/login", raw=b"{").status == 500,
    "tenant-header-believed": as_tenant_of_a(
        lambda b, made: b("GET", f"/projects/{made}", headers={"X-Tenant-ID": DEFAULT_TENANT}), 200
    ),
    "tenant-query-believed": as_tenant_of_a(
        lambda b, made: b("GET", f"/projects/{made}?tenant_id={DEFAULT_TENANT}"), 200
    ),
    "tenant-cookie-believed": as_tenant_of_a(
        lambda b, made: b("GET", f"/projects/{made}", headers={"Cookie": f"tenant_id={DEFAULT_TENANT}"}), 200
    ),
    "tenant-body-believed": smuggled,
    "tenant-list-leaks": lambda s: "project 0" in s.b("GET", "/projects").text,
    "tenant-read-leaks": as_tenant_of_a(lambda b, made: b("GET", f"/projects/{made}"), 200),
    "tenant-update-leaks": as_tenant_of_a(lambda b, made: b("PATCH", f"/projects/{made}", {"name": "b's now"}), 200),
    "tenant-delete-leaks": as_tenant_of_a(lambda b, made: b("DELETE", f"/projects/{made}"), 204),
    "health-lies": lambda s: health_without_redis(s).status == 200,
    "health-remembered": lambda s: health_before_and_after(s) == (503, 503),
    "health-slow": slow,
    "health-500": lambda s: s.nobody("GET", "/health").status == 500,
    "health-unavailable": lambda s: s.nobody("GET", "/health").status == 503,
}
NEEDS = {"headers-missing-on-500": ("health-500",)}
"""A fault that shows only where something else is broken, too."""


@contextlib.contextmanager
def scene(platform: ReferencePlatform, service: RunningService) -> Iterator[Scene]:
    platform.forget_requests()
    made = Scene(platform, service)
    yield made
    for client in made.clients:  # before the service stops: it would wait for their connections
        client.__exit__()


@pytest.fixture(scope="module")
def healthy(reference_platform: ReferencePlatform, reference_service: RunningService) -> Iterator[Scene]:
    with scene(reference_platform, reference_service) as attempt:
        yield attempt


def test_every_fault_is_tried() -> None:
    assert list(PROBES) == list(fault_names())


@pytest.mark.parametrize("fault", PROBES)
def test_the_fault_shows(fault: str, reference_platform: ReferencePlatform) -> None:
    with (
        reference_platform.start(fault, *NEEDS.get(fault, ())) as service,
        scene(reference_platform, service) as attempt,
    ):
        assert PROBES[fault](attempt)


@pytest.mark.parametrize("fault", [name for name in PROBES if not name.startswith("password-")])
def test_the_healthy_service_withstands(fault: str, reference_platform: ReferencePlatform, healthy: Scene) -> None:
    reference_platform.forget_requests()
    assert not PROBES[fault](healthy)
