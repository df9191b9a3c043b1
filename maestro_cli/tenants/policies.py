"""What policies say, by their text: a judgement without trying, beside the proof that tries."""

from __future__ import annotations

import re

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Policy
from maestro_cli.tenants.spec import Spec

COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
"""How pg_policy writes a command; `*` is all of them."""


def policies_of(table: str, spec: Spec, catalog: Catalog) -> list[Policy]:
    """The policies that apply to the application's role."""
    mine = {"public", spec.role, *catalog.memberships}
    return [p for p in catalog.policies.get(table, ()) if mine & set(p.roles)]


def complete(table: str, spec: Spec, catalog: Catalog) -> bool:
    """Whether the table's own policies do all that ours would: every command, tied to the tenant, writes checked."""
    permissive = [policy for policy in policies_of(table, spec, catalog) if policy.permissive]
    covered = set("".join("rawd" if policy.command == "*" else policy.command for policy in permissive))
    checked = all(policy.check is not None for policy in permissive if policy.command in "*aw")
    return covered == set(COMMANDS) and checked and all(tied(policy, spec) for policy in permissive)


def tied(policy: Policy, spec: Spec) -> bool:
    """Whether a policy lets through the current tenant's rows only, by its text."""
    expressions = [text for text in (policy.using, policy.check) if text is not None]
    return bool(expressions) and all(is_tied(text, spec) for text in expressions)


def policies_are_tied(table: str, spec: Spec, catalog: Catalog) -> bool:
    """Whether every policy of the application's role lets through the current tenant's rows only, by its text."""
    found = catalog.tables[table]
    applying = [policy for policy in policies_of(table, spec, catalog) if policy.permissive]
    return found.row_security and found.forced and bool(applying) and all(tied(policy, spec) for policy in applying)


def updates_are_tied(table: str, spec: Spec, catalog: Catalog) -> bool:
    """Whether an UPDATE of the application's role can reach the current tenant's rows only, by the policies' text.

    A superuser and a role with BYPASSRLS reach further; whoever asks has to look at that.
    """
    found = catalog.tables[table]
    applying = [p for p in policies_of(table, spec, catalog) if p.permissive and p.command in "*w"]
    return (
        found.row_security
        and found.forced
        and bool(applying)
        and all(policy.using and is_tied(policy.using, spec) for policy in applying)
    )


def is_tied(text: str | None, spec: Spec) -> bool:
    """Whether an expression holds only for the current tenant: the column equals the setting, nothing beside it."""
    if text is None:
        return True
    flat = " ".join(text.split())
    if re.search(r"\bOR\b|\bCOALESCE\b|\bCASE\b|\bNOT \(", flat, re.IGNORECASE):
        return False
    column = re.escape(sql.identifier(spec.column))
    setting = re.escape(str(spec.setting).replace("'", "''"))
    named = rf"current_setting\('{setting}'"
    # The setting has to stand in the same comparison: no AND and no other comparison lies between.
    between = r"(?:(?!\bAND\b|\bANY\b|\bALL\b|\|\|)[^=<>])*"
    ours = rf"(?:^|[\s(.]){column}\)?(?:::\w+)? = {between}{named}"
    theirs = rf"{named}{between} = \(?(?:\w+\.)?{column}\b"
    return re.search(f"{ours}|{theirs}", flat, re.IGNORECASE) is not None
