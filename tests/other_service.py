"""A service that is not the reference service: other logins, other tokens, other ids, and faults of its own.

No framework: it answers `small_api` requests. What it looks like is a `Shape`; what is wrong with it are names in `faults`.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from small_api import Asked, Said

from maestro_cli.observe import tokens

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Type": "application/json",
}
USERS = {"ann": ("ann-has-a-password", 1), "bob": ("bob-has-a-password", 2)}
SECRET = "0d5c1c9be1f34c6a8f7a52c4f7b9ad33e1c8547f20be96a8f27d6c3a91b04e5d"
ACCESS_S, REFRESH_S = 600, 86_400
FAULTS = {
    "garbage-token-accepted": "Any token is accepted; only a missing one is refused.",
    "anonymous-accepted": "No token is needed.",
    "jwt-alg-none": "An unsigned token is accepted.",
    "jwt-signature-unchecked": "Signatures are not looked at.",
    "jwt-signature-unchecked-when-reading": "Signatures are not looked at where one object is read.",
    "jwt-short-key": "The signing key is shorter than the hash.",
    "jwt-weak-key": "The signing key is in every tutorial.",
    "jwt-empty-key": "The service was started without a key: an empty one verifies.",
    "jwt-public-key-as-secret": "The public key verifies HS256 tokens.",
    "jwt-jwk-trusted": "A key in the token is trusted.",
    "jwt-oct-jwk-trusted": "A shared secret in the token is trusted.",
    "jwt-x5c-trusted": "A certificate in the token is trusted.",
    "jwt-zero-signature": "A signature of zeros fits every message.",
    "jwt-public-key-as-hs512-secret": "The public key verifies HS512 tokens; HS256 is refused by name.",
    "jwt-repeated-key": "The signing key is a well-known word again and again.",
    "jwt-weak-second-key": "A well-known key verifies beside the good one.",
    "jwt-audience-by-pattern": "The audience is searched for, not compared.",
    "jwt-jku-fetched": "The address in jku is fetched, though its key is not used.",
    "jwt-kid-sql": "The kid is put into a query.",
    "jwt-expired-accepted": "Ended tokens are accepted.",
    "jwt-nbf-ignored": "Tokens are accepted before their nbf.",
    "jwt-nbf-skew-large": "Tokens are accepted a quarter of an hour before their nbf.",
    "jwt-without-exp": "Tokens are issued without an end.",
    "jwt-audience-ignored": "Tokens for other audiences are accepted.",
    "jwt-refresh-as-access": "Refresh tokens open what access tokens open.",
    "refresh-reusable": "A refresh token works again and again.",
    "refresh-not-rotated": "A refresh brings no new refresh token.",
    "logout-noop": "A log-out does nothing.",
    "tenant-read-unscoped": "Objects are read by id alone.",
    "tenant-list-unscoped": "Lists hold everybody's objects.",
    "tenant-update-leaks": "Objects are changed by id alone.",
    "tenant-delete-leaks": "Objects are deleted by id alone.",
    "tenant-header-believed": "X-Tenant-ID decides.",
    "tenant-header-believed-when-making": "X-Tenant-ID decides in a POST; elsewhere another one is refused.",
    "tenant-header-believed-when-changing": "X-Tenant-ID decides in a PUT; elsewhere another one is refused.",
    "tenant-header-believed-when-deleting": "X-Tenant-ID decides in a DELETE; elsewhere another one is refused.",
    "tenant-body-believed": "The body's tenant_id decides.",
    "tenant-nested-in-body-believed": "The body's tenant.id decides.",
    "name-in-sql": "The name at the login is put into a query.",
    "name-as-operator": "The name at the login is handed to a document database as it came.",
    "id-in-sql": "An object's id is put into a query, behind the tenant.",
    "enumeration-status": "Unknown users are answered otherwise.",
    "cookie-not-httponly": "The session's cookie can be read by scripts.",
    "debug-page": "Unknown paths show a debug page.",
    "debug-errors": "Malformed bodies are answered with a stack trace.",
    "env-exposed": "/.env is served from the host's root.",
    "clock-api-ahead": "Its clock is five minutes ahead.",
    "clock-api-behind": "Its clock is five minutes behind.",
}


@dataclass(frozen=True)
class Shape:
    """What the service looks like from outside."""

    algorithm: str = "HS256"
    prefix: str = ""
    login: str = "json"  # json | form | cookie
    nested: bool = False
    header: str = "authorization"
    scheme: str = "Bearer"
    says_no_with_200: bool = False
    ids: str = "uuid"  # uuid | integer | slug


@dataclass
class OtherService:
    """The service; call it with a request."""

    shape: Shape = field(default_factory=Shape)
    faults: frozenset[str] = frozenset()
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    asked: int = 0
    counter: int = 100
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        assert self.faults <= set(FAULTS), self.faults - set(FAULTS)
        kind = tokens.key_type(self.shape.algorithm)
        self.private = tokens.new_key(kind) if kind else None
        self.secret = SECRET
        if "jwt-short-key" in self.faults:
            self.secret = "q8Zt1vX0-h3L"
        if "jwt-weak-key" in self.faults:
            self.secret = "your-256-bit-secret"
        if "jwt-repeated-key" in self.faults:
            self.secret = "changeme" * 8

    @property
    def signing_secret(self) -> str:
        """What api.auth.secret is: the shared secret, or the private key in PEM."""
        if self.private is None:
            return self.secret
        from cryptography.hazmat.primitives import serialization as form

        plain = form.NoEncryption()
        return str(self.private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, plain).decode())

    def __call__(self, asked: Asked) -> Said:
        self.asked += 1
        said = self._route(asked)
        skew = 300 * (("clock-api-ahead" in self.faults) - ("clock-api-behind" in self.faults))
        return Said(
            said.status, said.body, {"Date": formatdate(time.time() + skew, usegmt=True), **SAFE, **said.headers}
        )

    def _route(self, asked: Asked) -> Said:
        parts = urlsplit(asked.path)
        if parts.path == "/.env" and "env-exposed" in self.faults:
            return Said(200, b"DATABASE_URL=postgresql://nobody\n")
        path = parts.path.removeprefix(self.shape.prefix)
        if not parts.path.startswith(self.shape.prefix):
            return self._missing()
        if path == "/health":
            return Said(200)
        if path == "/jwks.json" and self.private is not None:
            return _json(200, {"keys": [tokens.public_jwk(self.private, "main")]})
        try:
            if path == "/session" and asked.method == "POST":
                return self._login(asked)
            if path == "/session/renew":
                return self._renew(asked)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            trace = f'Traceback (most recent call last):\n  File "/srv/app.py", line 7\n{error!r}'
            return Said(400, trace.encode()) if "debug-errors" in self.faults else _json(400, {"error": "malformed"})
        if path in ("/session/end", "/notes") or path.startswith("/notes/"):
            return self._guarded(asked, path, parts.query)
        return self._missing()

    def _missing(self) -> Said:
        if "debug-page" in self.faults:
            return Said(404, b"You're seeing this error because you have <code>DEBUG = True</code>", {})
        return _json(404, {"error": "not found"})

    def _refusal(self, status: int = 401) -> Said:
        return _json(status, {"error": "refused"})

    # Tokens

    def _issue(self, user: str, family: str) -> dict[str, str]:
        now = int(time.time())
        claims = {"sub": user, "org_id": USERS[user][1], "iat": now, "aud": "notes", "fam": family}
        found = {}
        for kind, life in (("access", ACCESS_S), ("refresh", REFRESH_S)):
            ends = {} if "jwt-without-exp" in self.faults else {"exp": now + life}
            header = {"alg": self.shape.algorithm, "typ": "JWT", "kid": "main"}
            body = {**claims, **ends, "jti": uuid.uuid4().hex, "use": kind}
            found[kind] = tokens.forge(header, body, self.private or self.secret.encode())
        return found

    def _claims(self, text: str, kind: str) -> dict[str, Any] | None:
        token = tokens.parse(text)
        if token is None:
            return None
        if not self._signed(token):
            return None
        claims, now = dict(token.claims), time.time()
        if "exp" not in claims and "jwt-without-exp" not in self.faults:
            return None
        if claims.get("exp", now + 1) <= now and "jwt-expired-accepted" not in self.faults:
            return None
        early = 900 if "jwt-nbf-skew-large" in self.faults else 0
        if claims.get("nbf", 0) > now + early and "jwt-nbf-ignored" not in self.faults:
            return None
        by_pattern = "jwt-audience-by-pattern" in self.faults and "notes" in str(claims.get("aud"))
        if claims.get("aud") != "notes" and not by_pattern and "jwt-audience-ignored" not in self.faults:
            return None
        if claims.get("use") != kind and not (kind == "access" and "jwt-refresh-as-access" in self.faults):
            return None
        if claims.get("jti") in self.revoked or claims.get("fam") in self.ended or claims.get("sub") not in USERS:
            return None
        return claims

    def _signed(self, token: tokens.Jwt) -> bool:
        on = self.faults.__contains__
        header, algorithm = token.header, token.algorithm
        if on("jwt-jku-fetched") and "jku" in header:
            import urllib.request

            urllib.request.urlopen(header["jku"], timeout=2).close()  # noqa: S310 - the very fault
        if on("jwt-signature-unchecked") or (on("jwt-alg-none") and algorithm.lower() == "none"):
            return True
        if on("jwt-zero-signature") and token.signature == bytes(len(token.signature)) != b"":
            return True
        if algorithm.startswith("HS") and any(
            tokens.sign(algorithm, token.signed, key) == token.signature for key in self._wrong_keys(header, algorithm)
        ):
            return True
        if on("jwt-jwk-trusted") and isinstance(header.get("jwk"), dict) and header["jwk"].get("kty") != "oct":
            return _verifies(header["jwk"], token)
        if on("jwt-x5c-trusted") and "x5c" in header:
            return _verifies(_of_certificate(header["x5c"][0]), token)
        if algorithm != self.shape.algorithm:
            return False
        if self.private is None:
            return tokens.sign(algorithm, token.signed, self.secret.encode()) == token.signature
        return _verifies(tokens.public_jwk(self.private, "main"), token)

    def _wrong_keys(self, header: Mapping[str, Any], algorithm: str) -> list[bytes]:
        on = self.faults.__contains__
        shared = []
        if on("jwt-weak-second-key"):
            shared.append(b"changeme")
        if on("jwt-public-key-as-hs512-secret") and algorithm == "HS512":
            shared.append(tokens.spellings_of_public_key(tokens.public_jwk(self.private, "main"))[0])
        if on("jwt-empty-key"):
            shared.append(b"")
        if on("jwt-public-key-as-secret"):
            shared.append(tokens.spellings_of_public_key(tokens.public_jwk(self.private, "main"))[0])
        if on("jwt-kid-sql") and "UNION SELECT '" in str(header.get("kid")):
            shared.append(str(header["kid"]).split("UNION SELECT '")[1].split("'")[0].encode())
        if on("jwt-oct-jwk-trusted") and isinstance(header.get("jwk"), dict) and header["jwk"].get("kty") == "oct":
            shared.append(tokens.decode64(header["jwk"]["k"]))
        return shared

    # Sessions

    def _login(self, asked: Asked) -> Said:
        body = _form(asked) if self.shape.login == "form" else json.loads(asked.body)
        user, password = body["user"], body["password"]
        if isinstance(user, str) and user.endswith("' AND '1'='1") and "name-in-sql" in self.faults:
            user = user.partition("'")[0]
        if isinstance(user, dict) and "name-as-operator" in self.faults:
            user = user["$eq"]
        if not isinstance(user, str) or not isinstance(password, str):
            raise TypeError("texts, please")
        if self.shape.login == "form" and body.get("grant_type") != "password":
            raise ValueError("grant_type")
        if USERS.get(user, ("", 0))[0] != password:
            if user not in USERS and "enumeration-status" in self.faults:
                return self._refusal(404)
            return _json(200, {"ok": False, "why": "wrong"}) if self.shape.says_no_with_200 else self._refusal()
        return self._answer(self._issue(user, uuid.uuid4().hex))

    def _answer(self, issued: dict[str, str]) -> Said:
        if self.shape.login == "cookie":
            flags = "Path=/; SameSite=Strict" + ("" if "cookie-not-httponly" in self.faults else "; HttpOnly")
            # small_api knows one header of a name; the refresh token goes into the body.
            answer = _json(200, {"ok": True, "renew": issued["refresh"]})
            return Said(200, answer.body, {"Set-Cookie": f"sid={issued['access']}; {flags}"})
        if self.shape.nested:
            return _json(200, {"data": {"tokens": [{"value": issued["access"]}], "renew": issued["refresh"]}})
        return _json(200, {"ok": True, "token": issued["access"], "renew": issued["refresh"]})

    def _renew(self, asked: Asked) -> Said:
        body = _form(asked) if self.shape.login == "form" else json.loads(asked.body)
        claims = self._claims(str(body["renew"]), "refresh")
        if claims is None:
            return self._refusal()
        if claims["jti"] in self.used and "refresh-reusable" not in self.faults:
            self.ended.add(claims["fam"])
            return self._refusal()
        issued = self._issue(claims["sub"], claims["fam"])
        if "refresh-not-rotated" in self.faults:
            issued["refresh"] = str(body["renew"])
        else:
            self.used.add(claims["jti"])
        return self._answer(issued)

    def _bearer(self, asked: Asked) -> str | None:
        if self.shape.login == "cookie":
            jar = SimpleCookie(asked.headers.get("cookie", ""))
            return jar["sid"].value if "sid" in jar else None
        value = asked.headers.get(self.shape.header)
        if value is None:
            return None
        scheme = f"{self.shape.scheme} " if self.shape.scheme else ""
        return value.removeprefix(scheme) if value.startswith(scheme) else None

    # Notes

    def _guarded(self, asked: Asked, path: str, query: str) -> Said:
        text = self._bearer(asked)
        looks = asked.method == "GET" and path.startswith("/notes/")
        if text is not None and looks and "jwt-signature-unchecked-when-reading" in self.faults:
            token = tokens.parse(text)
            claims = dict(token.claims) if token is not None and token.claims.get("fam") not in self.ended else None
        else:
            claims = self._claims(text, "access") if text is not None else None
        if claims is None and (
            "anonymous-accepted" in self.faults or (text is not None and "garbage-token-accepted" in self.faults)
        ):
            claims = {"org_id": 1, "jti": "", "fam": ""}
        if claims is None:
            return self._refusal()
        if path == "/session/end":
            if "logout-noop" not in self.faults:
                self.revoked.add(claims["jti"])
                self.ended.add(claims["fam"])
            return _json(200, {"ok": True})
        tenant = str(claims["org_id"])
        if "tenant-header-believed" in self.faults:
            tenant = asked.headers.get("x-tenant-id", tenant)
        guarded = {
            fault: method
            for fault, method in {"making": "POST", "changing": "PUT", "deleting": "DELETE"}.items()
            if f"tenant-header-believed-when-{fault}" in self.faults
        }
        if guarded and asked.headers.get("x-tenant-id", tenant) != tenant:
            if asked.method not in guarded.values():
                return self._refusal(403)
            tenant = asked.headers["x-tenant-id"]
        return self._notes(asked, path, tenant)

    def _notes(self, asked: Asked, path: str, tenant: str) -> Said:
        if path == "/notes" and asked.method == "POST":
            return self._make(json.loads(asked.body), tenant)
        if path == "/notes":
            everything = "tenant-list-unscoped" in self.faults
            rows = [row for row in self.objects.values() if everything or row["tenant"] == tenant]
            return _json(200, {"notes": [{"id": row["id"], "text": row["text"]} for row in rows]})
        asked_for = unquote(path.removeprefix("/notes/"))
        row = self.objects.get(asked_for)
        if row is None and "id-in-sql" in self.faults and " OR id=" in asked_for and asked_for.endswith(" -- "):
            row = self.objects.get(asked_for.partition(" OR id=")[2].removesuffix(" -- ").strip("'"))
            tenant = str(row["tenant"]) if row is not None else tenant
        fault = {"GET": "tenant-read-unscoped", "PUT": "tenant-update-leaks", "DELETE": "tenant-delete-leaks"}
        if row is None or (row["tenant"] != tenant and fault.get(asked.method, "") not in self.faults):
            return _json(404, {"error": "not found"})
        if asked.method == "DELETE":
            del self.objects[str(row["id"])]
            return Said(204, b"")
        if asked.method == "PUT":
            row["text"] = json.loads(asked.body)["text"]
        return _json(200, {"id": row["id"], "text": row["text"]})

    def _make(self, body: dict[str, Any], tenant: str) -> Said:
        with self.lock:
            self.counter += 1
            number = self.counter
        made: Any = {"uuid": str(uuid.uuid4()), "integer": number, "slug": f"note-{number}"}[self.shape.ids]
        if "tenant-body-believed" in self.faults:
            tenant = str(body.get("tenant_id", tenant))
        named = body.get("tenant")
        if "tenant-nested-in-body-believed" in self.faults and isinstance(named, dict):
            tenant = str(named.get("id", tenant))
        self.objects[str(made)] = {"id": made, "text": body["text"], "tenant": tenant}
        return _json(201, {"note": {"id": made}})


def configuration(service: OtherService, port: int, *, forging: bool = True) -> str:
    """Its maestro.yaml."""
    shape = service.shape
    place = {"cookie": "cookie:sid"}.get(shape.login, "data.tokens.0.value" if shape.nested else "token")
    body = {"user": "{username}", "password": "{password}"} | (
        {"grant_type": "password"} if shape.login == "form" else {}
    )
    encoding = "form" if shape.login == "form" else "json"
    auth: dict[str, Any] = {
        "algorithm": shape.algorithm,
        "header": shape.header,
        "scheme": shape.scheme,
        "login": {
            "path": "/session",
            "body": body,
            "encoding": encoding,
            "token": place,
            "refresh_token": "data.renew" if shape.nested and shape.login != "cookie" else "renew",
        },
        "refresh": {"path": "/session/renew", "body": {"renew": "{refresh_token}"}, "encoding": encoding},
        "logout": {"path": "/session/end"},
        "protected": "/notes",
        "accounts": [{"username": name, "password": word} for name, (word, _) in USERS.items()],
    }
    if forging:
        auth["secret"] = service.signing_secret
    if service.private is not None:
        auth["jwks_url"] = "/jwks.json"
    if shape.says_no_with_200:
        auth["login"]["failure"] = '"ok": false'
    isolation = {
        "create": {"path": "/notes", "body": {"text": "maestro-probe-{nonce}"}, "id": "note.id"},
        "read": "/notes/{id}",
        "list": "/notes",
        "delete": "/notes/{id}",
        "update": {"path": "/notes/{id}", "method": "PUT", "body": {"text": "changed-{nonce}"}},
    }
    api = {"url": f"http://127.0.0.1:{port}{shape.prefix}", "auth": auth, "isolation": isolation}
    return json.dumps({"version": 1, "service": {"name": "notes", "environment": "staging"}, "api": api})


def _form(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}


def _json(status: int, value: Any) -> Said:
    return Said(status, json.dumps(value).encode())


def _of_certificate(text: str) -> dict[str, Any]:
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    key: Any = x509.load_der_x509_certificate(base64.b64decode(text)).public_key()
    kinds: dict[Any, Any] = {rsa.RSAPublicKey: RSAAlgorithm, ed25519.Ed25519PublicKey: OKPAlgorithm}
    algorithm = next((found for kind, found in kinds.items() if isinstance(key, kind)), ECAlgorithm)
    return dict(algorithm.to_jwk(key, as_dict=True))


def _verifies(jwk: dict[str, Any], token: tokens.Jwt) -> bool:
    import jwt

    try:
        jwt.PyJWS().decode(
            f"{token.signed.decode()}.{tokens.encode64(token.signature)}",
            jwt.PyJWK.from_dict(jwk, token.algorithm).key,
            algorithms=[token.algorithm],
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True
