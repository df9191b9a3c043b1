"""Ways round row-level security that can be read off the catalog: each of these was made to leak before it was listed.

The proof looks through the application's role at the tables; this looks at everything else that role can reach: views,
functions, triggers, privileges, other roles, uniques that tell, keys that cross.
"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint, Policy, Table
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.planner_composite import crossing_keys
from maestro_cli.tenants.planner_contract import is_strict
from maestro_cli.tenants.planner_keys import in_the_way
from maestro_cli.tenants.policies import COMMANDS, is_tied, policies_of, tied
from maestro_cli.tenants.spec import Spec

ALWAYS_WRONG = {
    "TRUNCATE": "TRUNCATE removes every tenant's rows, and policies don't look at it",
    "TRIGGER": "a trigger of its own sees what others write",
}


def table_leaks(spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """Leaks of the tables themselves."""
    for table in spec.tables:
        if catalog.column(table.name, spec.column) is None:
            continue
        for member in catalog.tree(table.name):
            yield from _row_security(member, member.name == table.name, spec, catalog)
            yield from _privileges(member.name, spec, catalog)
        yield from _oracles(table.name, spec, catalog)
        yield from _crossing(table.name, spec, catalog)
        yield from _default(table.name, spec, catalog)
    yield from _tenants(spec, catalog)


def _row_security(table: Table, root: bool, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    rights = catalog.privileges.get(table.name, frozenset())
    if not root and not rights:
        return  # only reachable through its parent, whose policies hold
    fix = "maestro migrate apply --contract"
    what = "" if root else f" (a partition of {table.parent}, which {spec.role} may ask directly)"
    if not table.row_security:
        yield Finding("row-security-off", table.name, f"row-level security is not enabled{what}", fix=fix)
        return
    if not table.forced:
        message = f"row-level security is not forced{what}: it does not hold for the owner, {table.owner}"
        yield Finding("not-forced", table.name, message, fix=fix)
    if spec.role == table.owner:
        message = f"{spec.role} owns the table and can switch row-level security off"
        severity = Severity.WARNING if table.forced else Severity.ERROR
        yield Finding("application-owns", table.name, message, severity, "ALTER TABLE … OWNER TO another role")
    yield from _policies(table, spec, catalog)


def _policies(table: Table, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    applying = policies_of(table.name, spec, catalog)
    permissive = [policy for policy in applying if policy.permissive]
    if not permissive:
        yield Finding(
            "missing-policy",
            table.name,
            "no policy lets the tenant's own rows through",
            fix="maestro migrate apply --contract",
        )
        return
    covered = {policy.command for policy in permissive}
    missing = [name for command, name in COMMANDS.items() if not covered & {command, "*"}]
    if missing:
        message = f"no policy for {', '.join(missing)}: these commands don't work, or will be let through in a hurry"
        yield Finding("policy-misses-command", table.name, message)
    guarded = {
        c for p in applying if not p.permissive and tied(p, spec) for c in (p.command if p.command != "*" else "rawd")
    }
    for policy in permissive:
        yield from _policy(policy, spec, guarded)


def _policy(policy: Policy, spec: Spec, guarded: set[str]) -> Iterator[Finding]:
    where = f"{policy.table}.{policy.name}"
    commands = set("rawd" if policy.command == "*" else policy.command)
    if commands & set("aw") and policy.check is None:
        message = "the policy has no WITH CHECK: what may be written is left to what may be read"
        yield Finding(
            "policy-without-check", where, message, fix=f"ALTER POLICY {sql.identifier(policy.name)} … WITH CHECK (…)"
        )
    if not tied(policy, spec) and not commands <= guarded:
        text = policy.using if not is_tied(policy.using, spec) and policy.using else policy.check
        message = f"the policy lets through more than the current tenant's rows: {' '.join(str(text).split())[:120]}"
        yield Finding("policy-too-wide", where, message)


def _privileges(table: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    rights = catalog.privileges.get(table, frozenset())
    for right, why in ALWAYS_WRONG.items():
        if right in rights:
            fix = f"REVOKE {right} ON {spec.qualified(table)} FROM {sql.identifier(str(spec.role))}, PUBLIC"
            yield Finding(f"may-{right.lower()}", table, f"{spec.role} may {right}: {why}", fix=fix)
    if "REFERENCES" in rights:
        fix = f"REVOKE REFERENCES ON {spec.qualified(table)} FROM {sql.identifier(str(spec.role))}, PUBLIC"
        message = f"{spec.role} may make foreign keys to it, and a foreign key tells whether a row exists"
        yield Finding("may-reference", table, message, Severity.WARNING, fix)


def _tenants(spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    rights = catalog.privileges.get(spec.tenants, frozenset())
    wrong = [right for right in ("DELETE", "TRUNCATE") if right in rights]
    if wrong:
        fix = (
            f"REVOKE {', '.join(wrong)} ON {spec.qualified(spec.tenants)} FROM {sql.identifier(str(spec.role))}, PUBLIC"
        )
        message = f"{spec.role} may {' and '.join(wrong)} tenants, and every row of a tenant goes with it"
        yield Finding("may-delete-tenants", spec.tenants, message, fix=fix)
    if "UPDATE" in rights:
        message = f"{spec.role} may change every tenant's name, limits and state"
        yield Finding("may-update-tenants", spec.tenants, message, Severity.WARNING)
    found = catalog.tables.get(spec.tenants)
    if found is not None and found.owner == spec.role:
        yield Finding("application-owns", spec.tenants, f"{spec.role} owns the table of tenants", Severity.WARNING)


def _oracles(table: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """Uniques over all tenants: an INSERT that fails tells one tenant what another has."""
    for index in (index for member in catalog.tree(table) for index in catalog.uniques(member.name)):
        if spec.column not in index.columns and not index.parent:
            columns = ", ".join(column or "…" for column in index.columns[: index.key_columns])
            message = f"({columns}) is unique over all tenants: a refused INSERT tells what another tenant has"
            fix = "unique: per_tenant, then maestro migrate apply --contract"
            if in_the_way(index, spec, catalog):
                fix = "unique: per_tenant and composite_keys: true, then maestro migrate apply --contract"
            yield Finding("unique-oracle", f"{index.table}.{index.name}", message, fix=fix)
    for constraint in catalog.constraints.get(table, ()):
        if constraint.kind == "x" and spec.column not in constraint.columns:
            message = "excludes over all tenants: a refused INSERT tells what another tenant has"
            yield Finding("exclusion-oracle", f"{table}.{constraint.name}", message)
    key = catalog.primary_key(table)
    known = catalog.tables[table].columns
    if key and spec.column not in key and all(known[c].default is None and known[c].type == "text" for c in key):
        message = (
            f"the primary key ({', '.join(key)}) is text over all tenants: a refused INSERT may tell what another has"
        )
        yield Finding("key-oracle", table, message, Severity.WARNING)


def _crossing(table: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    for key in crossing_keys(table, spec, catalog):
        if not any(_covers(other, key, spec) for other in catalog.foreign_keys(key.table)):
            columns = ", ".join(key.columns)
            message = f"({columns}) may point to another tenant's row of {key.referenced}, and tells whether it exists"
            yield Finding(
                "crossing-key",
                f"{key.table}.{key.name}",
                message,
                fix="composite_keys: true, then maestro migrate apply",
            )


def _covers(other: Constraint, key: Constraint, spec: Spec) -> bool:
    return (
        other.validated
        and other.referenced == key.referenced
        and spec.column in other.columns
        and set(key.columns) <= set(other.columns)
    )


def _default(table: str, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    found = catalog.tables[table]
    column = found.columns[spec.column]
    if found.row_security and column.default is not None and not is_strict(column.default, spec):
        # The bridge is harmless under a policy: a row that would land with the default tenant is refused.
        severity = Severity.WARNING if spec.default_id in column.default else Severity.ERROR
        message = f"the default of {spec.column} is {column.default}, not the current tenant"
        yield Finding("wrong-default", table, message, severity, "maestro migrate apply --contract")
