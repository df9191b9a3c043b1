"""The section `api:` of maestro.yaml: the service, how one logs in, and what is probed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from maestro_cli.config.keys import key, section
from maestro_cli.redaction import Secret


@section
class Account:
    """A user the probes log in as."""

    username: str = key("Login name.")
    password: Secret = key("Password; write it as ${NAME}, never in the file.", default=Secret(""))
    token: Secret | None = key(
        "A token that opens for it, where no login of the API gives one: an API key, or a token of an identity provider."
        " Where api.auth.scheme is Basic, name and password do.",
        default=None,
    )
    tenant: str | None = key(
        "Its tenant's id, where neither its token, nor the login's answer, nor its objects tell.", default=None
    )


@section
class Endpoint:
    """One request: the path and the JSON or form body with {placeholders}."""

    path: str = key("Path under api.url.", example="/auth/login")
    method: str | None = key("HTTP method, where it is not the usual one.", default=None)
    body: Mapping[str, Any] | None = key(
        "Body; {username}, {password}, {refresh_token}, {nonce}, {tenant} are filled in.", default=None
    )
    encoding: Literal["json", "form"] = key("How the body is sent.", default="json")
    headers: Mapping[str, str] | None = key("Extra request headers; the same are filled in.", default=None)


@section
class Login(Endpoint):
    """How to log in and where the answer holds the tokens."""

    token: str = key(
        "Where the access token stands in the answer: `access_token`, `data.token`, `cookie:NAME` or `header:NAME`.",
        default="access_token",
    )
    refresh_token: str | None = key("Where the refresh token stands.", default=None)
    failure: str | None = key(
        "A text in the body that means refused, for an API that answers failed logins with 200.", default=None
    )
    csrf_path: str | None = key(
        "A GET before each login, for one that wants a page's cookies and its token against forged requests (`{csrf}`);"
        " where the login's token is a cookie, it is asked again for what the session writes.",
        default=None,
        example="/accounts/login/",
    )


@section
class Auth:
    """How the API authenticates."""

    algorithm: str = key("JWT algorithm.", default="HS256", example="HS256")
    secret: Secret | None = key(
        "Optional: lets probes forge tokens that differ in one thing only. For RS256, ES256 and EdDSA the private key (PEM).",
        default=None,
    )
    public_key_file: str | None = key("PEM file with the public key, for RS256, ES256 and EdDSA.", default=None)
    jwks_url: str | None = key("Where the public keys are published, for RS256, ES256 and EdDSA.", default=None)
    weak_secrets_file: str | None = key(
        "Further signing keys to try, one a line, beside the shipped list of well-known ones.", default=None
    )
    header: str = key("The request header that carries the token.", default="Authorization")
    scheme: str = key("What stands before the token in that header; empty for nothing.", default="Bearer")
    login: Login | None = key("How to log in.", default=None)
    refresh: Endpoint | None = key("How to exchange a refresh token.", default=None)
    logout: Endpoint | None = key("How to log out.", default=None)
    csrf_path: str | None = key(
        "A GET with the session's token that answers another one, against forged requests, and its cookie: for an API whose"
        " writes want both beside the access token in its header.",
        default=None,
        example="/security/csrf_token/",
    )
    protected: str | None = key("A GET that needs a token.", default=None, example="/projects")
    accounts: tuple[Account, ...] = key(
        "Two accounts of different tenants: isolation is probed, not assumed.", default=()
    )
    inactive_account: Account | None = key(
        "An account that was deactivated (or whose tenant was), with its right password: it must not get in.",
        default=None,
    )
    wrong_passwords: int = key(
        "Wrong passwords in a row that the lock-out forgives: so many are tried with the first account to compare times.",
        default=2,
        minimum=1,
        maximum=20,
    )
    access_minutes: float = key("Longest life of an access token, in minutes.", default=15, minimum=0)
    refresh_days: float = key("Longest life of a refresh token, in days.", default=7, minimum=0)


@section
class Create(Endpoint):
    """How to make one object of a tenant."""

    id: str = key(
        "Where the answer holds the new object's id: `id`, `data.id`; or the id itself, where the body chooses it: "
        "`maestro-probe-{nonce}`.",
        default="id",
    )


@section
class Isolation:
    """How to make, read and delete one object of a tenant."""

    create: Create = key("Makes one object.")
    read: str = key(
        "Path that reads it; {id} is filled in, and {tenant} where paths name the tenant.", example="/projects/{id}"
    )
    list: str | None = key("Path that lists the tenant's objects.", default=None)
    delete: str | None = key("Path that deletes it.", default=None)
    keep: bool = key(
        "Probe although nothing deletes what is made: it stays behind, and the report says so.", default=False
    )
    update: Endpoint | None = key(
        "How to change it (PATCH unless `method` says otherwise); {id} is filled in.", default=None
    )


@section
class Roles:
    """What an account of few rights may not do."""

    account: Account = key("An account of few rights, of the same tenant as the first of api.auth.accounts.")
    forbidden: tuple[Endpoint, ...] = key(
        "Requests that it must be refused and the first account is not; {id} is an object of api.isolation.",
        example='[{path: "/projects/{id}", method: DELETE}]',
    )


@section
class Cors:
    """Cross-origin rules."""

    origins: tuple[str, ...] = key("Origins that must work; every other one must not.", default=())
    path: str | None = key("Path to probe (default: health_path).", default=None)


@section
class RateLimit:
    """The limit a client must run into."""

    requests: int = key("Requests allowed in a window.", minimum=1, maximum=10_000)
    window_seconds: float = key("Length of the window, in seconds.", default=60, minimum=0.001)
    path: str | None = key("Path to probe (default: health_path).", default=None)
    scope: Literal["path", "client"] = key(
        "Whether the limit counts each path by itself or all requests of a client.", default="path"
    )


@section
class Api:
    """The HTTP service."""

    url: str | None = key(
        "Base URL, with a path prefix where there is one.", default=None, example="https://localhost:8443"
    )
    ca_file: str | None = key("CA that signed its certificate; the system's where absent.", default=None)
    app: str | None = key("MODULE:APP that `maestro serve` launches.", default=None, example="service.main:app")
    headers: Mapping[str, str] | None = key(
        "Headers of every request, such as a gateway's key; {tenant} is the tenant of the account that asks.",
        default=None,
        example='{X-Api-Key: "${GATEWAY_KEY}", X-Org-Id: "{tenant}"}',
    )
    health_path: str = key("GET that answers 200 when the service is well.", default="/health")
    max_latency_ms: float = key(
        "Slowest acceptable median answer of health_path, in milliseconds.", default=500, minimum=1
    )
    auth: Auth | None = key("How it authenticates.", default=None)
    isolation: Isolation | None = key("How tenants' objects are made and read.", default=None)
    roles: Roles | None = key("What an account of few rights may not do.", default=None)
    cors: Cors | None = key("Cross-origin rules.", default=None)
    rate_limit: RateLimit | None = key("The rate limit.", default=None)
