"""What was found → the text of a maestro.yaml that runs at once; what needs an answer first stands in it as a comment."""

from __future__ import annotations

import re
from collections.abc import Callable

from maestro_cli.config.readiness_settings import DEFAULT_GATES
from maestro_cli.initialise import variables
from maestro_cli.initialise.findings import Project, Seen
from maestro_cli.initialise.page import Page, plain

DEFAULT_URL = "https://localhost:8443"
"""Where `maestro serve` listens unless api.url says otherwise."""
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")


def configuration(project: Project) -> str:
    """The text of maestro.yaml.

    Args:
        project: What was found.
    """
    page = Page()
    page.remark(
        "Written by `maestro init` from what it found in this folder; the comments say where. It runs as it is:"
    )
    page.remark(
        "maestro validate. Lines that begin with `# key:` are proposals that need you first: an address, a variable."
    )
    page.remark("${NAME} is read from the process environment, then from env_file. Secrets belong there, not here.")
    page.remark("Every key, with its meaning: maestro config schema --text; what maestro read: maestro config show")
    page.key("version", "1")
    _service(page, project)
    parts: tuple[Callable[[Page, Project], None], ...] = (
        _api, _database, _redis, _certs, _secrets, _tenancy, _readiness, _plugins
    )  # fmt: skip
    for part in parts:
        page.blank()
        part(page, project)
    return page.text()


def service_name(project: Project) -> str:
    """The service's name, in words that fit everywhere."""
    return re.sub(r"[^\w. -]+", "-", project.name.value).strip("- ")[:60] or "service"


def _service(page: Page, project: Project) -> None:
    page.key("service")
    page.key("name", plain(service_name(project)), f"from {project.name.where}", indent=1)
    page.key("environment", "development", "development | staging | production: which gate applies", indent=1)
    if project.env_file is not None:
        page.key("env_file", plain(project.env_file))
    else:
        page.key("env_file", ".env", "there is none yet; make it with: maestro secrets generate", off=True)


def _reference(project: Project, name: str) -> tuple[str, str, bool]:
    """`${NAME}`, what to say of it, and whether it must stay a comment because nothing sets it yet."""
    if name in project.env_names:
        return f"${{{name}}}", f"in {project.env_file}", False
    where = next((seen.where for seen in project.example_names if seen.value == name), "")
    known = f"named in {where}; " if where else ""
    return f"${{{name}}}", f"{known}switch on once it is set", True


def _api(page: Page, project: Project) -> None:
    app = application(project)
    api = project.api
    page.remark("The HTTP service. Probes address this URL and no other.")
    if app is None and api is None and project.port is None:
        page.key("api", off=True)
        page.key("url", DEFAULT_URL, "where it answers", indent=1, off=True)
        page.key("app", "package.main:app", "no ASGI application was found here", indent=1, off=True)
        page.remark(
            "Its OpenAPI document tells the rest: maestro init --force --openapi openapi.json (a file, or a URL here)"
        )
        return
    page.key("api")
    url, said = _url(project)
    page.key("url", plain(url), said, indent=1)
    _authority(page, project, url)
    if app is not None:
        page.key("app", plain(app.value), f"{app.where}; what `maestro serve` launches", indent=1)
        for other in project.python.apps:
            if other.value != app.value:
                page.remark(f"also an application: {other.value} ({other.where})", indent=1)
    _health(page, project)
    if api is None:
        page.remark(
            "How to log in, and how an object of a tenant is made, is in the service's OpenAPI document:", indent=1
        )
        page.remark("maestro init --force --openapi openapi.json (a file, or a URL on this machine)", indent=1)
        return
    _auth(page, project)
    _isolation(page, project)
    page.key("cors", '{origins: ["https://app.example.test"]}', "origins that must work", indent=1, off=True)
    page.key("rate_limit", "{requests: 60, window_seconds: 60}", "what a client must run into", indent=1, off=True)


def _url(project: Project) -> tuple[str, str]:
    """Where the service answers, and how that is known."""
    if project.api is not None and project.api.url:
        return project.api.url, f"from {project.api.where}"
    if project.port is not None:
        return f"http://localhost:{project.port.value}", f"{project.port.where}; https:// once it has certificates"
    return DEFAULT_URL, "where `maestro serve` listens; correct it if need be"


def _authority(page: Page, project: Project, url: str) -> None:
    if not url.startswith("https://"):
        return
    if project.ca_file is not None:
        page.key("ca_file", plain(project.ca_file), indent=1)
    elif url == DEFAULT_URL:
        folder = project.certs_directory or "certs"
        page.key("ca_file", plain(f"{folder}/ca.pem"), "made by: maestro certs generate", indent=1)


def application(project: Project) -> Seen | None:
    """The application that is served: as a Dockerfile starts it, or the likeliest one of the sources."""
    named = project.served
    found = {seen.value: seen for seen in project.python.apps}
    if named is not None and (named.value in found or not found):
        return named
    return project.python.apps[0] if project.python.apps else None


def _health(page: Page, project: Project) -> None:
    api = project.api
    if api is not None and api.health_path is not None:
        page.key("health_path", plain(api.health_path), f"from {api.where}", indent=1)
    elif project.python.health_paths:
        seen = project.python.health_paths[0]
        page.key("health_path", plain(seen.value), seen.where, indent=1)
    else:
        page.key("health_path", "/health", "a GET that answers 200 when the service is well", indent=1)


def _auth(page: Page, project: Project) -> None:
    api = project.api
    if api is None or (api.login is None and api.protected is None):
        return
    page.key("auth", "", f"from {api.where}", indent=1)
    key = variables.signing_key(project.names)
    if key is not None:
        value, said, off = _reference(project, key)
        page.remark("Optional: lets probes forge tokens that differ in one thing only.", indent=2)
        page.key("secret", value, said, indent=2, off=off)
        page.key("algorithm", "HS256", indent=2, off=off)
    if api.header is not None:
        page.key("header", plain(api.header), "what carries the token", indent=2)
        page.key("scheme", '""', "and nothing in front of it", indent=2)
    if api.basic:
        page.key("scheme", "Basic", "name and password go in each request", indent=2)
    for name in ("login", "refresh", "logout", "protected"):
        value = getattr(api, name)
        if value is not None:
            page.key(name, plain(value), "a GET that needs a token" if name == "protected" else "", indent=2)
    _accounts(page, project)


def _accounts(page: Page, project: Project) -> None:
    passwords = variables.accounts(project.env_names)
    api = project.api
    comes_in = api is not None and (api.login is not None or api.basic)
    off = passwords is None or not comes_in
    page.remark("Two accounts of different tenants: isolation is probed, not assumed.", indent=2)
    if off:
        what = "passwords" if comes_in else "tokens (API keys, or an identity provider's)"
        page.remark(f"Make them in the service, put their {what} into .env, and switch these lines on.", indent=2)
    page.key("accounts", "", indent=2, off=off)
    mark = "# " if off else ""
    for letter in "ab":
        key = "password" if comes_in else "token"
        row = f'- {{username: {letter}@example.test, {key}: "${{PROBE_{letter.upper()}_{key.upper()}}}"}}'
        page.lines.append(f"      {mark}{row}")


def _isolation(page: Page, project: Project) -> None:
    api = project.api
    if api is None:
        return
    if api.isolation is None:
        page.remark(
            "How to make and read one object of a tenant; none was recognised in the OpenAPI document.", indent=1
        )
        page.key("isolation", off=True, indent=1)
        page.key("create", '{path: /projects, body: {name: "maestro-probe-{nonce}"}, id: id}', indent=2, off=True)
        page.key("read", "/projects/{id}", indent=2, off=True)
        return
    page.key(
        "isolation", "", "how to make and read one object of a tenant; look whether it is a harmless one", indent=1
    )
    for name, value in api.isolation.items():
        page.key(name, plain(value), indent=2)


def _database(page: Page, project: Project) -> None:
    name = variables.database_url(project.names)
    if name is None and project.alembic_ini is None:
        page.key("database", off=True)
        server = project.servers.get("postgresql", Seen("${DATABASE_URL}", ""))
        said = f"{server.where}; better: " if server.where else ""
        page.key("url", server.value, f"{said}the application's own role", indent=1, off=True)
        return
    value, said, off = _reference(project, name or "DATABASE_URL")
    admin = variables.admin_url(project.names)
    page.key("database", off=off and project.alembic_ini is None)
    page.key("url", value, f"{said}; the application's own role", indent=1, off=off)
    if admin is not None:
        value, said, off = _reference(project, admin)
        page.key(
            "admin_url", value, f"{said}; the role that owns the tables, for maestro migrate alone", indent=1, off=off
        )
    if project.alembic_ini is not None:
        page.key("alembic_ini", plain(project.alembic_ini), "the application's own migrations: at head?", indent=1)
    page.key("password_hashes", "{table: users, column: password_hash, min_rounds: 12}", indent=1, off=True)


def _redis(page: Page, project: Project) -> None:
    name = variables.redis_url(project.names)
    value, said, off = _reference(project, name or "REDIS_URL")
    if name is None and (server := project.servers.get("redis")) is not None:
        value, said = server.value, server.where
    page.key("redis", off=off)
    page.key("url", value, said, indent=1, off=off)
    page.key("blacklist_prefix", '"token:blacklist:"', "prefix of the keys of revoked tokens", indent=1, off=True)


def _certs(page: Page, project: Project) -> None:
    hosts = [*(project.certs_hosts or DEFAULT_HOSTS), *(seen.value for seen in project.compose_hosts)]
    built = ", ".join(sorted({seen.where for seen in project.compose_hosts}))
    off = project.certs_directory is None and application(project) is None
    page.key("certs", off=off)
    said = "" if project.certs_directory else "made by: maestro certs generate"
    page.key("directory", plain(project.certs_directory or "certs"), said, indent=1, off=off)
    said = f"service names from {built}" if built else "names it is reached by"
    page.key("hosts", plain(list(dict.fromkeys(hosts))), said, indent=1, off=off)


def _secrets(page: Page, project: Project) -> None:
    required = variables.generated(project.names)
    if not required:
        page.key("secrets", off=True)
        page.key("required", "{JWT_SECRET_KEY: 256}", "name: strength in bits", indent=1, off=True)
        return
    page.key("secrets")
    page.key("required", "", "name: strength in bits; those that the project makes for itself", indent=1)
    for name, bits in required.items():
        page.key(name, str(bits), indent=2)
    page.key("max_age_days", "90", indent=1)


def _tenancy(page: Page, project: Project) -> None:
    column = project.python.tenant_columns[0] if project.python.tenant_columns else None
    page.remark("How the database is divided among tenants. `maestro migrate plan` proposes the tables.")
    page.key("tenancy", off=column is None)
    said = column.where if column is not None else "no column of that kind was found in the models"
    page.key("column", plain(column.value) if column else "tenant_id", said, indent=1, off=column is None)
    page.key("tenants_table", "tenants", indent=1, off=True)


def _readiness(page: Page, project: Project) -> None:
    page.key("readiness")
    page.remark("What each environment asks for; these are maestro's own gates.", indent=1)
    page.key("gates", "", indent=1, off=True)
    for name, gate in DEFAULT_GATES.items():
        asked = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(gate).items() if value}
        page.key(name, plain(asked), indent=2, off=True)
    found = project.evidence
    page.key("evidence", "", "what other tools measured", indent=1, off=not found)
    for name, example in (
        ("junit", "[reports/junit.xml]"),
        ("coverage", "reports/coverage.xml"),
        ("sarif", "[reports/*.sarif]"),
    ):
        if name in found:
            value = found[name]
            page.key(name, plain(value if isinstance(value, str) else list(value)), indent=2)
        else:
            page.key(name, example, indent=2, off=True)
    page.key("project", indent=1)
    _project(page, project)


def _project(page: Page, project: Project) -> None:
    sources = project.python
    if sources.settings:
        seen = sources.settings[0]
        page.key("settings", plain(seen.value), f"{seen.where}; called in a process of its own", indent=2)
    if project.interpreter is not None:
        page.key("python", plain(project.interpreter), "the project's own", indent=2)
    if sources.app_folder is not None:
        page.key("critical_files", plain([f"{sources.app_folder}/**/*.py"]), "hold no TODO and no FIXME", indent=2)
    if project.readme is not None:
        page.key("readme", plain(project.readme), indent=2)
    if project.pipelines:
        page.key("pipelines", plain(list(project.pipelines)), indent=2)
    else:
        page.key(
            "pipelines", "[.github/workflows/*.yml]", "begin with: maestro init --with ci-github", indent=2, off=True
        )


def _plugins(page: Page, project: Project) -> None:
    page.key(
        "history", "sqlite:///.maestro/history.db", "runs are kept: maestro history, maestro diff, --baseline last"
    )
    if project.python.plugins:
        page.key("plugins", plain([f"./{folder}" for folder in project.python.plugins]), "folders of check modules")
    else:
        page.key("plugins", "[./checks]", "begin with: maestro checks new health.backup-age", off=True)
    page.key("checks", "", "declared in place, without Python; a goss file: maestro import goss.yaml", off=True)
    page.lines.append(
        '#   - {id: health.docs, http: {url: "https://localhost:8443/docs", status: 200, within_ms: 500}}'
    )
    page.key("waivers", "", "failing checks that are accepted for a time", off=True)
    row = "check: security.database-password, reason: shared database, owner: ops@example.test"
    page.lines.append(f"#   - {{{row}, environments: [development], expires: 2030-03-31}}")
