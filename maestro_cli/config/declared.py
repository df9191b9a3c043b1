"""Checks declared in maestro.yaml: one section per kind, and what no single key can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from maestro_cli.config.keys import key, section
from maestro_cli.config.matchers import MatcherError, parse_matcher
from maestro_cli.config.source import Problem
from maestro_cli.redaction import Secret

_MATCHED = "A value, a list of patterns, or a matcher."


@section
class HttpSubject:
    """An HTTP request and what its answer should be."""

    shorthand: ClassVar[str] = "url"
    url: str = key("Address.", example="https://localhost:8443/docs")
    method: str = key("HTTP method.", default="GET")
    status: Any = key(f"Expected status. {_MATCHED}", default=200)
    body: Any = key(f"Expected body. {_MATCHED}", default=None)
    json: Mapping[str, Any] | None = key(
        "Path in the JSON answer (`data.0.id`) → what should stand there.", default=None
    )
    headers: Mapping[str, Any] | None = key("Expected response header → value.", default=None)
    request_headers: Mapping[str, str] | None = key("Request headers.", default=None)
    request_body: str | None = key("Request body.", default=None)
    username: str | None = key("User for HTTP Basic.", default=None)
    password: Secret | None = key("Password for HTTP Basic.", default=None)
    follow_redirects: bool = key("Follow up to five redirects.", default=False)
    ca_file: str | None = key("CA that signed its certificate; api.ca_file, then the system's.", default=None)
    verify: bool = key("Verify its certificate.", default=True)
    within_ms: float | None = key("Slowest acceptable answer, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)
    timeout_s: float = key("Longest wait, in seconds.", default=5, minimum=0.01)


@section
class TcpSubject:
    """A TCP port."""

    shorthand: ClassVar[str] = "address"
    address: str = key("HOST:PORT.", example="localhost:5432")
    reachable: bool = key("Whether it should take connections.", default=True)
    send: str | None = key("Text to send once connected.", default=None)
    banner: Any = key(f"What it should say first. {_MATCHED}", default=None)
    within_ms: float | None = key("Slowest acceptable connection, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)
    timeout_s: float = key("Longest wait, in seconds.", default=3, minimum=0.01)


@section
class FileSubject:
    """A file, folder or link."""

    shorthand: ClassVar[str] = "path"
    path: str = key("Path, relative to the folder of maestro.yaml.")
    exists: bool = key("Whether it should exist.", default=True)
    type: Literal["file", "directory", "symlink"] | None = key("What it should be.", default=None)
    mode: str | None = key('Expected mode, in quotes: "0640".', default=None, example='"0640"')
    owner: str | None = key("Expected owner.", default=None)
    group: str | None = key("Expected group.", default=None)
    size: Any = key(f"Expected size in bytes. {_MATCHED}", default=None)
    contents: Any = key(f"Expected contents. {_MATCHED}", default=None)
    sha256: str | None = key("Expected SHA-256, in hex.", default=None)
    linked_to: str | None = key("Where the link should lead.", default=None)
    max_age_hours: float | None = key("Oldest acceptable modification, in hours.", default=None, minimum=0)


@section
class CommandSubject:
    """A command and what it should answer. Run without a shell unless `shell: true`."""

    shorthand: ClassVar[str] = "run"
    run: Any = key(
        "The command: a text that is split as a shell would, or a list.", example="[systemctl, is-active, nginx]"
    )
    shell: bool = key("Hand `run` to /bin/sh.", default=False)
    exit_status: Any = key(f"Expected exit status. {_MATCHED}", default=0)
    stdout: Any = key(f"Expected output. {_MATCHED}", default=None)
    stderr: Any = key(f"Expected error output. {_MATCHED}", default=None)
    environment: Mapping[str, str] | None = key("Variables to set beside the process's own.", default=None)
    directory: str | None = key("Folder to run in; the one of maestro.yaml where absent.", default=None)
    within_ms: float | None = key("Slowest acceptable run, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)
    timeout_s: float = key("Longest run, in seconds; then it is ended.", default=8, minimum=0.01)


@section
class NagiosSubject:
    """A Nagios or monitoring plugin: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; text, then performance data."""

    shorthand: ClassVar[str] = "run"
    run: Any = key(
        "The command: a text that is split as a shell would, or a list.", example="check_disk -w 10% -c 5% /"
    )
    shell: bool = key("Hand `run` to /bin/sh.", default=False)
    perfdata: Mapping[str, Any] | None = key("Performance value's label → what it should be.", default=None)
    environment: Mapping[str, str] | None = key("Variables to set beside the process's own.", default=None)
    directory: str | None = key("Folder to run in; the one of maestro.yaml where absent.", default=None)
    timeout_s: float = key("Longest run, in seconds; then it is ended.", default=8, minimum=0.01)


@section
class SqlSubject:
    """A query, in a transaction that is rolled back."""

    shorthand: ClassVar[str] = "query"
    query: str = key("SQL.", example="select count(*) from jobs where failed")
    url: Secret | None = key("SQLAlchemy URL; database.url where absent.", default=None)
    value: Any = key(f"Expected first value of the first row. {_MATCHED}", default=None)
    rows: Any = key(f"Expected number of rows. {_MATCHED}", default=None)
    within_ms: float | None = key("Slowest acceptable answer, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)


@section
class RedisSubject:
    """A Redis or Valkey command."""

    shorthand: ClassVar[str] = "command"
    command: Any = key("The command: a text or a list.", default="PING", example="[LLEN, queue:failed]")
    url: Secret | None = key("redis:// or rediss:// URL; redis.url where absent.", default=None)
    value: Any = key(f"Expected answer. {_MATCHED}", default=None)
    within_ms: float | None = key("Slowest acceptable answer, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)


@section
class DnsSubject:
    """A name and what it should resolve to."""

    shorthand: ClassVar[str] = "name"
    name: str = key("Name to look up.", example="api.example.test")
    type: Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT", "CAA"] | None = key(
        "Record type; the machine's own resolver's addresses where absent.", default=None
    )
    server: str | None = key("DNS server, HOST or HOST:PORT; the machine's own where absent.", default=None)
    resolvable: bool = key("Whether it should resolve.", default=True)
    answers: Any = key(f"Expected answers. {_MATCHED}", default=None)
    within_ms: float | None = key("Slowest acceptable answer, in milliseconds.", default=None, minimum=0.001)
    warn_ms: float | None = key("Slower than this is a warning, in milliseconds.", default=None, minimum=0.001)
    timeout_s: float = key("Longest wait, in seconds.", default=3, minimum=0.01)


@section
class ProcessSubject:
    """A process on this machine."""

    shorthand: ClassVar[str] = "name"
    name: str = key("Name of the program, or `/regex/` over the command line.", example="nginx")
    running: bool = key("Whether it should run.", default=True)
    count: Any = key(f"Expected number. {_MATCHED}", default=None)
    user: str | None = key("User that it should run as.", default=None)


@section
class CertificateSubject:
    """A certificate, of a server or in a file."""

    shorthand: ClassVar[str] = "address"
    address: str | None = key("HOST:PORT of a TLS server.", default=None, example="api.example.test:443")
    file: str | None = key("PEM file.", default=None)
    server_name: str | None = key("Name to ask for and to find in it; the address's host where absent.", default=None)
    ca_file: str | None = key("CA that signed it; api.ca_file, then the system's.", default=None)
    verify: bool = key("Verify its chain and name (a server's).", default=True)
    min_days_left: float = key("Fewer days than this fail.", default=7, minimum=0)
    warn_days_left: float = key("Fewer days than this warn.", default=30, minimum=0)
    issuer: Any = key(f"Expected issuer. {_MATCHED}", default=None)
    subject: Any = key(f"Expected subject. {_MATCHED}", default=None)
    timeout_s: float = key("Longest wait, in seconds.", default=5, minimum=0.01)


@section
class DeclaredCheck:
    """A check declared in place, without Python: an id and one kind."""

    id: str = key("Its id: health.…, security.… or readiness.…, in kebab-case.", example="health.docs")
    title: str | None = key("What holds, in a few words.", default=None)
    component: Literal["security", "multi_tenancy", "testing", "configuration", "infrastructure", "deployment"] = key(
        "The component it counts in.", default="infrastructure"
    )
    priority: Literal["critical", "high", "medium", "low"] = key("How much it weighs.", default="medium")
    why: str = key("Why it matters.", default="")
    fix: str = key("How to mend it.", default="")
    retries: int = key("Tries after the first that did not pass.", default=0, minimum=0, maximum=100)
    retry_wait_s: float = key("Wait between tries, in seconds.", default=1, minimum=0, maximum=600)
    http: HttpSubject | None = key("An HTTP request.", default=None)
    tcp: TcpSubject | None = key("A TCP port.", default=None)
    file: FileSubject | None = key("A file.", default=None)
    command: CommandSubject | None = key("A command.", default=None)
    nagios: NagiosSubject | None = key("A Nagios plugin.", default=None)
    sql: SqlSubject | None = key("A query.", default=None)
    redis: RedisSubject | None = key("A Redis command.", default=None)
    dns: DnsSubject | None = key("A DNS name.", default=None)
    process: ProcessSubject | None = key("A process.", default=None)
    certificate: CertificateSubject | None = key("A certificate.", default=None)

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong beyond the types of the keys: where, below this check, and what."""
        if not _ID.match(self.id):
            yield ".id", f'"{self.id}" is not health.…, security.… or readiness.… in kebab-case'
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            said = "names no kind" if not kinds else f"names {' and '.join(kinds)}"
            yield "", f"{said}; a check is one of {', '.join(KINDS)}"
        for kind in kinds:
            yield from ((f".{kind}{sub}", words) for sub, words in _subject_problems(kind, getattr(self, kind)))


KINDS = ("http", "tcp", "file", "command", "nagios", "sql", "redis", "dns", "process", "certificate")
MATCHED = frozenset(
    "status body banner size contents exit_status stdout stderr value rows answers count issuer subject".split()  # noqa: SIM905 - read as a line
)
"""Keys that hold a matcher; of `json`, `headers` and `perfdata` each value does."""
_ID = re.compile(r"^(health|security|readiness)\.[a-z0-9]+(-[a-z0-9]+)*$")


def declared_problems(checks: tuple[DeclaredCheck, ...], lines: Mapping[str, int]) -> Iterator[Problem]:
    """What no single declared check can tell: that another one has its id."""
    seen: dict[str, int] = {}
    for index, check in enumerate(checks):
        line = lines.get(f"checks[{index}].id", 1)
        if check.id in seen:
            message = f'"{check.id}" is declared twice; first in line {seen[check.id]}'
            yield Problem(line, f"checks[{index}].id", message)
        seen.setdefault(check.id, line)


def _subject_problems(kind: str, subject: Any) -> Iterator[tuple[str, str]]:
    values = vars(subject)
    for name in MATCHED & values.keys():
        if values[name] is not None:
            yield from _matcher_problems(values[name], f".{name}")
    for name in ("json", "headers", "perfdata"):
        for label, value in (values.get(name) or {}).items():
            yield from _matcher_problems(value, f".{name}.{label}")
    if kind == "http" and not subject.url.startswith(("http://", "https://")):
        yield ".url", "must start with https:// or http://"
    if kind == "tcp" and not _has_port(subject.address):
        yield ".address", "must be HOST:PORT"
    if kind == "file" and subject.mode is not None and not re.fullmatch(r"0?[0-7]{3,4}", subject.mode):
        yield ".mode", 'must be an octal mode in quotes: "0640"'
    if kind in ("command", "nagios"):
        yield from _command_problems(subject)
    if kind == "certificate" and (subject.address is None) is (subject.file is None):
        yield "", "needs one of address and file"
    if kind == "certificate" and subject.address is not None and not _has_port(subject.address):
        yield ".address", "must be HOST:PORT"
    if kind == "process" and subject.name.startswith("/") and subject.name.endswith("/"):
        yield from _matcher_problems([subject.name], ".name")


def _matcher_problems(value: Any, path: str) -> Iterator[tuple[str, str]]:
    try:
        parse_matcher(value, path)
    except MatcherError as error:
        yield error.path, error.message


def _command_problems(subject: CommandSubject | NagiosSubject) -> Iterator[tuple[str, str]]:
    import shlex

    run = subject.run
    if isinstance(run, str) and run.strip():
        if not subject.shell:
            try:
                shlex.split(run)
            except ValueError as error:
                yield ".run", f"cannot be split into words: {error}"
    elif not (isinstance(run, tuple | list) and run and all(isinstance(word, str) for word in run)):
        yield ".run", "must be a command: a text, or a list of texts"
    elif subject.shell:
        yield ".run", "must be one text where shell is true"


def _has_port(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    return bool(host and colon) and port.isdigit() and 0 < int(port) < 65536
