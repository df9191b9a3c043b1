"""The section `readiness:` of maestro.yaml: gates and weights, and what is judged besides the running service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from maestro_cli.config.api_settings import Endpoint
from maestro_cli.config.keys import key, section

PriorityName = Literal["critical", "high", "medium", "low"]


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
