"""What `maestro init` proposes from OpenAPI documents and sources, and that it works against the reference service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from reference_platform import ReferencePlatform

from maestro_cli.config import load
from maestro_cli.errors import MaestroError, UsageError
from maestro_cli.initialise import variables
from maestro_cli.initialise.configuration import application
from maestro_cli.initialise.document import fetch
from maestro_cli.initialise.files import detect
from maestro_cli.initialise.openapi import read_document
from maestro_cli.initialise.python_sources import read_sources
from maestro_cli.initialise.schemas import Schemas, sample

TEMPLATE = Path(__file__).parent.parent / "templates" / "service"


def maestro(folder: Path, *words: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *words],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_reference_service_tells_all_that_its_isolation_checks_need(
    reference_platform: ReferencePlatform, tmp_path: Path
) -> None:
    """From nothing but its folder and its openapi.json: logged in, an object made, the other tenant kept out."""
    folder = tmp_path / "copy"
    source = reference_platform.project.directory
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("maestro.yaml", "__pycache__", "*.log", "tests"))
    environment = reference_platform.environment
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    (folder / ".env").chmod(0o600)
    with reference_platform.start("docs-open") as running:
        url = running.url.replace("127.0.0.1", "localhost")
        done = maestro(folder, "init", "--openapi", f"{url}/openapi.json")
        assert done.returncode == 0, done.stderr
        text = (folder / "maestro.yaml").read_text()
        assert not [value for name, value in environment.items() if "PASSWORD" in name and value in text + done.stderr]
        written = load(folder / "maestro.yaml", environ={}).settings
        own = load(TEMPLATE / "maestro.yaml", environ=environment, require_variables=False).settings
        assert written.api is not None
        assert own.api is not None
        assert written.api.auth is not None
        assert own.api.auth is not None
        assert (written.api.url, written.api.app, written.api.health_path) == (url, own.api.app, own.api.health_path)
        assert written.api.ca_file == "certs/ca.pem"
        for name in ("login", "refresh", "logout", "accounts", "secret"):
            assert getattr(written.api.auth, name) == getattr(own.api.auth, name) or name == "accounts", name
        assert written.tenancy is not None
        assert written.tenancy.column == "tenant_id"
        run = maestro(folder, "validate", "--only", "security.tenant-read", "--only", "security.tenant-list",
                      "--only", "security.tenant-write", "--only", "security.jwt-signature", "--json")  # fmt: skip
    report = json.loads(run.stdout)
    assert {row["id"]: row["status"] for row in report["checks"]} == {
        "security.tenant-read": "pass",
        "security.tenant-list": "pass",
        "security.tenant-write": "pass",
        "security.jwt-signature": "pass",
    }, [row["message"] for row in report["checks"]]
    assert run.returncode == 0


def test_a_copy_of_the_reference_service_gets_a_configuration_that_shows(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__", "reports"))
    refused = maestro(folder, "init")
    assert refused.returncode == 1
    assert "maestro.yaml exists already" in refused.stderr
    assert maestro(folder, "init", "--force").returncode == 0
    shown = maestro(folder, "config", "show")
    assert shown.returncode == 0, shown.stderr
    value = yaml.safe_load(shown.stdout)
    assert value["api"]["app"] == "service.main:app"
    assert value["database"]["alembic_ini"] == "alembic.ini"
    assert value["readiness"]["project"]["settings"] == "service.settings:load"
    assert value["secrets"]["required"]["JWT_SECRET_KEY"] == 256
    (kept,) = folder.glob("maestro.yaml.*.bak")
    assert kept.read_text() == (TEMPLATE / "maestro.yaml").read_text()
    # Once there is an environment file, a second run takes its names in.
    (folder / ".env").write_text("DATABASE_URL=postgresql://a:geheim@h/x\nREDIS_URL=redis://h\n")
    again = maestro(folder, "init", "--force")
    assert "geheim" not in again.stdout + again.stderr + (folder / "maestro.yaml").read_text()
    settings = load(folder / "maestro.yaml", environ={}).settings
    assert settings.database is not None
    assert settings.database.url
    assert settings.redis is not None


# The shape of FastAPI's full-stack template: OAuth2's form, a prefix, slashes at the end, a file upload, references.
ITEMS = {
    "openapi": "3.1.0",
    "servers": [{"url": "http://localhost:8000"}],
    "paths": {
        "/api/v1/documents/": {
            "post": {
                "security": [{"OAuth2PasswordBearer": []}],
                "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}},
            }
        },
        "/api/v1/documents/{id}": {"get": {"security": [{"OAuth2PasswordBearer": []}]}, "delete": {}},
        "/api/v1/login/access-token": {
            "post": {
                "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Login"}}}
                },
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Token"}}}}},
            }
        },
        "/api/v1/users/": {"post": {"security": [{"x": []}], "requestBody": {"$ref": "#/components/requestBodies/Item"}}},
        "/api/v1/users/{id}": {"get": {"security": [{"x": []}]}},
        "/api/v1/utils/health-check/": {"get": {}},
        "/api/v1/items/": {
            "get": {"security": [{"OAuth2PasswordBearer": []}]},
            "post": {
                "security": [{"OAuth2PasswordBearer": []}],
                "requestBody": {"$ref": "#/components/requestBodies/Item"},
                "responses": {"201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}},
            },
        },
        "/api/v1/items/{item_id}": {
            "get": {"security": [{"OAuth2PasswordBearer": []}]},
            "patch": {"requestBody": {"$ref": "#/components/requestBodies/Item"}},
            "delete": {"security": [{"OAuth2PasswordBearer": []}]},
        },
    },
    "components": {
        "requestBodies": {"Item": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewItem"}}}}},
        "schemas": {
            "Login": {
                "type": "object",
                "required": ["username", "password"],
                "properties": {"grant_type": {}, "username": {}, "password": {}, "client_secret": {}},
            },
            "Token": {"properties": {"access_token": {"type": "string"}, "token_type": {}}},
            "Item": {"allOf": [{"$ref": "#/components/schemas/NewItem"}, {"properties": {"id": {"format": "uuid"}}}]},
            "NewItem": {
                "type": "object",
                "required": ["title", "kind", "size", "due"],
                "properties": {
                    "title": {"type": "string", "maxLength": 255, "minLength": 1},
                    "kind": {"enum": ["a", "b"]},
                    "size": {"type": "integer", "minimum": 3},
                    "due": {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
                    "note": {"type": "string"},
                },
            },
        },
        "securitySchemes": {
            "OAuth2PasswordBearer": {"type": "oauth2", "flows": {"password": {"tokenUrl": "/api/v1/login/access-token"}}}
        },
    },
}  # fmt: skip


def test_an_oauth2_service_with_a_prefix() -> None:
    shape = read_document(json.dumps(ITEMS), "openapi.json")
    assert shape.url == "http://localhost:8000"
    assert shape.health_path == "/api/v1/utils/health-check/"
    assert shape.login == {
        "path": "/api/v1/login/access-token",
        "body": {"grant_type": "password", "username": "{username}", "password": "{password}"},
        "encoding": "form",
        "token": "access_token",
    }
    title = "maestro-probe-{nonce}"
    assert shape.isolation == {
        "create": {
            "path": "/api/v1/items/",
            "body": {"title": title, "kind": "a", "size": 3, "due": "2030-01-01"},
            "id": "id",
        },
        "read": "/api/v1/items/{id}",
        "list": "/api/v1/items/",
        "delete": "/api/v1/items/{id}",
        "update": {"path": "/api/v1/items/{id}", "body": {"title": f"{title}-changed"}},
    }
    assert shape.protected == "/api/v1/items/"
    assert shape.refresh is None
    assert shape.notes == ()


def test_a_django_service_whose_document_keeps_quiet() -> None:
    """Slashes at the end, one schema for request and answer, and open doors named, but no security scheme."""
    text = {"type": "string"}
    number = {"type": "integer", "readOnly": True}
    document = {
        "type": "object",
        "properties": {"id": number, "owner": number, "title": text},
        "required": ["id", "owner", "title"],
    }

    def both(schema: object) -> dict[str, object]:
        content = {"content": {"application/json": {"schema": schema}}}
        return {"requestBody": content, "responses": {"200": content}}

    one, answer = {"get": both(document), "put": both(document), "delete": {}}, both(document)
    shape = read_document(
        json.dumps(
            {
                "openapi": "3.0.3",
                "paths": {
                    "/api/health/": {"get": {"security": [{}]}},
                    "/api/token/": {"post": both({"properties": {"username": text, "password": text}})},
                    "/api/token/refresh/": {"post": both({"properties": {"refresh": text}})},
                    "/api/logout/": {"post": both({"properties": {"refresh": text}})},
                    "/api/documents/": {"get": answer, "post": answer},
                    "/api/documents/{id}/": one,
                },
            }
        ),
        "schema",
    )
    assert shape.login is not None
    assert (shape.login["token"], shape.login["refresh_token"]) == ("access", "refresh")
    assert shape.refresh == {"path": "/api/token/refresh/", "body": {"refresh": "{refresh_token}"}}
    assert shape.logout == {"path": "/api/logout/", "body": {"refresh": "{refresh_token}"}}
    assert shape.protected == "/api/documents/"
    title, path = "maestro-probe-{nonce}", "/api/documents/{id}/"
    assert shape.isolation == {
        "create": {"path": "/api/documents/", "body": {"title": title}, "id": "id"},
        "read": path,
        "list": "/api/documents/",
        "delete": path,
        "update": {"path": path, "method": "PUT", "body": {"title": f"{title}-changed"}},
    }


def test_swagger_2_with_a_base_path_and_an_envelope() -> None:
    shape = read_document(
        yaml.safe_dump(
            {
                "swagger": "2.0",
                "basePath": "/api",
                "security": [{"key": []}],
                "paths": {
                    "/sessions": {
                        "post": {
                            "security": [],
                            "parameters": [
                                {"in": "body", "schema": {"properties": {"login": {}, "password": {}}}},
                            ],
                            "responses": {"200": {"schema": {"properties": {"data": {"properties": {"jwt": {}}}}}}},
                        }
                    },
                    "/notes": {
                        "post": {
                            "parameters": [{"in": "body", "schema": {"properties": {"name": {"type": "string"}}}}],
                            "responses": {"201": {"schema": {"properties": {"data": {"properties": {"id": {}}}}}}},
                        }
                    },
                    "/notes/{noteId}": {"get": {}},
                },
            }
        ),
        "swagger.yaml",
    )
    assert shape.login == {
        "path": "/api/sessions",
        "body": {"login": "{username}", "password": "{password}"},
        "token": "data.jwt",
    }
    assert shape.isolation == {
        "create": {"path": "/api/notes", "body": {"name": "maestro-probe-{nonce}"}, "id": "data.id"},
        "read": "/api/notes/{id}",
    }


def test_conduit_s_nested_credentials_public_articles_and_a_token_in_a_header_of_its_own() -> None:
    """The shape of the RealWorld API: everybody may read an article, so it is no tenant's."""

    def answer(**properties: Any) -> dict[Any, Any]:
        return {200: {"content": {"application/json": {"schema": {"properties": properties}}}}}

    def body(**properties: Any) -> dict[str, Any]:
        schema = {"required": list(properties), "properties": properties, "type": "object"}
        return {"content": {"application/json": {"schema": schema}}}

    text: dict[str, Any] = {"type": "string"}
    user = {"type": "object", "properties": {"email": text, "password": text, "token": text}}
    article = {"type": "object", "required": ["title"], "properties": {"title": text, "slug": text}}
    token: list[Any] = [{"Token": []}]
    paths: dict[str, Any] = {
        "/users/login": {"post": {"requestBody": body(user=user), "responses": answer(user=user)}},
        "/user": {"get": {"security": token, "responses": answer(user=user)}},
        "/articles": {
            "get": {},
            "post": {"security": token, "requestBody": body(article=article), "responses": answer(article=article)},
        },
        "/articles/{slug}": {"get": {}, "delete": {"security": token}},
    }
    schemes = {"Token": {"type": "apiKey", "in": "header", "name": "X-Token"}}
    document = {"servers": [{"url": "/api"}], "paths": paths, "components": {"securitySchemes": schemes}}
    shape = read_document(yaml.safe_dump(document), "openapi.yml")
    assert shape.login == {
        "path": "/api/users/login",
        "body": {"user": {"email": "{username}", "password": "{password}"}},
        "token": "user.token",
    }
    assert (shape.protected, shape.isolation, shape.header) == ("/api/user", None, "X-Token")
    paths["/articles/{slug}"]["get"] = {"security": token}
    shape = read_document(yaml.safe_dump(document), "openapi.yml")
    assert shape.isolation == {
        "create": {
            "path": "/api/articles",
            "body": {"article": {"title": "maestro-probe-{nonce}"}},
            "id": "article.slug",
        },
        "read": "/api/articles/{id}",
        "delete": "/api/articles/{id}",
    }


def test_an_object_that_its_maker_names_is_read_by_that_name() -> None:
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    made: dict[str, Any] = {"200": {"content": {"application/json": {"schema": {"properties": {"status": {}}}}}}}
    paths: dict[str, Any] = {
        "/books": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": made}},
        "/books/{title}": {"get": {}},
    }
    shape = read_document(json.dumps({"paths": paths, "security": [{"x": []}]}), "x")
    assert shape.isolation == {
        "create": {"path": "/books", "body": {"title": "maestro-probe-{nonce}"}, "id": "maestro-probe-{nonce}"},
        "read": "/books/{id}",
    }


def test_of_many_objects_one_that_can_be_marked_is_made_and_a_refresh_token_may_go_in_the_header() -> None:
    def answer(**properties: Any) -> dict[str, Any]:
        return {"200": {"content": {"application/json": {"schema": {"properties": properties}}}}}

    def body(*names: str) -> dict[str, Any]:
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        return {"content": {"application/json": {"schema": schema}}}

    made = answer(id={"type": "integer"})
    one: dict[str, Any] = {"get": {}, "delete": {}}
    tokens = answer(access_token={"type": "string"}, refresh_token={"type": "string"})
    paths = {
        "/login": {"post": {"requestBody": body("username", "password"), "responses": tokens}},
        "/security/refresh": {"post": {"responses": tokens}},
        "/css": {"get": {}, "post": {"requestBody": body("css"), "responses": made}},
        "/css/{id}": one,
        "/dashboards": {"get": {}, "post": {"requestBody": body("css", "dashboard_title"), "responses": made}},
        "/dashboards/{id}": one,
    }
    shape = read_document(json.dumps({"paths": paths, "security": [{"jwt": []}]}), "x")
    assert shape.login is not None, "though it is said to want a token itself"
    assert shape.refresh == {"path": "/security/refresh", "headers": {"Authorization": "Bearer {refresh_token}"}}
    assert shape.isolation is not None
    assert shape.isolation["create"] == {
        "path": "/dashboards",
        "body": {"dashboard_title": "maestro-probe-{nonce}"},
        "id": "id",
    }


@pytest.mark.parametrize(
    ("schemes", "basic", "account"),
    [
        ({"a": {"type": "http", "scheme": "basic"}}, True, 'password: "${PROBE_A_PASSWORD}"'),
        ({"a": {"type": "http", "scheme": "bearer"}}, False, 'token: "${PROBE_A_TOKEN}"'),
        ({"a": {"type": "http", "scheme": "basic"}, "b": {"type": "apiKey"}}, False, 'token: "${PROBE_A_TOKEN}"'),
    ],
)
def test_accounts_of_a_service_without_a_login(
    tmp_path: Path, schemes: dict[str, Any], basic: bool, account: str
) -> None:
    paths: dict[str, Any] = {"/things": {"get": {"security": [{"a": []}]}}}
    document = {"openapi": "3.1.0", "paths": paths, "components": {"securitySchemes": schemes}}
    (tmp_path / "openapi.json").write_text(json.dumps(document), "utf-8")
    printed = maestro(tmp_path, "init", "--dry-run").stdout
    assert ("scheme: Basic" in printed) == basic
    assert account in printed


def test_a_document_without_login_and_security_promises_neither() -> None:
    paths: dict[str, Any] = {"/version": {"get": {}}, "/things": {"get": {}}}
    shape = read_document(json.dumps({"paths": paths}), "x")
    assert (shape.login, shape.protected, shape.isolation) == (None, None, None)


def test_users_payments_and_what_needs_something_else_first_make_no_probes() -> None:
    def collection(properties: dict[str, Any]) -> dict[str, Any]:
        schema = {"type": "object", "required": list(properties), "properties": properties}
        made: dict[str, Any] = {"200": {"content": {"application/json": {"schema": {"properties": {"id": {}}}}}}}
        return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": made}}

    for path, properties in (
        ("/users", {"name": {"type": "string"}}),
        ("/admin/things", {"name": {"type": "string"}}),
        ("/payments", {"amount": {"type": "integer"}}),
        ("/children", {"parent": {"type": "string", "format": "uuid"}}),
        ("/codes", {"code": {"type": "string", "pattern": "^[A-Z]{3}[0-9]{4}$"}}),
        ("/a/{b}/things", {"name": {"type": "string"}}),
    ):
        paths = {path: collection(properties), path + "/{id}": {"get": {}}}
        shape = read_document(json.dumps({"paths": paths, "security": [{"x": []}]}), "x")
        assert shape.isolation is None, path
        assert any("no object was recognised" in note for note in shape.notes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"paths": []}',
        "\x00",
        "a: [",
    ],
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(MaestroError, match="no OpenAPI document"):
        read_document(text, "x.json")


def test_a_hostile_document_is_read_to_its_end() -> None:
    loop: dict[str, Any] = {
        "paths": {
            "/things": {
                "post": {
                    "requestBody": {"$ref": "#/x"},
                    "responses": {"200": {"$ref": "#/x"}},
                    "security": [{"a": []}],
                },
                "get": 3,
            },
            "/things/{id}": {"get": {"security": [{"a": []}]}},
            "/login": {"post": {"requestBody": {"$ref": "other.json#/x"}, "parameters": "no"}},
            "/odd": None,
        },
        "servers": "odd",
        "components": {"securitySchemes": [], "schemas": None},
        "x": {"$ref": "#/x"},
    }
    shape = read_document(json.dumps(loop), "x")
    assert shape.isolation is None
    assert read_document("paths: &a {/x: *a, /y: {post: *a, get: *a}}", "x").isolation is None
    wide = {"allOf": [{"$ref": "#/wide"}] * 20, "anyOf": [{"$ref": "#/wide"}] * 20}
    schemas = Schemas({"wide": wide})
    assert schemas.properties(wide) == {}
    assert sample(schemas, wide) is None
    nested: dict[str, Any] = {"type": "object", "required": ["a"], "properties": {}}
    nested["properties"]["a"] = {"$ref": "#/n"}
    assert sample(Schemas({"n": nested}), nested) is None


@pytest.mark.parametrize(
    "url", ["http://example.test/openapi.json", "http://127.0.0.1.example.test/x", "http://10.0.0.1/x"]
)
def test_only_this_machine_is_asked(url: str) -> None:
    with pytest.raises(UsageError, match="only a service on this machine"):
        fetch(url, ca_file=None)


def test_sources_of_other_frameworks(tmp_path: Path) -> None:
    files = {
        "shop/asgi.py": "import os\nfrom django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n",
        "shop/models.py": "class Order(Base):\n    organization_id: Mapped[int] = mapped_column()\n    org_id = 3\n",
        "shop/config.py": "import pydantic_settings\nclass AppSettings(pydantic_settings.BaseSettings): ...\ndef load(path): ...\n",
        "old/app.py": "app = create_app()\n",
        "node_modules/x.py": "app = FastAPI()\n",
        "Dockerfile": 'CMD ["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "shop.asgi:application"]\n',
        ".env": "PG_URL=postgresql://a:b@h/x\nREDIS_DSN=redis://h\nSECRET_KEY=x\nSTRIPE_SECRET_KEY=x\nTEST_DATABASE_URL=x\n",
        "docker-compose.yml": "services:\n  shop-api: {build: ., ports: ['${PORT:-8080}:80']}\n  broken: 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = detect(tmp_path)
    seen = application(found)
    assert seen is not None
    assert (seen.value, seen.where) == ("shop.asgi:application", "Dockerfile:1")
    sources = read_sources(tmp_path)
    assert [row.value for row in sources.apps] == ["shop.asgi:application", "old.app:app"]
    assert [row.value for row in sources.tenant_columns] == ["organization_id"]
    assert [row.value for row in sources.settings] == ["shop.config:AppSettings"]
    assert [row.value for row in found.compose_hosts] == ["shop-api"]
    assert found.port is not None
    assert found.port.value == "8080"
    assert variables.database_url(found.env_names) == "PG_URL"
    assert variables.redis_url(found.env_names) == "REDIS_DSN"
    assert variables.signing_key(found.env_names) == "SECRET_KEY"
    assert variables.generated(found.env_names) == {"SECRET_KEY": 256}


def test_odd_environment_files_and_long_lines_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=\nmy-app.REDIS_URL=redis://h\nJWT_SECRET=x\n")
    (tmp_path / "Procfile").write_text("web: " + "uvicorn " * 100_000)
    (tmp_path / "compose.yaml").write_text("services: [a\n")
    (tmp_path / "pyproject.toml").write_text("[project\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyvenv.cfg").touch()
    (tmp_path / "mine" / "site.py").write_text("app = FastAPI()\n")
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    found = detect(tmp_path)
    assert found.env_names == ("JWT_SECRET",)
    assert [row.value for row in found.example_names] == ["DATABASE_URL"]
    assert found.python.apps == ()
    done = maestro(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert "# url: ${DATABASE_URL}" in (tmp_path / "maestro.yaml").read_text()
    assert maestro(tmp_path, "config", "show").returncode == 0
