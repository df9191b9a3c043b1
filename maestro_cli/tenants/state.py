"""`maestro migrate status`: how far each table is, read from the catalog in a moment; no table is scanned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.tenants import advisory, planner, version
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.catalog_read import read_for
from maestro_cli.tenants.planner_contract import contract_begun
from maestro_cli.tenants.planner_index import covering
from maestro_cli.tenants.provenance import key_of
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec, TableSpec, candidates, specify, with_proposals
from maestro_cli.tenants.verification import multixact_age


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """How far one table is."""

    name: str
    column: str
    """`missing`, `nullable` or `there`."""
    foreign_key: str
    """`missing`, `unvalidated` or `valid`."""
    indexes: int
    """Asked for, there and valid."""
    indexes_wanted: int
    invalid_indexes: tuple[str, ...]
    row_security: str
    """`off`, `on` (the owner passes) or `forced`."""
    rows: int
    """As the statistics estimate them."""
    bytes: int
    steps_left: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "column": self.column,
            "foreign_key": self.foreign_key,
            "indexes": self.indexes,
            "indexes_wanted": self.indexes_wanted,
            "invalid_indexes": list(self.invalid_indexes),
            "row_security": self.row_security,
            "rows": self.rows,
            "bytes": self.bytes,
            "steps_left": self.steps_left,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far the migration is."""

    database: str
    schema: str
    tables: tuple[TableState, ...]
    steps_left: tuple[str, ...]
    contract: str
    """`not begun`, `begun` or `done`."""
    appeared: tuple[str, ...]
    """Tables that are neither in the tenancy nor shared."""
    multixact_age: int | None
    running: str | None
    """Who runs a migration right now."""
    revision: str | None
    """What Alembic's version table says."""

    @property
    def done(self) -> bool:
        """Whether nothing is left (of the contract step either, once it has begun)."""
        return not self.steps_left

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "database": self.database,
            "schema": self.schema,
            "done": self.done,
            "contract": self.contract,
            "steps_left": list(self.steps_left),
            "tables": [table.to_json() for table in self.tables],
            "appeared": list(self.appeared),
            "multixact_age": self.multixact_age,
            "running": self.running,
            "revision": self.revision,
        }


def status(url: str, tenancy: Tenancy) -> Status:
    """How far the migration is.

    Raises:
        ConfigurationError: The tenancy does not fit the database.
        OutOfReach: No server.
    """
    with Session(url, schema=tenancy.schema, application="maestro status") as session:
        spec = specify(tenancy)
        catalog = read_for(session, spec)
        spec = with_proposals(spec, tenancy, catalog)
        guarded = spec.role in catalog.roles and contract_begun(spec, catalog)
        expanding = planner.make(spec, catalog)
        whole = planner.make(spec, catalog, contracting=True) if guarded else expanding
        left = [step.id for step in whole.steps]
        contract = "not begun" if not guarded else "begun" if len(whole.steps) > len(expanding.steps) else "done"
        return Status(
            database=catalog.database,
            schema=spec.schema,
            tables=tuple(_table(t, spec, catalog, sum(s.table == t.name for s in whole.steps)) for t in spec.tables),
            steps_left=tuple(left),
            contract=contract,
            appeared=_appeared(spec, catalog),
            multixact_age=multixact_age(session, spec),
            running=advisory.holder(session),
            revision=version.recorded(session),
        )


def _appeared(spec: Spec, catalog: Catalog) -> tuple[str, ...]:
    known = {table.name for table in spec.tables}
    return () if spec.proposed else tuple(name for name in candidates(spec, catalog) if name not in known)


def _table(table: TableSpec, spec: Spec, catalog: Catalog, left: int) -> TableState:
    found = catalog.tables[table.name]
    column = found.columns.get(spec.column)
    key = key_of(table, spec, catalog)
    leaves = list(catalog.leaves(table.name))
    return TableState(
        name=table.name,
        column="missing" if column is None else "there" if column.not_null else "nullable",
        foreign_key="missing" if key is None else "valid" if key.validated else "unvalidated",
        indexes=sum(covering(table.name, columns, catalog) is not None for columns in table.indexes),
        indexes_wanted=len(table.indexes),
        invalid_indexes=tuple(index.name for index in catalog.indexes.get(table.name, ()) if not index.valid),
        row_security="off" if not found.row_security else "forced" if found.forced else "on",
        rows=sum(leaf.rows for leaf in leaves),
        bytes=sum(leaf.bytes for leaf in leaves),
        steps_left=left,
    )
