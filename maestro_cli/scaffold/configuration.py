"""From what was found to a commented maestro.yaml that can be run at once.

A line that needs something which is not there yet is written as a comment, with the step that makes it true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from maestro_cli.scaffold.detection import Found

_PLAIN = re.compile(r"^[A-Za-z_./][\w./:@+-]*$")
_READ_AS_OTHER = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_SECTIONS_FIRST = "# All keys, with their meaning: maestro config schema --text"


def quoted(text: str) -> str:
    """A text as YAML reads it back."""
    if _PLAIN.match(text) and text.lower() not in _READ_AS_OTHER and not text.endswith(":") and ": " not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configuration(found: Found) -> str:
    """The text of maestro.yaml."""
    lines = [
        "# maestro.yaml: what maestro looks at. Written by: maestro init",
        "# Every key is optional; a check whose subject is not configured is skipped, and lowers the coverage.",
        "# ${NAME} and ${NAME:-default} are read from the process environment, then from env_file.",
        _SECTIONS_FIRST,
        "version: 1",
        f"service: {{name: {quoted(found.name.replace('${', '$${'))}, environment: development}}  # or staging, production",
    ]
    for part in (_env, _api, _database, _redis, _certs, _secrets, _tenancy, _readiness, _rest):
        lines += ["", *part(found)]
    return "\n".join(lines).rstrip() + "\n"


def _env(found: Found) -> Iterator[str]:
    if found.env_file is not None:
        yield f"env_file: {quoted(found.env_file)}"
    else:
        yield "# env_file: .env                       # make it: maestro secrets generate, then take the # away"


def _api(found: Found) -> Iterator[str]:
    if found.app is None and found.port is None and found.openapi is None:
        yield "# api:                                 # the HTTP service"
        yield "#   url: https://localhost:8443"
        yield "#   app: service.main:app              # what `maestro serve` launches"
        yield "#   health_path: /health"
        return
    yield "api:"
    if found.port is not None:
        yield f"  url: ${{API_URL:-http://localhost:{found.port}}}     # where it answers; https:// once it has certificates"
    else:
        yield "  url: ${API_URL:-https://localhost:8443}   # where it answers"
        yield "  # ca_file: certs/ca.pem              # made by: maestro certs generate"
    if found.app is not None:
        yield f"  app: {quoted(found.app)}             # what `maestro serve` launches"
    if found.health_path is not None:
        yield f"  health_path: {quoted(found.health_path)}"
    else:
        yield "  # health_path: /health"
    yield from _auth(found)


def _auth(found: Found) -> Iterator[str]:
    path = quoted(found.login_path or "/auth/login")
    yield "  # With two accounts of different tenants maestro logs in, forges tokens and tries to reach across:"
    yield "  # auth:"
    yield f'  #   login: {{path: {path}, body: {{email: "{{username}}", password: "{{password}}"}}, token: access_token}}'
    yield "  #   protected: /projects             # a GET that needs a token"
    yield "  #   accounts:"
    yield '  #     - {username: a@example.test, password: "${PROBE_A_PASSWORD}"}'
    yield '  #     - {username: b@example.test, password: "${PROBE_B_PASSWORD}"}'


def _database(found: Found) -> Iterator[str]:
    name = found.variable("DATABASE_URL", "POSTGRES_URL", "POSTGRES_DSN", "DB_URL", "SQLALCHEMY_DATABASE_URI")
    known = name in found.env_names
    if name is None and found.alembic_ini is None:
        yield '# database: {url: "${DATABASE_URL}"}   # PostgreSQL'
        return
    if known:
        yield "database:"
        yield f"  url: ${{{name}}}"
    elif found.alembic_ini is not None:
        yield "database:"
        yield f"  # url: ${{{name or 'DATABASE_URL'}}}          # once it is set"
    else:
        yield f'# database: {{url: "${{{name}}}"}}            # once it is set'
        return
    if found.alembic_ini is not None:
        yield f"  alembic_ini: {quoted(found.alembic_ini)}        # the application's own migrations: at head?"


def _redis(found: Found) -> Iterator[str]:
    name = found.variable("REDIS_URL", "REDIS_DSN", "VALKEY_URL", "CACHE_URL")
    if name in found.env_names:
        yield f'redis: {{url: "${{{name}}}"}}'
    else:
        yield f'# redis: {{url: "${{{name or "REDIS_URL"}}}"}}       # Redis or Valkey, once it is set'


def _certs(found: Found) -> Iterator[str]:
    if found.certs is not None:
        yield f"certs: {{directory: {found.certs}, min_days_left: 30}}"
    else:
        yield "# certs: {directory: certs, hosts: [localhost, 127.0.0.1]}   # made by: maestro certs generate"


def _secrets(found: Found) -> Iterator[str]:
    names = found.secrets()
    if not names:
        yield "# secrets: {required: {JWT_SECRET_KEY: 256}, max_age_days: 90}   # bits; made by: maestro secrets generate"
        return
    yield "secrets:"
    yield "  max_age_days: 90"
    yield "  required:                              # name: bits; made by: maestro secrets generate"
    yield from (f"    {name}: {192 if 'PASSWORD' in name else 256}" for name in names)


def _tenancy(_found: Found) -> Iterator[str]:
    yield "# tenancy:                             # maestro migrate plan proposes the tables from the database"
    yield "#   column: tenant_id"
    yield "#   tables: {projects: {indexes: [[tenant_id]]}}"


def _readiness(found: Found) -> Iterator[str]:
    yield "readiness:"
    yield "  gates:"
    yield "    development: {min_score: 60}"
    yield "    staging: {min_score: 80, no_failed: [critical]}"
    yield "    production: {min_score: 90, no_failed: [critical, high], min_coverage: 90}"
    if found.junit or found.coverage is not None:
        yield "  evidence:                            # what other tools measured; older than a day is no evidence"
        if found.junit:
            yield f"    junit: [{', '.join(map(quoted, found.junit))}]"
        if found.coverage is not None:
            yield f"    coverage: {quoted(found.coverage)}"
    else:
        yield "  # evidence: {junit: [reports/junit.xml], coverage: reports/coverage.xml, sarif: [reports/*.sarif]}"
    project = [f"    readme: {quoted(found.readme)}"] if found.readme is not None else []
    project += [f"    settings: {quoted(found.settings)}   # called in a process of its own"] if found.settings else []
    project += [f"    pipelines: [{', '.join(map(quoted, found.pipelines))}]"] if found.pipelines else []
    if project:
        yield "  project:"
        yield from project


def _rest(found: Found) -> Iterator[str]:
    yield "history: sqlite:///.maestro/history.db # maestro history, maestro diff, --baseline last"
    yield (
        "plugins: [./checks]"
        if found.checks
        else "# plugins: [./checks]                  # begin one: maestro checks new health.backup-age"
    )
    yield "# checks:                              # declared in place, without Python"
    yield '#   - {id: health.docs, http: {url: "https://localhost:8443/docs", within_ms: 500}}'
    yield "# waivers:                             # a failing check that is accepted for a time"
    yield "#   - {check: security.database-password, reason: shared development database, owner: ops@example.test, expires: 2027-03-31}"
