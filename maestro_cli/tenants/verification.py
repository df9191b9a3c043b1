"""`maestro migrate verify`: is the migration whole, are the rows right, and is isolation proved."""

from __future__ import annotations

import time
from collections.abc import Iterator

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import ConfigurationError
from maestro_cli.tenants import planner, sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.catalog_read import read_for
from maestro_cli.tenants.findings import Finding, Proof, Severity, Verification
from maestro_cli.tenants.isolation import prove, self_test
from maestro_cli.tenants.leaks import table_leaks
from maestro_cli.tenants.locks import Budget, Locksmith, Pace
from maestro_cli.tenants.planner_contract import contract_begun
from maestro_cli.tenants.reach import reach_leaks
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec, candidates, specify, with_proposals
from maestro_cli.tenants.steps import Lock, LockMode, Phase, Step
from maestro_cli.tenants.tenant_map import distinct_tenants

MULTIXACT_WARNING = 400_000_000
"""Where autovacuum starts to force its way (autovacuum_multixact_freeze_max_age)."""

_MULTIXACT = "SELECT mxid_age(relminmxid) FROM pg_class WHERE oid = to_regclass(%s)"


def verify(url: str, tenancy: Tenancy, *, test_the_proof: bool = False, prove_it: bool = True) -> Verification:
    """Look at everything, change nothing.

    Args:
        url: URL of the role that owns the tables.
        tenancy: What was asked for.
        test_the_proof: Also break the isolation of each table in a transaction that is rolled back; the proof has to
            notice. Takes a strong lock on one table at a time for some milliseconds, by the usual policy.
        prove_it: Run the isolation proof, which plants rows in a transaction that is rolled back.

    Raises:
        OutOfReach: No server.
    """
    with Session(url, schema=tenancy.schema, application="maestro verify") as session:
        spec = specify(tenancy)
        catalog = read_for(session, spec)
        spec = with_proposals(spec, tenancy, catalog)
        findings = [*_structure(spec, catalog), *_rows(session, spec, catalog), *_appeared(spec, catalog)]
        checked = ["the column, key and indexes of every table", "orphaned rows", "tables that appeared since"]
        proof: Proof | None = None
        if spec.role is not None:
            findings += _isolation(session, spec, catalog)
            checked.append("ways round row-level security")
            if prove_it and spec.role in catalog.roles:
                proof = prove(session, spec, catalog, role=spec.role)
                findings += proof.findings
                if not proof.attempts and not proof.findings:
                    message = "there was nothing to try: no table of the tenancy has the column"
                    findings.append(Finding("not-proved", spec.role, message))
                checked.append(f"{proof.attempts} attempts of {spec.role} to get across")
                if test_the_proof and proof.holds:
                    findings += _tested(session, spec, catalog)
                    checked.append("the proof itself, with the isolation of each table broken")
        age = multixact_age(session, spec)
        findings += _multixact(age, spec)
        findings.sort(key=lambda finding: finding.severity is Severity.WARNING)
        return Verification(
            findings=tuple(dict.fromkeys(findings)),
            proof=proof,
            tables=tuple(table.name for table in spec.tables),
            multixact_age=age,
            checked=tuple(checked),
        )


def prove_isolation(url: str, tenancy: Tenancy, *, role: str | None = None) -> Proof:
    """The isolation proof alone.

    Args:
        url: URL of the role that owns the tables.
        tenancy: What was asked for, with `rls`.
        role: The application's role; `tenancy.rls.role` where absent.

    Raises:
        ConfigurationError: `tenancy.rls` is not configured, or there is no such role.
        OutOfReach: No server.
    """
    spec = specify(tenancy)
    name = role or spec.role
    if spec.setting is None or name is None:
        raise ConfigurationError("tenancy.rls is not configured", hint="Add to tenancy: rls: {role: your_app_role}")
    with Session(url, schema=tenancy.schema, application="maestro verify") as session:
        catalog = read_for(session, spec)
        if name not in catalog.roles:
            raise ConfigurationError(f"tenancy.rls.role: there is no role {name}", hint=f"CREATE ROLE {name} LOGIN …")
        return prove(session, with_proposals(spec, tenancy, catalog), catalog, role=name)


_LEFT = {
    "tenants": "missing-tenants",
    "default-tenant": "missing-default-tenant",
    "column": "missing-column",
    "foreign-key": "missing-key",
    "validate": "unvalidated-key",
    "index": "missing-index",
    "drop-invalid": "invalid-index",
    "backfill": "unassigned-rows",
    "not-null": "nullable-column",
    "strict": "contract-unfinished",
    "rls": "contract-unfinished",
}


def _structure(spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """What a plan would still do is what is missing."""
    contracted = spec.role in catalog.roles and contract_begun(spec, catalog)
    try:
        plan = planner.make(spec, catalog, contracting=contracted)
    except ConfigurationError as error:
        yield Finding("does-not-fit", spec.schema, error.message.replace("\n  - ", " "), fix=error.hint)
        return
    for step in plan.steps:
        yield _missing(step)
    ours = {table.name for table in spec.tables} | {spec.tenants}
    for name in sorted(ours & set(catalog.tables)):
        for index in catalog.indexes.get(name, ()):
            if not index.valid and not any(step.builds == index.name for step in plan.steps):
                message = f"the index {index.name} is invalid: it costs every write and serves no read"
                fix = f"DROP INDEX CONCURRENTLY {spec.qualified(index.name)}"
                yield Finding("invalid-index", f"{name}.{index.name}", message, fix=fix)


def _missing(step: Step) -> Finding:
    kind = _LEFT.get(step.id.partition(":")[0], "unfinished")
    command = "maestro migrate apply" + (" --contract" if step.phase is Phase.CONTRACT else "")
    return Finding(kind, step.id.partition(":")[2], f"{step.table}: still to do: {step.title}", fix=command)


def _rows(session: Session, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """Rows whose tenant does not exist, or that have none."""
    key = catalog.primary_key(spec.tenants)
    if not key:
        return
    query = f"SELECT {sql.identifier(key[0])}::text FROM {spec.qualified(spec.tenants)}"
    known = {row[0] for row in session.execute(query)}
    for table in spec.tables:
        column = catalog.column(table.name, spec.column)
        if column is None:
            continue
        try:
            strangers = [
                tenant for tenant in distinct_tenants(session, spec, catalog, table.name) if tenant not in known
            ]
        except DatabaseError as error:
            yield Finding("not-looked-at", table.name, f"its rows can't be read: {error.message}", Severity.WARNING)
            continue
        if strangers:
            some = ", ".join(strangers[:3])
            message = f"rows of {len(strangers)} tenants that don't exist ({some})"
            yield Finding("orphaned-rows", table.name, message, fix="maestro tenants create, or delete the rows")


def _appeared(spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    if spec.proposed:
        return
    known = {table.name for table in spec.tables}
    for name in candidates(spec, catalog):
        if name not in known:
            message = "is in the schema, but neither in tenancy.tables nor in tenancy.shared: whose are its rows?"
            yield Finding(
                "table-appeared", name, message, Severity.WARNING, "Name it in maestro.yaml, then: maestro migrate plan"
            )


def _isolation(session: Session, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    if spec.role not in catalog.roles:
        fix = f"CREATE ROLE {spec.role} LOGIN PASSWORD '…' NOSUPERUSER NOBYPASSRLS"
        yield Finding("role-missing", str(spec.role), "the application's role does not exist", fix=fix)
        return
    yield from table_leaks(spec, catalog)
    yield from reach_leaks(session, spec, catalog)


def _tested(session: Session, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    for table in spec.tables:
        unnoticed = _tested_table(session, spec, catalog, table.name)
        if unnoticed is None:
            message = "no quiet moment was found to test the proof"
            yield Finding("proof-untested", table.name, message, Severity.WARNING)
        for what in unnoticed or ():
            yield Finding("proof-blind", table.name, f"the proof did not notice: {what}")


def _tested_table(session: Session, spec: Spec, catalog: Catalog, table: str) -> list[str] | None:
    smith = Locksmith(session, spec.schema, Budget(), Pace())
    locks = [Lock(table, LockMode.ACCESS_EXCLUSIVE)]
    for _ in range(500):
        if not smith.holders(locks):
            try:
                return self_test(session, spec, catalog, role=str(spec.role), table=table)
            except DatabaseError as error:
                session.rollback()
                if error.sqlstate != "55P03":
                    raise
        time.sleep(0.01)
    return None


def multixact_age(session: Session, spec: Spec) -> int | None:
    """Multixacts since the oldest that the tenants table may hold; None where there is no such table."""
    rows = session.execute(_MULTIXACT, (spec.qualified(spec.tenants),))
    return int(rows[0][0]) if rows else None


def _multixact(age: int | None, spec: Spec) -> Iterator[Finding]:
    if age is not None and age > MULTIXACT_WARNING:
        message = f"its oldest multixact is {age:,} old; every insert share-locks a row of it"
        yield Finding(
            "multixact-age", spec.tenants, message, Severity.WARNING, f"VACUUM (FREEZE) {spec.qualified(spec.tenants)}"
        )
