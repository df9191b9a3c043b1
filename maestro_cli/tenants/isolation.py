"""The proof of isolation: two tenants and their rows are planted, then the application's role tries to get across.

For every table by SELECT, INSERT, UPDATE, DELETE by no tenant, own row, another's row, row moved to another. Everything
happens in one transaction that is rolled back; nothing stays but some sequence numbers. The controls count: own rows
must be reachable, or a table that refuses everything would pass for isolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.findings import Finding, Proof, Severity
from maestro_cli.tenants.planting import Planted, Planter, Unplantable
from maestro_cli.tenants.policies import policies_are_tied, updates_are_tied
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec

T = TypeVar("T")

SHORT = ("SET LOCAL lock_timeout = '2s'", "SET LOCAL statement_timeout = '30s'")


@dataclass
class _Case:
    """What was tried on one table."""

    table: str
    findings: list[Finding] = field(default_factory=list)
    attempts: int = 0

    def leak(self, command: str, what: str) -> None:
        message = f"as the application's role, {command} {what}"
        self.findings.append(
            Finding(f"leak-{command.lower()}", self.table, message, fix="maestro migrate apply --contract")
        )

    def control(self, command: str, why: str) -> None:
        message = f"{command} of an own row is refused ({why}): the proof has no control, the application no access"
        self.findings.append(Finding("own-row-refused", self.table, message))


def prove(session: Session, spec: Spec, catalog: Catalog, *, role: str) -> Proof:
    """Try to get across.

    Args:
        session: The role that owns the tables; it needs SET ROLE to the application's.
        spec: Names; `setting` has to be configured.
        catalog: What is there.
        role: The application's role.
    """
    session.execute("BEGIN")
    try:
        return _Prover(session, spec, catalog, role).run()
    finally:
        session.execute("ROLLBACK")


def self_test(session: Session, spec: Spec, catalog: Catalog, *, role: str, table: str) -> list[str]:
    """Break the isolation of a table in a transaction that is rolled back: the proof has to notice.

    Returns:
        The breaks that went unnoticed; empty when the proof can be relied on.

    Raises:
        DatabaseError: 55P03 where the table is busy; try again.
    """
    name = spec.qualified(table)
    breaks = {
        "row-level security off": [f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"],
        "a policy that lets everything pass": [
            f"CREATE POLICY maestro_self_test ON {name} USING (true) WITH CHECK (true)"
        ],
        "the policies removed": [
            f"DROP POLICY {sql.identifier(policy.name)} ON {name}" for policy in catalog.policies.get(table, ())
        ],
    }
    unnoticed = []
    for what, statements in breaks.items():
        session.execute("BEGIN")
        try:
            session.execute(f"SET LOCAL lock_timeout = '50ms'; LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE NOWAIT")
            for statement in statements:
                session.execute(statement)
            if _Prover(session, spec, catalog, role, only=table).run().holds:
                unnoticed.append(f"{what} on {table}")
        finally:
            session.execute("ROLLBACK")
    return unnoticed


class _Prover:
    """One proof within an open transaction."""

    def __init__(self, session: Session, spec: Spec, catalog: Catalog, role: str, only: str | None = None) -> None:
        self._session = session
        self._spec = spec
        self._catalog = catalog
        self._role = role
        self._only = only
        self._planter = Planter(session, spec, catalog)
        query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s"
        self._bypasses = bool(session.execute(query, (role,))[0][0])

    def run(self) -> Proof:
        session, spec = self._session, self._spec
        for statement in SHORT:
            session.execute(statement)
        try:
            with self._as_role():
                pass
        except DatabaseError as error:
            return self._impossible(f"the role of database.admin_url can't become {self._role}: {error.message}")
        try:
            mine, other = self._planter.tenants()
        except Unplantable as error:
            return self._impossible(str(error))
        cases = [
            self._table(table.name, mine, other)
            for table in spec.tables
            if self._only in {None, table.name} and self._catalog.column(table.name, spec.column)
        ]
        attempts = sum(case.attempts for case in cases)
        findings = [finding for case in cases for finding in case.findings]
        if cases and not attempts and all(finding.severity is Severity.WARNING for finding in findings):
            fix = f"GRANT SELECT, INSERT, UPDATE, DELETE ON … TO {sql.identifier(self._role)}"
            findings.append(
                Finding("not-proved", self._role, "it may do nothing with any table: nothing was tried", fix=fix)
            )
        return Proof(
            role=self._role,
            attempts=attempts,
            tables=tuple(case.table for case in cases),
            findings=tuple(findings),
        )

    def _impossible(self, why: str) -> Proof:
        fix = f"GRANT {sql.identifier(self._role)} TO CURRENT_USER"
        return Proof(role=self._role, findings=(Finding("not-proved", self._role, why, fix=fix),))

    def _table(self, table: str, mine: str, other: str) -> _Case:
        case = _Case(table)
        rights = self._catalog.privileges.get(table, frozenset())
        try:
            own, foreign = self._planter.row(table, mine), self._planter.row(table, other)
        except Unplantable as error:
            # The policies' text says the same, so it is no leak; but it was not tried, and that is said.
            tied = not self._bypasses and policies_are_tied(table, self._spec, self._catalog)
            severity = Severity.WARNING if tied else Severity.ERROR
            case.findings.append(Finding("not-proved", table, f"no row could be planted: {error}", severity))
            return case
        if "SELECT" in rights:
            self._select(case, own, foreign, mine)
        if "INSERT" in rights:
            self._insert(case, mine, other)
        if "UPDATE" in rights and "SELECT" in rights:
            self._update(case, own, foreign, mine, other)
        if "DELETE" in rights and "SELECT" in rights:
            self._delete(case, own, foreign, mine)
        if not rights & {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            message = f"{self._role} may do nothing with this table: there was nothing to try"
            case.findings.append(Finding("no-access", table, message, Severity.WARNING))
        return case

    def _select(self, case: _Case, own: Planted, foreign: Planted, mine: str) -> None:
        name = self._spec.qualified(case.table)
        column = sql.identifier(self._spec.column)
        any_row = f"SELECT count(*) FROM (SELECT FROM {name} LIMIT 1) AS few"
        if self._count(case, None, any_row):
            case.leak("SELECT", "without a tenant sees rows")
        if not self._count(case, mine, f"SELECT count(*) FROM {name} WHERE {own.where}"):
            case.control("SELECT", "it is not seen")
        if self._count(case, mine, f"SELECT count(*) FROM {name} WHERE {foreign.where}"):
            case.leak("SELECT", "sees another tenant's row")
        strange = f"SELECT count(*) FROM (SELECT FROM {name} WHERE {column}::text <> %s LIMIT 1) AS few"
        if self._count(case, mine, strange, (mine,)):
            case.leak("SELECT", "sees rows of other tenants")

    def _insert(self, case: _Case, mine: str, other: str) -> None:
        for tenant, row_of, what in (
            (None, mine, "without a tenant makes a row for one"),
            (mine, other, "makes a row for another tenant"),
        ):
            if self._write(case, tenant, self._planter.insertion(case.table, row_of)) not in {"0", "refused"}:
                case.leak("INSERT", what)
        outcome = self._write(case, mine, self._planter.insertion(case.table, mine))
        if outcome == "refused":
            case.control("INSERT", "by a policy or a privilege")

    def _update(self, case: _Case, own: Planted, foreign: Planted, mine: str, other: str) -> None:
        name, column = self._spec.qualified(case.table), sql.identifier(self._spec.column)
        touched = self._updatable(case.table)
        if touched is None:
            return
        nothing = f"UPDATE {name} SET {touched} = {touched}"
        if self._write(case, None, f"{nothing} WHERE {own.where}") not in {"0", "refused"}:
            case.leak("UPDATE", "without a tenant changes a row")
        if self._write(case, mine, f"{nothing} WHERE {own.where}") in {"0", "refused"}:
            case.control("UPDATE", "nothing was changed")
        if self._write(case, mine, f"{nothing} WHERE {foreign.where}") not in {"0", "refused"}:
            case.leak("UPDATE", "changes another tenant's row")
        if self._may_update(case.table, self._spec.column):
            moved = f"UPDATE {name} SET {column} = {sql.tenant_literal(other, self._spec.type)}"
            # Blind, without WHERE: where a row is read as well, PostgreSQL holds the new row against the policies for
            # SELECT too, and a missing WITH CHECK stays hidden. Only where it can't reach further than the own rows.
            blind = not self._bypasses and updates_are_tied(case.table, self._spec, self._catalog)
            if self._write(case, mine, moved if blind else f"{moved} WHERE {own.where}") not in {"0", "refused"}:
                case.leak("UPDATE", "moves a row to another tenant")
            taken = f"UPDATE {name} SET {column} = {sql.tenant_literal(mine, self._spec.type)} WHERE {foreign.where}"
            if self._write(case, mine, taken) not in {"0", "refused"}:
                case.leak("UPDATE", "takes another tenant's row")

    def _delete(self, case: _Case, own: Planted, foreign: Planted, mine: str) -> None:
        name = self._spec.qualified(case.table)
        if self._write(case, None, f"DELETE FROM {name} WHERE {own.where}") not in {"0", "refused"}:
            case.leak("DELETE", "without a tenant removes a row")
        if self._write(case, mine, f"DELETE FROM {name} WHERE {own.where}") in {"0", "refused"}:
            case.control("DELETE", "nothing was removed")
        if self._write(case, mine, f"DELETE FROM {name} WHERE {foreign.where}") not in {"0", "refused"}:
            case.leak("DELETE", "removes another tenant's row")

    def _updatable(self, table: str) -> str | None:
        columns = [column for column in self._catalog.tables[table].columns.values() if not column.generated]
        plain = sorted(columns, key=lambda column: (column.name == self._spec.column, column.identity))
        found = next((column.name for column in plain if self._may_update(table, column.name)), None)
        return None if found is None else sql.identifier(found)

    def _may_update(self, table: str, column: str) -> bool:
        query = "SELECT has_column_privilege(%s, to_regclass(%s), %s, 'UPDATE')"
        return bool(self._session.execute(query, (self._role, self._spec.qualified(table), column))[0][0])

    def _count(self, case: _Case, tenant: str | None, query: str, parameters: tuple[str, ...] = ()) -> int:
        """Rows that the role sees; 0 where it is refused."""

        def ask() -> int:
            return int(self._session.execute(query, parameters)[0][0])

        case.attempts += 1
        return self._attempt(tenant, ask, refused=0, otherwise=0)

    def _write(self, case: _Case, tenant: str | None, statement: str) -> str:
        """How many rows it touched; `refused` by a policy; `stopped` by something that only looks after the policies."""

        def change() -> str:
            return str(self._session.affected(statement))

        case.attempts += 1
        return self._attempt(tenant, change, refused="refused", otherwise="stopped")

    def _attempt(self, tenant: str | None, act: Callable[[], T], *, refused: T, otherwise: T) -> T:
        session = self._session
        session.execute("SAVEPOINT maestro_attempt")
        try:
            session.execute("SELECT set_config(%s, %s, true)", (self._spec.setting, tenant or ""))
            with self._as_role():
                return act()
        except DatabaseError as error:
            # 42501 is a policy's refusal. A constraint's refusal comes later: the policy had let it pass. A setting
            # that is no tenant (22P02) and a timeout prove nothing and leak nothing.
            return otherwise if error.sqlstate[:2] == "23" else refused
        finally:
            session.execute("ROLLBACK TO SAVEPOINT maestro_attempt; RELEASE SAVEPOINT maestro_attempt")

    @contextmanager
    def _as_role(self) -> Iterator[None]:
        self._session.execute("SAVEPOINT maestro_role")
        try:
            self._session.execute(f"SET LOCAL ROLE {sql.identifier(self._role)}")
            yield
        finally:
            self._session.execute("ROLLBACK TO SAVEPOINT maestro_role; RELEASE SAVEPOINT maestro_role")
