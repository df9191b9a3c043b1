"""Functions, triggers and rules that step round the policies, told by their text and by who they run as."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.reach_tables import GUARDS, guarded
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec

_FUNCTIONS = """
SELECT p.proname, p.oid::regprocedure::text, pg_get_userbyid(p.proowner),
       o.rolsuper OR o.rolbypassrls OR p.proowner = ANY (ARRAY(SELECT relowner FROM pg_class c JOIN pg_namespace cn
         ON cn.oid = c.relnamespace WHERE cn.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND NOT c.relforcerowsecurity)),
       p.prosecdef, p.proleakproof, has_function_privilege(%(role)s, p.oid, 'EXECUTE'),
       p.prorettype = 'trigger'::regtype, coalesce(p.prosrc, '') || ' ' || coalesce({body}, ''),
       EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgfoid = p.oid AND t.tgenabled <> 'D'
         AND (has_any_column_privilege(%(role)s, c.oid, 'INSERT') OR has_any_column_privilege(%(role)s, c.oid, 'UPDATE')
           OR has_table_privilege(%(role)s, c.oid, 'DELETE')))
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
JOIN pg_roles o ON o.oid = p.proowner
WHERE p.prokind IN ('f', 'p')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"""

_TRIGGERS = """
SELECT c.relname, t.tgname, p.proname, coalesce(p.prosrc, '')
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND NOT t.tgisinternal AND t.tgparentid = 0"""

_RULES = """
SELECT DISTINCT c.relname, r.rulename, pg_get_ruledef(r.oid)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('r', 'p')
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)"""

# Tables without a tenant that the role can read: a copy of tenants' rows in one of these is a leak.
_READABLE = f"""
SELECT n.nspname, c.relname, c.relkind,
       coalesce((SELECT string_agg(option_name || '=' || option_value, ' ') FROM pg_foreign_table f,
                 pg_options_to_table(f.ftoptions) WHERE f.ftrelid = c.oid), ''), {GUARDS}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND has_any_column_privilege(%(role)s, c.oid, 'SELECT')"""

_DYNAMIC = re.compile(r"\bEXECUTE\b|\b(?:query|table|schema|database|cursor)_to_xml|\bdblink", re.IGNORECASE)
"""SQL that is put together, or named by the caller."""
_NOTIFIES = re.compile(r"\bpg_notify\b|\bNOTIFY\b", re.IGNORECASE)
_WHOLE_ROW = re.compile(r"\b(?:row_to_json|to_jsonb?|hstore)\s*\(\s*(?:NEW|OLD)\s*\)|\b(?:NEW|OLD)\s*::", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    signature: str
    owner: str
    bypasses: bool
    definer: bool
    leakproof: bool
    may: bool
    trigger: bool
    body: str
    fires: bool
    """The role can make a trigger call it."""


@dataclass
class _Bodies:
    """What functions say, those that they call included."""

    functions: list[_Function]
    by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for function in self.functions:
            self.by_name[function.name].append(function.body)

    def whole(self, body: str) -> str:
        """A body with the bodies of the functions that it mentions, and that those mention."""
        seen: set[str] = set()
        left, text = [body], ""
        names = set(self.by_name)
        while left:
            part = left.pop()
            text += f"\n{part}"
            called = mentioned(part, names - seen)
            seen |= called
            for name in called:
                left += self.by_name[name]
        return text


def function_leaks(session: Session, spec: Spec, parameters: dict[str, Any], reaching: set[str]) -> Iterator[Finding]:
    """Functions that run as somebody for whom no policy holds, and triggers and rules that copy or tell rows."""
    sqlbody = "pg_get_function_sqlbody(p.oid)" if session.server_version >= 140000 else "NULL"
    rows = session.execute(_FUNCTIONS.replace("{body}", sqlbody), parameters)
    bodies = _Bodies([_Function(*row) for row in rows])
    names = {table.name for table in spec.tables} | reaching
    for function in bodies.functions:
        yield from _function(function, bodies, names, spec)
    yield from _copies(session, spec, parameters, bodies)


def _function(function: _Function, bodies: _Bodies, names: set[str], spec: Spec) -> Iterator[Finding]:
    if function.leakproof and function.may:
        message = "is marked LEAKPROOF: it is called on rows before the policies have looked at them"
        fix = f"ALTER FUNCTION {function.signature} NOT LEAKPROOF"
        yield Finding("leakproof-function", function.signature, message, fix=fix)
    called = function.fires if function.trigger else function.may
    if not function.definer or not function.bypasses or not called:
        return
    body = bodies.whole(function.body)
    if function.trigger and (spec.column in body or str(spec.setting) in body):
        return  # it looks at the tenant by itself; nobody chooses what it is called with
    read = mentioned(body, names) if not function.trigger else _asked(body, names)
    dynamic = _DYNAMIC.search(body) is not None and not function.trigger
    if read or dynamic:
        what = f"reads or writes {', '.join(sorted(read)[:3])}" if read else "runs SQL that it puts together"
        kind = "definer-trigger" if function.trigger else "definer-function"
        message = f"SECURITY DEFINER, runs as {function.owner}, for whom no policy holds, and {what}"
        yield Finding(kind, function.signature, message, fix=f"ALTER FUNCTION {function.signature} SECURITY INVOKER")


def _asked(body: str, names: set[str]) -> set[str]:
    """The tables that a body reads: what a trigger writes to them is seen when it copies rows."""
    sources = re.findall(r'\b(?:FROM|JOIN)\s+((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)', _bare(body), re.IGNORECASE)
    found = {source.split(".")[-1].strip('"') for source in sources}
    return {name for name in names if name in found or name in {source.lower() for source in found}}


def _bare(body: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", body, flags=re.DOTALL)


def mentioned(body: str, names: set[str]) -> set[str]:
    """The names that stand in an SQL text as words; comments don't count, strings do (they may be executed)."""
    text = _bare(body)
    words = set(re.findall(r"[\w$]+", text.lower())) | set(re.findall(r'"((?:[^"]|"")+)"', text))
    return {name for name in names if name in words}


def _copies(session: Session, spec: Spec, parameters: dict[str, Any], bodies: _Bodies) -> Iterator[Finding]:
    """Triggers and rules of the tenants' tables that write to where the role can read without a policy, or notify."""
    known = {table.name for table in spec.tables} | {spec.tenants}
    readable: dict[str, str] = {}
    for schema, name, kind, options, row_security, policies in session.execute(_READABLE, parameters):
        shown = name if schema == spec.schema else f"{schema}.{name}"
        if kind == "f":
            yield from _foreign(shown, options, known, spec)
        elif not guarded(row_security, policies, spec) and not (schema == spec.schema and name in known):
            readable[name] = shown
    sources = [(table, f"trigger {name}", body) for table, name, _, body in session.execute(_TRIGGERS, parameters)]
    sources += [(table, f"rule {name}", body) for table, name, body in session.execute(_RULES, parameters)]
    for table, what, own in sources:
        body = bodies.whole(own)
        yield from _copied(table, what, body, readable, spec)
        if _NOTIFIES.search(_bare(body)):
            whole = _WHOLE_ROW.search(body) is not None
            message = f"{what} notifies {'with whole rows' if whole else 'about rows'}, and every session may LISTEN"
            severity = Severity.ERROR if whole else Severity.WARNING
            yield Finding("notified-rows", table, message, severity, "Notify with the row's id alone")


def _copied(table: str, what: str, body: str, readable: Mapping[str, str], spec: Spec) -> Iterator[Finding]:
    written = re.findall(r"\b(?:INSERT\s+INTO|UPDATE|MERGE\s+INTO)\s+([\w.\"$]+)", body, re.IGNORECASE)
    targets = {target.split(".")[-1].strip('"') for target in written} & set(readable)
    for target in sorted(targets):
        message = f"{what} writes its rows to {readable[target]}, which {spec.role} can read and no policy guards"
        yield Finding("copied-rows", table, message)


def _foreign(shown: str, options: str, known: set[str], spec: Spec) -> Iterator[Finding]:
    same = any(f"table_name={name}" in options.split() for name in known) or shown in known
    message = f"a foreign table has no row-level security, and {spec.role} can read it"
    yield Finding("foreign-table", shown, message, Severity.ERROR if same else Severity.WARNING)
