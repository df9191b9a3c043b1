"""What maestro.yaml may say: typed, frozen, documented. The loader, `config show`, `config schema` and the reference
page all read these classes; a key is written once, here.

A section that is absent is None, and the checks about it are skipped. Paths are relative to the folder of maestro.yaml.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from maestro_cli.config.declared import DeclaredCheck
from maestro_cli.config.keys import key, section
from maestro_cli.redaction import Secret

Environment = Literal["development", "staging", "production"]
PriorityName = Literal["critical", "high", "medium", "low"]


@section
class Service:
    """The service under judgement."""

    name: str = key("Its name, as the report prints it.", default="service")
    environment: Environment = key("Which gate applies; `--env` overrides it.", default="development")


@section
class Account:
    """A user the probes log in as."""

    username: str = key("Login name.")
    password: Secret = key("Password; write it as ${NAME}, never in the file.")
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


@section
class Auth:
    """How the API authenticates."""

    algorithm: str = key("JWT algorithm.", default="HS256", example="HS256")
    secret: Secret | None = key("Optional: lets probes forge tokens that differ in one thing only.", default=None)
    public_key_file: str | None = key("PEM file with the public key, for RS256 and ES256.", default=None)
    jwks_url: str | None = key("Where the public keys are published, for RS256 and ES256.", default=None)
    weak_secrets_file: str | None = key(
        "Further signing keys to try, one a line, beside the shipped list of well-known ones.", default=None
    )
    header: str = key("The request header that carries the token.", default="Authorization")
    scheme: str = key("What stands before the token in that header; empty for nothing.", default="Bearer")
    login: Login | None = key("How to log in.", default=None)
    refresh: Endpoint | None = key("How to exchange a refresh token.", default=None)
    logout: Endpoint | None = key("How to log out.", default=None)
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
    health_path: str = key("GET that answers 200 when the service is well.", default="/health")
    max_latency_ms: float = key(
        "Slowest acceptable median answer of health_path, in milliseconds.", default=500, minimum=1
    )
    auth: Auth | None = key("How it authenticates.", default=None)
    isolation: Isolation | None = key("How tenants' objects are made and read.", default=None)
    roles: Roles | None = key("What an account of few rights may not do.", default=None)
    cors: Cors | None = key("Cross-origin rules.", default=None)
    rate_limit: RateLimit | None = key("The rate limit.", default=None)


@section
class PasswordHashes:
    """Where password hashes are stored."""

    table: str = key("Table, `schema.table` where it is not in public.", example="users")
    column: str = key("Column.", example="password_hash")
    min_rounds: int = key("Lowest acceptable bcrypt cost.", default=12, minimum=4, maximum=31)


@section
class Database:
    """PostgreSQL (or SQLite for an embedded default)."""

    url: Secret | None = key(
        "SQLAlchemy URL of the application's role; postgresql+asyncpg:// works.",
        default=None,
        example="${DATABASE_URL}",
    )
    admin_url: Secret | None = key(
        "URL of the role that owns the tables, for migrations.", default=None, example="${ADMIN_DATABASE_URL}"
    )
    scratch_url: Secret | None = key(
        "URL of a role that may create databases (CREATEDB, nothing more), on any database of a server: restores and "
        "rollbacks are rehearsed in databases that are made there and dropped again; no other one is touched.",
        default=None,
        example="${SCRATCH_DATABASE_URL}",
    )
    alembic_ini: str | None = key("The application's own Alembic configuration.", default=None)
    password_hashes: PasswordHashes | None = key("Where password hashes are stored.", default=None)
    data_directory: str | None = key(
        "The server's data directory, where this machine holds it and the role may not ask for it.",
        default=None,
        example="/var/lib/postgresql/17/main",
    )
    min_free_percent: float = key(
        "Least free space on the disks of the data directory, where this machine holds it, in percent.",
        default=5,
        minimum=0,
        maximum=100,
    )
    max_latency_ms: float = key("Slowest acceptable median round trip, in milliseconds.", default=100, minimum=0.1)


@section
class Redis:
    """Redis or Valkey."""

    url: Secret | None = key("redis:// or rediss:// URL.", default=None, example="${REDIS_URL}")
    blacklist_prefix: str | None = key(
        "Prefix of the keys of revoked tokens.", default=None, example="token:blacklist:"
    )
    max_latency_ms: float = key("Slowest acceptable median round trip, in milliseconds.", default=100, minimum=0.1)


@section
class Certs:
    """Certificates."""

    directory: str = key("Folder of the certificate files.", default="certs")
    hosts: tuple[str, ...] = key(
        "Names and addresses the server certificate is for.",
        default=("localhost", "127.0.0.1", "::1", "maestro-api", "api.maestro.local"),
    )
    min_days_left: int = key("Fewer days than this is a warning.", default=30, minimum=0)
    key_type: Literal["rsa-4096", "rsa-3072", "rsa-2048", "ec-p256", "ec-p384", "ed25519"] = key(
        "Type of new keys.", default="rsa-4096"
    )
    days: int = key("Life of new certificates, in days.", default=397, minimum=1, maximum=825)


@section
class Secrets:
    """Secrets in the environment file."""

    required: Mapping[str, int] = key("Name → strength in bits.", factory=dict, example="{JWT_SECRET_KEY: 256}")
    max_age_days: int = key("Oldest acceptable secret, in days.", default=90, minimum=1)
    grace_days: int = key("How long NAME_PREVIOUS stays after a rotation, in days.", default=7, minimum=0)


@section
class DefaultTenant:
    """The tenant that existing rows belong to."""

    id: str = key("Its id, of the column's type.", default="371191e4-9748-4b2a-9c7f-2d986463afa7")
    name: str = key("Its name.", default="Default Organization")
    slug: str = key("Its slug.", default="default")


@section
class TenantTable:
    """How one table becomes multi-tenant."""

    indexes: tuple[tuple[str, ...], ...] = key(
        "Indexes to have, each a list of columns; the tenant column alone where nothing is written.", default=()
    )
    on_delete: Literal["cascade", "restrict", "no action"] | None = key(
        "What deleting a tenant does to its rows; tenancy.on_delete where absent.", default=None
    )
    assign: str | None = key(
        "Whose row is it: a constant, an SQL expression over the row, or `column → table` (also `->`).",
        default=None,
        example="project_id → projects",
    )
    unique: Literal["keep", "per_tenant"] | None = key(
        "What becomes of unique constraints; tenancy.unique where absent.", default=None
    )
    composite_keys: bool | None = key(
        "Add composite foreign keys (tenant, parent); tenancy.composite_keys where absent.", default=None
    )


@section
class Rls:
    """Row-level security."""

    role: str = key("The application's role.", example="maestro_app")
    setting: str = key("The setting that holds the current tenant.", default="app.tenant_id")


@section
class Tenancy:
    """How the database is divided among tenants."""

    column: str = key("The tenant column.", default="tenant_id")
    type: Literal["uuid", "bigint", "text"] = key("Its type.", default="uuid")
    schema: str = key("PostgreSQL schema of the tables.", default="public")
    tenants_table: str = key("The table of tenants.", default="tenants")
    default_tenant: DefaultTenant = key("The tenant of existing rows.", factory=DefaultTenant)
    on_delete: Literal["cascade", "restrict", "no action"] = key("What deleting a tenant does.", default="cascade")
    unique: Literal["keep", "per_tenant"] = key("What becomes of unique constraints.", default="keep")
    composite_keys: bool = key("Add composite foreign keys (tenant, parent).", default=False)
    tables: Mapping[str, TenantTable] = key(
        "Table → how; where empty, `maestro migrate plan` proposes them from the catalog.", factory=dict
    )
    shared: tuple[str, ...] = key(
        "Tables that are no tenant's on purpose: neither proposed nor reported.", default=(), example="[users]"
    )
    rls: Rls | None = key("Row-level security.", default=None)


@section
class Gate:
    """What an environment asks for."""

    min_score: float = key("Lowest total score.", default=0, minimum=0, maximum=100)
    no_failed: tuple[PriorityName, ...] = key("Priorities of which no check may fall short.", default=())
    min_coverage: float = key("Lowest share of weight that was measured.", default=0, minimum=0, maximum=100)


DEFAULT_GATES: Mapping[str, Gate] = {
    "development": Gate(min_score=60),
    "staging": Gate(min_score=80, no_failed=("critical",)),
    "production": Gate(min_score=90, no_failed=("critical", "high"), min_coverage=90),
}


@section
class ComponentWeights:
    """How much each component counts in the total."""

    security: float = key("Weight.", default=1, minimum=0)
    multi_tenancy: float = key("Weight.", default=1, minimum=0)
    testing: float = key("Weight.", default=1, minimum=0)
    configuration: float = key("Weight.", default=1, minimum=0)
    infrastructure: float = key("Weight.", default=1, minimum=0)
    deployment: float = key("Weight.", default=1, minimum=0)


@section
class LoadTest:
    """A result of a load test or benchmark, and its budgets. At least one budget is needed."""

    file: str = key(
        "Result of k6 (summary export), Locust (_stats.csv or --json), wrk or pytest-benchmark; patterns allowed.",
        example="reports/k6.json",
    )
    mean_ms: float | None = key("Slowest acceptable mean, in milliseconds.", default=None, minimum=0)
    p95_ms: float | None = key("Slowest acceptable 95th percentile, in milliseconds.", default=None, minimum=0)
    p99_ms: float | None = key("Slowest acceptable 99th percentile, in milliseconds.", default=None, minimum=0)
    max_error_percent: float | None = key(
        "Highest acceptable share of failed requests, in percent.", default=None, minimum=0, maximum=100
    )
    min_requests_per_second: float | None = key("Lowest acceptable throughput.", default=None, minimum=0)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong beyond the types of the keys."""
        if all(value is None for name, value in vars(self).items() if name != "file"):
            yield "", "has no budget; write p95_ms, for example"


@section
class EvidenceFiles:
    """What other tools measured, read from their own files."""

    junit: tuple[str, ...] = key("JUnit XML files; patterns allowed.", default=())
    coverage: str | None = key("Cobertura or coverage.py XML.", default=None)
    min_line_rate: float = key("Lowest acceptable line coverage, in percent.", default=80, minimum=0, maximum=100)
    sarif: tuple[str, ...] = key("SARIF files; patterns allowed.", default=())
    sarif_fail_on: Literal["error", "warning", "note"] = key(
        "Lowest level of a SARIF result that fails; those below warn.", default="error"
    )
    pip_audit: tuple[str, ...] = key(
        "Reports of `pip-audit --format json`; patterns allowed.", default=(), example="[reports/pip-audit.json]"
    )
    npm_audit: tuple[str, ...] = key(
        "Reports of `npm audit --json`; patterns allowed.", default=(), example="[reports/npm-audit.json]"
    )
    vulnerability_fail_on: Literal["critical", "high", "moderate", "low", "info"] = key(
        "Lowest severity of a vulnerability that fails, where the tool tells it; those below warn.", default="high"
    )
    load: tuple[LoadTest, ...] = key("Results of load tests with their budgets.", default=())
    max_age_hours: float = key("Oldest acceptable file, in hours.", default=24, minimum=0)


@section
class Restore:
    """How a restore of the newest dump is rehearsed, in a database of database.scratch_url."""

    within_s: float = key(
        "Recovery time objective: the longest it may take, in seconds; also raise run.deadlines for long ones.",
        default=45,
        minimum=1,
    )
    min_rows_percent: float = key(
        "Fewest rows that a table may have after it, in percent of what it has in database.url.",
        default=80,
        minimum=0,
        maximum=100,
    )
    except_tables: tuple[str, ...] = key("Tables that the dump leaves out, or whose rows come and go.", default=())


@section
class WalArchiving:
    """The continuous archive of PostgreSQL's write-ahead log."""

    max_age_minutes: float = key(
        "Oldest acceptable last archived segment, in minutes: what is written since may be lost.", default=60, minimum=0
    )


@section
class Rollback:
    """How going back is rehearsed with the application's migrations, in a database of database.scratch_url."""

    to: Literal["one", "base"] = key("How far down: by one revision, or to the empty database as well.", default="one")


@section
class Shutdown:
    """How the service ends."""

    within_s: float = key("Longest that it may take to end after SIGTERM, in seconds.", default=10, minimum=0.5)
    request: Endpoint | None = key(
        "A request whose body is read before it is answered; a login of nobody's where absent.", default=None
    )


@section
class Backups:
    """Backups of the database, where this machine can see them."""

    files: tuple[str, ...] = key("Dump files; patterns allowed; the newest one is judged.", example="[backups/*.dump]")
    rpo_hours: float = key(
        "Recovery point objective: the oldest the newest one may be, in hours.", default=24, minimum=0
    )
    programs: str | None = key(
        "Folder of pg_restore and psql, where they are not on the path.",
        default=None,
        example="/usr/lib/postgresql/17/bin",
    )
    restore: Restore | None = key("How a restore is rehearsed.", default=None)


@section
class Project:
    """The project's own files."""

    settings: str | None = key(
        "The application's settings loader, MODULE:CALLABLE; called in a process of its own.",
        default=None,
        example="service.settings:load",
    )
    python: str | None = key(
        "The Python that runs the project's code, where it has an environment of its own; maestro's where absent.",
        default=None,
        example=".venv/bin/python",
    )
    critical_files: tuple[str, ...] = key("Files that must hold no TODO or FIXME; patterns allowed.", default=())
    readme: str | None = key("The operator's documentation.", default=None, example="README.md")
    readme_sections: tuple[str, ...] = key(
        "Words that its headings must hold.", default=("install", "configur", "run", "test")
    )
    pipelines: tuple[str, ...] = key(
        "CI pipeline files; patterns allowed.", default=(), example=".github/workflows/*.yml"
    )


@section
class Readiness:
    """How the score is made and what each environment asks for."""

    components: ComponentWeights = key("Weights of the six components.", factory=ComponentWeights)
    gates: Mapping[str, Gate] = key("Environment → gate.", factory=dict)
    backups: Backups | None = key("Backups of the database.", default=None)
    wal_archiving: WalArchiving | None = key("The archive of the write-ahead log.", default=None)
    rollback: Rollback | None = key("How going back is rehearsed.", default=None)
    shutdown: Shutdown | None = key(
        "How the service ends: configured, `api.app` is started once more and ended.", default=None
    )
    evidence: EvidenceFiles | None = key("Files of other tools.", default=None)
    project: Project | None = key("The project's own files.", default=None)


@section
class Waiver:
    """A failing check that is accepted for a time."""

    check: str = key("The check's id.")
    reason: str = key("Why it is acceptable.")
    owner: str = key("Who answers for it.")
    expires: dt.date = key("The last day it holds, in UTC.")
    environments: tuple[Environment, ...] = key("Where it holds: at least one.", example="[development]")


@section
class Run:
    """How checks are run."""

    deadline_s: float = key("Deadline of one check, in seconds.", default=10, minimum=0.01)
    deadlines: Mapping[str, float] = key("Check id → its own deadline, in seconds.", factory=dict)
    total_s: float = key("Deadline of the whole run, in seconds.", default=120, minimum=0.1)
    concurrency: int = key("Checks that run at once.", default=8, minimum=1, maximum=256)
    plugin_memory_mb: int = key("Most memory that a plugin's process may use, in MB.", default=1024, minimum=64)
    probe_production: bool = key(
        "Let probes that write run in an environment named production, as --probe-production does.", default=False
    )


@section
class Settings:
    """The whole of maestro.yaml."""

    version: Literal[1] = key("Version of this format.", default=1)
    service: Service = key("The service under judgement.", factory=Service)
    env_file: str | None = key(
        "File that ${NAME} is read from, behind the process environment.", default=None, example=".env"
    )
    api: Api | None = key("The HTTP service.", default=None)
    database: Database | None = key("The database.", default=None)
    redis: Redis | None = key("Redis or Valkey.", default=None)
    certs: Certs | None = key("Certificates.", default=None)
    secrets: Secrets | None = key("Secrets in the environment file.", default=None)
    tenancy: Tenancy | None = key("How the database is divided among tenants.", default=None)
    readiness: Readiness = key("Score and gates.", factory=Readiness)
    waivers: tuple[Waiver, ...] = key("Failing checks that are accepted for a time.", default=())
    plugins: tuple[str, ...] = key("Folders of check modules.", default=())
    checks: tuple[DeclaredCheck, ...] = key("Checks declared in place, without Python.", default=())
    run: Run = key("How checks are run.", factory=Run)
    history: Secret | None = key(
        "Where runs are kept: a SQLAlchemy URL, or the path of a SQLite file.",
        default=None,
        example="sqlite:///.maestro/history.db",
    )
