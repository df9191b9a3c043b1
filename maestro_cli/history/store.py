"""The store of runs: add one, list them, read one back."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maestro_cli.errors import OutOfReach, UsageError
from maestro_cli.history.connection import Connection, Row, connect
from maestro_cli.history.schema import make_current
from maestro_cli.model import Report
from maestro_cli.redaction import Secret

MAXIMUM_DOCUMENT = 200_000_000
"""Characters of a stored report; one that unpacks to more is not ours."""
_COLUMNS = "id, started_at, service, environment, commit_id, verdict, score, coverage, components"
_NEWEST_FIRST = "order by started_at desc, id desc"


@dataclass(frozen=True, slots=True)
class Run:
    """One stored run, without its checks."""

    id: str
    started_at: datetime
    service: str
    environment: str
    commit: str | None
    verdict: str
    score: float | None
    coverage: float
    components: Mapping[str, float | None]


class Store:
    """An open store; a context manager.

    Args:
        url: A SQLAlchemy URL, or the path of a SQLite file.
        root: The folder that a relative path starts from.

    Raises:
        OutOfReach: When it cannot be opened, or is no store; also from every method.
    """

    def __init__(self, url: Secret, root: Path) -> None:
        self.connection: Connection = connect(url, root)
        try:
            make_current(self.connection)
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def add(self, report: Report, document: str) -> str:
        """Keep a run.

        Args:
            report: The run, for the columns that lists are made of.
            document: The same as JSON; secrets are masked in it already.

        Returns:
            Its id.
        """
        identifier = secrets.token_hex(5)
        row = {
            "id": identifier,
            "started_at": _written(report.started_at),
            "service": report.service,
            "environment": report.environment,
            "commit_id": report.commit,
            "verdict": report.verdict.value,
            "score": report.score,
            "coverage": report.coverage,
            "components": json.dumps({row.id.value: row.score for row in report.components}),
            "document": zlib.compress(document.encode(), 6),
        }
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        self.connection.write(f"insert into maestro_runs ({names}) values ({values})", row)  # noqa: S608 - our own names
        return identifier

    def runs(self, limit: int, *, service: str | None = None, environment: str | None = None) -> list[Run]:
        """The latest runs, oldest of them first."""
        where, parameters = _where(service, environment)
        rows = self.connection.query(
            f"select {_COLUMNS} from maestro_runs {where} {_NEWEST_FIRST}",  # noqa: S608 - our own names
            parameters,
            limit,
        )
        return [_run(row) for row in reversed(rows)]

    def find(self, name: str, *, service: str | None = None, environment: str | None = None) -> Run:
        """A run by its id or the beginning of it, or `last`, `last~1` (the one before) and so on.

        Raises:
            UsageError: When there is none, or more than one.
        """
        if name == "last" or name.startswith("last~"):
            back = name.removeprefix("last").removeprefix("~") or "0"
            if not back.isdigit():
                raise UsageError(f"{name!r} is no run", hint="Write last, last~1 (the one before it), or an id.")
            runs = self.runs(int(back) + 1, service=service, environment=environment)
            if len(runs) <= int(back):
                raise UsageError(f"there is no run {name}: {len(runs)} are stored", hint="See them: maestro history")
            return runs[0]
        pattern = f"{name.replace('%', '').replace('_', '')}%"
        rows = self.connection.query(
            f"select {_COLUMNS} from maestro_runs where id like :pattern",  # noqa: S608 - our own names
            {"pattern": pattern},
            2,
        )
        if len(rows) != 1 or pattern == "%":
            many = "no stored run has" if not rows else "more than one stored run has"
            raise UsageError(f"{many} an id that begins with {name!r}", hint="See them: maestro history")
        return _run(rows[0])

    def document(self, run: Run) -> str:
        """A run's whole report as JSON."""
        rows = self.connection.query("select document from maestro_runs where id = :id", {"id": run.id}, 1)
        try:
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(bytes(rows[0][0]), MAXIMUM_DOCUMENT)
            if not unpacker.eof:
                raise ValueError("cut short")
            return text.decode()
        except (IndexError, TypeError, ValueError, zlib.error):
            raise OutOfReach(f"run {run.id} in {self.connection.place} cannot be read: its report is damaged") from None


def _where(service: str | None, environment: str | None) -> tuple[str, dict[str, Any]]:
    asked = {"service": service, "environment": environment}
    parameters = {name: value for name, value in asked.items() if value is not None}
    conditions = " and ".join(f"{name} = :{name}" for name in parameters)
    return f"where {conditions}" if conditions else "", parameters


def _written(moment: datetime) -> str:
    """A fixed-width text, so that its order is the order in time in every database."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _run(row: Row) -> Run:
    try:
        components = json.loads(row[8])
        return Run(
            id=str(row[0]),
            started_at=datetime.fromisoformat(str(row[1])),
            service=str(row[2]),
            environment=str(row[3]),
            commit=None if row[4] is None else str(row[4]),
            verdict=str(row[5]),
            score=None if row[6] is None else float(row[6]),
            coverage=float(row[7]),
            components={str(name): None if score is None else float(score) for name, score in components.items()},
        )
    except (ValueError, TypeError, AttributeError):
        raise OutOfReach(f"run {row[0]} in the history is damaged") from None
