"""An OpenAPI document → how to log in, what needs a token, and how one object of a tenant is made and read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from maestro_cli.errors import MaestroError
from maestro_cli.initialise.document import parse
from maestro_cli.initialise.findings import ApiShape
from maestro_cli.initialise.python_sources import HEALTH
from maestro_cli.initialise.schemas import Schemas, sample

METHODS = ("get", "post", "put", "patch", "delete")
LOGIN = {
    "login",
    "signin",
    "sign-in",
    "sign_in",
    "token",
    "authenticate",
    "session",
    "sessions",
    "access-token",
    "log-in",
}
REFRESH = {"refresh", "refresh-token", "refresh_token", "renew", "token-refresh"}
LOGOUT = {"logout", "signout", "sign-out", "sign_out", "revoke", "log-out"}
USERNAMES = ("email", "username", "user", "login", "user_name", "userName", "identifier")
ACCESS = ("access_token", "accessToken", "token", "jwt", "access", "id_token", "key")
REFRESH_TOKEN = ("refresh_token", "refreshToken", "refresh")
NOT_TENANTS = {"user", "users", "auth", "tenant", "tenants", "organization", "organizations", "account", "accounts",
               "admin", "session", "sessions", "token", "tokens", "invitation", "invitations", "password", "role",
               "roles", "register", "signup", "login", "webhook", "webhooks", "payment", "payments", "email", "emails"}  # fmt: skip
"""Words of paths whose objects belong to nobody in particular, or are dangerous to make for a probe."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    body: Mapping[str, Any]
    secured: bool

    @property
    def words(self) -> list[str]:
        """The steps of the path."""
        return [step for step in self.path.lower().split("/") if step]

    @property
    def last(self) -> str:
        """The last step of the path."""
        return self.words[-1] if self.words else ""


def read_document(text: str, where: str) -> ApiShape:
    """What a document proposes.

    Args:
        text: JSON or YAML, OpenAPI 3 or Swagger 2.
        where: Its name.

    Raises:
        MaestroError: When it is no OpenAPI document.
    """
    document = parse(text)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise MaestroError(
            f"{where} is no OpenAPI document: it has no `paths`",
            hint="Name the document, usually openapi.json: maestro init --openapi FILE",
        )
    schemas = Schemas(document)
    operations = list(_operations(document, _prefix(document)))
    login = _login(operations, schemas, document)
    if login is None and not _speaks_of_security(document) and not _names_open_ones(document):
        operations = [replace(row, secured=False) for row in operations]  # nothing says that anything needs a token
    isolation = _isolation(operations, schemas)
    notes = []
    if not login:
        notes.append(f"{where}: no login was recognised")
    if not isolation:
        notes.append(f"{where}: no object was recognised that a tenant can make and read")
    return ApiShape(
        where=where,
        url=_url(document),
        health_path=_health(operations),
        login=login,
        header=_header(document),
        basic=login is None and _is_basic(document),
        refresh=_refresh(operations, schemas) if login and "refresh_token" in login else None,
        logout=_logout(operations, schemas),
        protected=_protected(operations, isolation),
        isolation=isolation,
        notes=tuple(notes),
    )  # fmt: skip


def _prefix(document: Mapping[str, Any]) -> str:
    """What every path stands behind: Swagger's basePath, or the path of the first server."""
    base = document.get("basePath")
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        base = urlsplit(str(servers[0].get("url", ""))).path
    return base.rstrip("/") if isinstance(base, str) and base.startswith("/") and "{" not in base else ""


def _url(document: Mapping[str, Any]) -> str | None:
    servers = document.get("servers")
    for row in servers if isinstance(servers, list) else []:
        parts = urlsplit(str(row.get("url", "")) if isinstance(row, dict) else "")
        if parts.scheme in ("http", "https") and parts.hostname in ("localhost", "127.0.0.1", "::1"):
            return f"{parts.scheme}://{parts.netloc}"
    return None


def _operations(document: Mapping[str, Any], prefix: str) -> Iterator[Operation]:
    """Every operation. A document that speaks of no security anywhere keeps quiet about it: all but the doors need one."""
    rows = [
        (prefix + str(path), method, item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if isinstance(item, dict) and isinstance(item.get(method), dict)
    ]
    everywhere = bool(document.get("security"))
    silent = not _speaks_of_security(document)
    for path, method, body in rows:
        security = body.get("security")
        secured = everywhere if security is None else bool(security) and {} not in security
        last = path.lower().rstrip("/").rsplit("/", 1)[-1]
        if silent and security is None:
            secured = f"/{last}" not in HEALTH and last not in LOGIN | REFRESH | {"register", "signup", "metrics"}
        yield Operation(path, method, body, secured)


def _speaks_of_security(document: Mapping[str, Any]) -> bool:
    """Whether anything is said to need a token. Where some are only said to need none, all the others do."""
    bodies = [body for item in document["paths"].values() if isinstance(item, dict) for body in item.values()]
    named = [body["security"] for body in bodies if isinstance(body, dict) and isinstance(body.get("security"), list)]
    return bool(document.get("security")) or any(any(rows) for rows in named)


def _names_open_ones(document: Mapping[str, Any]) -> bool:
    bodies = [body for item in document["paths"].values() if isinstance(item, dict) for body in item.values()]
    return any(isinstance(body, dict) and "security" in body for body in bodies)


def _health(operations: list[Operation]) -> str | None:
    paths = {row.path.rstrip("/"): row.path for row in operations if row.method == "get" and "{" not in row.path}
    known = [path for name in HEALTH for path in paths if path.endswith(name)]
    return paths[known[0]] if known else None


def _login(operations: list[Operation], schemas: Schemas, document: Mapping[str, Any]) -> dict[str, Any] | None:
    named = _token_urls(document)
    # Documents that ask for a token everywhere often forget to leave out the login.
    rows = [row for row in operations if row.method == "post" and "{" not in row.path]
    for row in sorted(rows, key=lambda row: (row.secured, row.path.rsplit("/", 1)[-1] not in named, len(row.path))):
        encoding, schema = schemas.request(row.body)
        body = _credentials(schemas, schema)
        if body is None or (row.last not in LOGIN and not any(row.path.endswith(url) for url in named)):
            continue
        if encoding == "form" and "grant_type" in schemas.properties(schema):
            body = {"grant_type": "password", **body}
        found: dict[str, Any] = {"path": row.path, "body": body}
        if encoding == "form":
            found["encoding"] = "form"
        answer = schemas.response(row.body)
        token, refresh = schemas.find(answer, ACCESS), schemas.find(answer, REFRESH_TOKEN)
        if token is None:  # the document keeps quiet about it; what a refresh takes and gives is called the same
            token, refresh = _tokens_of_refresh(operations, schemas)
        found["token"] = token or "access_token"
        return {**found, "refresh_token": refresh} if refresh else found
    return None


def _tokens_of_refresh(operations: list[Operation], schemas: Schemas) -> tuple[str | None, str | None]:
    """What the tokens are called where one is exchanged: in its answer, and in its body."""
    for row in operations:
        if row.method == "post" and (row.last in REFRESH or "refresh" in row.words):
            taken = schemas.properties(schemas.request(row.body)[1])
            refresh = next((name for name in REFRESH_TOKEN if name in taken), None)
            token = schemas.find(schemas.response(row.body), ACCESS)
            if refresh is not None:
                simple = "access" if refresh == "refresh" else None  # Django's Simple JWT calls them so
                return token or simple, refresh
    return None, None


def _credentials(schemas: Schemas, schema: Any, depth: int = 0) -> dict[str, Any] | None:
    """A body with a user's name and password, at its top or one level below: `{user: {email: …, password: …}}`."""
    properties = schemas.properties(schema)
    user = next((name for name in USERNAMES if name in properties and not schemas.properties(properties[name])), None)
    if user is not None and "password" in properties:
        return {user: "{username}", "password": "{password}"}
    for name, inner in properties.items() if depth == 0 else ():
        found = _credentials(schemas, inner, depth + 1)
        if found is not None:
            return {name: found}
    return None


def _schemes(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Security schemes, of OpenAPI 3 and of Swagger 2."""
    components = document.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else document.get("securityDefinitions")
    yield from (row for row in (schemes.values() if isinstance(schemes, dict) else ()) if isinstance(row, dict))


def _header(document: Mapping[str, Any]) -> str | None:
    """The header of an API key, where that is not Authorization."""
    for scheme in _schemes(document):
        name = scheme.get("name")
        if scheme.get("type") == "apiKey" and scheme.get("in") == "header" and isinstance(name, str):
            return name if name.lower() != "authorization" and name.isascii() and name.isprintable() else None
    return None


def _is_basic(document: Mapping[str, Any]) -> bool:
    """Whether that is the one way in: OpenAPI 3 writes `http` and `basic`, Swagger 2 the latter alone."""
    ways = [str(scheme.get("scheme") or scheme.get("type")).lower() for scheme in _schemes(document)]
    return bool(ways) and set(ways) == {"basic"}


def _token_urls(document: Mapping[str, Any]) -> set[str]:
    found = set()
    for scheme in _schemes(document):
        flows = scheme.get("flows")
        password = flows.get("password") if isinstance(flows, dict) else None
        if isinstance(password, dict) and password.get("tokenUrl"):
            found.add(urlsplit(str(password["tokenUrl"])).path.rsplit("/", 1)[-1])
    return found


def _refresh(operations: list[Operation], schemas: Schemas) -> dict[str, Any] | None:
    for row in operations:
        if row.method == "post" and "{" not in row.path and (row.last in REFRESH or "refresh" in row.words):
            encoding, schema = schemas.request(row.body)
            name = next((name for name in REFRESH_TOKEN if name in schemas.properties(schema)), None)
            if name is not None:
                found: dict[str, Any] = {"path": row.path, "body": {name: "{refresh_token}"}}
                return {**found, "encoding": "form"} if encoding == "form" else found
            if row.secured and not schemas.properties(schema):  # it goes where an access token goes otherwise
                return {"path": row.path, "headers": {"Authorization": "Bearer {refresh_token}"}}
    return None


def _logout(operations: list[Operation], schemas: Schemas) -> dict[str, Any] | None:
    for row in operations:
        if row.method in ("post", "delete") and row.last in LOGOUT and "{" not in row.path:
            taken = schemas.properties(schemas.request(row.body)[1])
            name = next((name for name in REFRESH_TOKEN if name in taken), None)
            method = {} if row.method == "post" else {"method": row.method.upper()}
            return {"path": row.path, **method, **({"body": {name: "{refresh_token}"}} if name is not None else {})}
    return None


def _protected(operations: list[Operation], isolation: Mapping[str, Any] | None) -> str | None:
    if isolation is not None and "list" in isolation:
        return str(isolation["list"])
    rows = [row for row in operations if row.method == "get" and row.secured and "{" not in row.path]
    rows.sort(key=lambda row: (row.last not in ("me", "profile", "current"), len(row.path)))
    return rows[0].path if rows else None


def _isolation(operations: list[Operation], schemas: Schemas) -> dict[str, Any] | None:
    by_path: dict[str, dict[str, Operation]] = {}
    for row in operations:
        by_path.setdefault(row.path.rstrip("/"), {})[row.method] = row
    found = [made for path in by_path if (made := _collection(path, by_path, schemas)) is not None]
    found.sort(key=lambda row: row[0])
    return found[0][1] if found else None


def _collection(
    path: str, by_path: Mapping[str, Mapping[str, Operation]], schemas: Schemas
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """A collection's path as `api.isolation` writes it, and how good a probe it makes (less is better)."""
    create = by_path[path].get("post")
    if create is None or not create.secured or "{" in path or NOT_TENANTS & set(create.words):
        return None
    one = next((name for name in by_path if re.fullmatch(re.escape(path) + r"/\{\w+\}", name)), None)
    if one is None or "get" not in by_path[one] or not by_path[one]["get"].secured:
        return None  # what everybody may read is no tenant's own
    encoding, schema = schemas.request(create.body)
    body = sample(schemas, schema)
    parameter = re.sub(r".*\{|\}", "", one)
    identifier = schemas.find(schemas.response(create.body), ("id", "uuid", parameter, "_id"))
    if identifier is None and isinstance(body, dict) and "{nonce}" in str(body.get(parameter)):
        identifier = str(body[parameter])  # whoever makes it chooses its name
    if body is None or not isinstance(body, dict) or identifier is None:
        return None
    create_row: dict[str, Any] = {"path": create.path, "body": body, "id": identifier}
    if encoding == "form":
        create_row["encoding"] = "form"
    read = re.sub(r"\{\w+\}(/?)$", r"{id}\1", by_path[one]["get"].path)
    found: dict[str, Any] = {"create": create_row, "read": read}
    if "get" in by_path[path] and by_path[path]["get"].secured:
        found["list"] = by_path[path]["get"].path
    if "delete" in by_path[one]:
        found["delete"] = re.sub(r"\{\w+\}(/?)$", r"{id}\1", by_path[one]["delete"].path)
    change = _change(by_path[one], body, read, schemas)
    if change is not None:
        found["update"] = change
    # An object that nothing marks as a probe's own is told from others by its id alone.
    return ("delete" not in found, "list" not in found, "{nonce}" not in str(body), len(body), len(path)), found


def _change(
    methods: Mapping[str, Operation], body: Mapping[str, Any], read: str, schemas: Schemas
) -> dict[str, Any] | None:
    """How to change the object: PATCH one of its texts, or PUT it all again."""
    name = next((name for name, value in body.items() if "{nonce}" in str(value)), None)
    for method in ("patch", "put"):
        known = schemas.properties(schemas.request(methods[method].body)[1]) if method in methods else {}
        if name is not None and name in known:
            changed = {name: f"{body[name]}-changed"}
            if method == "patch":
                return {"path": read, "body": changed}
            return {"path": read, "method": "PUT", "body": {**body, **changed}}
    return None
