"""Row-level security as the application's own role meets it: in a transaction that is rolled back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.tenancy import tenant_schema

if TYPE_CHECKING:
    from maestro_cli.config.tenancy_settings import Tenancy
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.tenancy import TenantSchema
    from maestro_cli.tenants.spec import Spec

REFUSED = "42501"
"""insufficient_privilege: what a policy's WITH CHECK raises, and a missing privilege too."""
MAXIMUM_TABLES = 200
_SETTING = re.compile(r"current_setting\('([^']+)'")
_ASKING = re.compile(
    r"\w\"?\s*\(|\bSELECT\b|\b(?:current_(?:user|role|catalog|schema)|session_user|user|system_user)\b", re.IGNORECASE
)
_BESIDE = """
SELECT c.relname, c.relkind IN ('r', 'p') AND NOT c.relrowsecurity FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND NOT c.relname = ANY (%s) AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY 1 LIMIT %s
"""
"""What else holds rows of tenants: a view runs with its owner's rights, a table that nobody named has no policy."""


@dataclass(frozen=True)
class Attempt:
    """One thing that was tried, what came of it, and whether that is a leak."""

    table: str
    what: str
    seen: str
    leaks: bool


@dataclass(frozen=True)
class RowProof:
    """Everything that was tried; `controls` is how many tables took a row of one's own past the policies."""

    attempts: tuple[Attempt, ...]
    controls: int
    tables: int


def prove_rows(ctx: Context) -> RowProof:
    """For each table of the tenancy: read without a tenant, read as one, make a row of another one.

    The rows are never whole: a policy is asked before NOT NULL and keys are (PostgreSQL's ExecInsert), so what gets past
    it fails there, and nothing is written even for a moment.

    Raises:
        NotConfigured: Without database.url; without tenancy.rls where the policies don't name one setting either.
        ControlFailed: When no table takes even a row of one's own past its policies.
    """
    tenancy = ctx.require(ctx.settings.tenancy, "tenancy")
    schema = tenant_schema(ctx)
    setting = _setting(ctx, tenancy, schema)
    own = tenancy.default_tenant.id
    other = {"uuid": str(uuid.uuid4()), "bigint": "-4611686018427387904"}.get(tenancy.type, f"maestro-{ctx.nonce}")
    attempts: list[Attempt] = []
    controls = tables = 0
    with ctx.database.transaction(read_only=False) as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        attempts += _preset(cursor, setting)
        for table in schema.spec.tables[:MAXIMUM_TABLES]:
            if schema.catalog.column(table.name, tenancy.column) is None:
                continue
            tables += 1
            prober = _Prober(cursor, schema.spec.qualified(table.name), table.name, tenancy.column, setting)
            attempts += prober.read(own)
            attempts.append(prober.make(own, other))
            controls += prober.takes_own(own)
            attempts += _open_by_text(schema, table.name)
        for name, unguarded in _beside(cursor, tenancy, schema.spec):
            read = list(_Prober(cursor, schema.spec.qualified(name), name, tenancy.column, setting).read(own))
            attempts += read
            if unguarded and not any(attempt.leaks for attempt in read):  # it holds one tenant's rows, or none as yet
                attempts.append(Attempt(name, "read another's rows", "row-level security is off", leaks=True))
    if tables and not controls:
        raise ControlFailed(
            f"as the application's role even an own row is refused: is {setting} the setting that the policies read, "
            f"and {own} a tenant?"
        )
    return RowProof(tuple(attempts), controls, tables)


def _setting(ctx: Context, tenancy: Tenancy, schema: TenantSchema) -> str:
    """The setting that holds the current tenant: the configured one, or the one that the tables' policies read."""
    if tenancy.rls is not None:
        return tenancy.rls.setting
    catalog = schema.catalog
    guarded = [t.name for t in schema.spec.tables if t.name in catalog.tables and catalog.tables[t.name].row_security]
    policies = [policy for name in guarded for policy in catalog.policies.get(name, ())]
    names = {
        name for policy in policies for text in (policy.using, policy.check) for name in _SETTING.findall(text or "")
    }
    found: str = ctx.require(names.pop() if len(names) == 1 else None, "tenancy.rls")
    return found


def _preset(cursor: Any, setting: str) -> Iterator[Attempt]:
    """Whether a session begins with a tenant: ALTER ROLE … SET makes a forgotten one somebody's, not nobody's."""
    cursor.execute("SELECT current_setting(%s, true)", (setting,))
    if cursor.fetchone()[0]:
        yield Attempt("every table", "act for a tenant that nobody set", f"{setting} is set from the start", leaks=True)


def _open_by_text(schema: TenantSchema, table: str) -> Iterator[Attempt]:
    """Policies for changing and deleting that ask nothing of the session, so they are the same for every tenant.

    Judged by their text: a statement without WHERE reads no row, so no other policy holds it, and a row of one's own that
    is given away is no row that could be made.
    """
    from maestro_cli.tenants.policies import policies_of

    if table not in schema.catalog.tables or not schema.catalog.tables[table].row_security:
        return
    policies = policies_of(table, schema.spec, schema.catalog)
    held = {policy.command for policy in policies if not policy.permissive}
    for policy in policies:
        if not policy.permissive or policy.command not in ("w", "d") or held & {"*", policy.command}:
            continue
        using, checks = _same_for_all(policy.using), policy.command == "w" and _same_for_all(policy.check)
        if using:
            deed = "change another's rows" if policy.command == "w" else "delete another's rows"
            yield Attempt(table, deed, f"USING of policy {policy.name} asks for no tenant", leaks=True)
        elif checks:
            deed = "give a row to another tenant"
            yield Attempt(table, deed, f"WITH CHECK of policy {policy.name} asks for no tenant", leaks=True)


def _same_for_all(text: str | None) -> bool:
    """Whether an expression calls nothing, looks nothing up and names no user: then no session makes a difference."""
    return text is not None and _ASKING.search(text) is None


def _beside(cursor: Any, tenancy: Tenancy, spec: Spec) -> list[tuple[str, bool]]:
    """Views and tables with the tenant's column that the tenancy does not name, as far as the role may read them.

    And whether it is a table that no policy guards.
    """
    known = [*(table.name for table in spec.tables), spec.tenants, *tenancy.shared]
    cursor.execute(_BESIDE, (tenancy.column, spec.schema, known, MAXIMUM_TABLES))
    return [(name, bool(unguarded)) for name, unguarded in cursor.fetchall()]


class _Prober:
    """One table."""

    def __init__(self, cursor: Any, name: str, short: str, column: str, setting: str) -> None:
        self._cursor, self._name, self._short, self._setting = cursor, name, short, setting
        self._column = '"' + column.replace('"', '""') + '"'

    def read(self, own: str) -> Iterator[Attempt]:
        """Reading without a tenant, and rows of others while acting for one's own."""
        for what, tenant, where, parameters in (
            ("read without a tenant", "", "", ()),
            ("read another's rows", own, f" WHERE {self._column}::text <> %s", (own,)),
        ):
            with self._acting_for(tenant):
                seen, state = self._ask(f"SELECT 1 FROM {self._name}{where} LIMIT 1", parameters)  # noqa: S608 - a quoted name
            leaks = bool(seen)
            yield Attempt(self._short, what, "rows" if leaks else f"refused ({state})" if state else "no row", leaks)

    def make(self, own: str, other: str) -> Attempt:
        """Making a row of another tenant while acting for one's own."""
        state = self._insert(own, other)
        return Attempt(
            self._short,
            "make another's row",
            f"refused ({state})" if state == REFUSED else f"let through ({state})",
            state != REFUSED,
        )

    def takes_own(self, own: str) -> bool:
        """The control: a row of one's own gets past the policies."""
        return self._insert(own, own) != REFUSED

    def _insert(self, acting: str, tenant: str) -> str:
        with self._acting_for(acting):
            _, state = self._ask(f"INSERT INTO {self._name} ({self._column}) VALUES (%s) RETURNING 1", (tenant,))  # noqa: S608 - the same
        return state or "00000"

    @contextmanager
    def _acting_for(self, tenant: str) -> Iterator[None]:
        self._cursor.execute("SAVEPOINT maestro_probe")
        try:
            self._cursor.execute("SELECT set_config(%s, %s, true)", (self._setting, tenant))
            yield
        finally:
            self._cursor.execute("ROLLBACK TO SAVEPOINT maestro_probe")
            self._cursor.execute("RELEASE SAVEPOINT maestro_probe")

    def _ask(self, statement: str, parameters: tuple[Any, ...]) -> tuple[list[Any], str | None]:
        """Rows, or the SQLSTATE of the refusal."""
        import psycopg2

        try:
            self._cursor.execute(statement, parameters)
            return self._cursor.fetchall(), None
        except psycopg2.Error as error:
            if error.pgcode is None or error.pgcode.startswith(("08", "57")):
                raise
            return [], error.pgcode
