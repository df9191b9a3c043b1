"""Writing SQL: identifiers, literals and the expressions that the migration uses. Pure text, no database."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from maestro_cli.errors import ConfigurationError

# Reserved (catcode R and T of pg_get_keywords() in PostgreSQL 18): these need quoting as column or table names.
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
_PLAIN = re.compile(r"^[a-z_][a-z0-9_]*$")


def identifier(name: str) -> str:
    """A name, quoted where it needs quotes."""
    if _PLAIN.match(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """A name with its schema."""
    return f"{identifier(schema)}.{identifier(name)}"


def columns(names: Iterable[str]) -> str:
    """Names for a column list."""
    return ", ".join(map(identifier, names))


def literal(text: str) -> str:
    """A string literal; correct whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return f"E{quoted.replace(chr(92), chr(92) * 2)}" if "\\" in text else quoted


_PUSHED = re.compile(r"\(\((ARRAY\[(?:'(?:[^']|'')*'::character varying(?:, )?)+\])\)::text\[\]\)")


def reparsable(definition: str) -> str:
    """An index's definition, so that PostgreSQL makes the same of it again.

    `status IN ('a', 'b')` over a varchar is written out as a cast of the whole array, and read in again as a cast of
    each element: equal, but another text in every dump. Without the cast the array is coerced as it was at first.
    """
    return _PUSHED.sub(r"(\1)", definition)


def tenant_literal(value: str, type_: str) -> str:
    """A tenant's id as a literal of the column's type.

    Raises:
        ConfigurationError: The value is not of the type.
    """
    if type_ == "uuid":
        try:
            return f"{literal(str(uuid.UUID(value)))}::uuid"
        except ValueError:
            raise ConfigurationError(
                f"tenancy: {value!r} is not a uuid, and tenancy.type is uuid",
                hint="Write tenancy.default_tenant.id as a uuid, or tenancy.type: text.",
            ) from None
    if type_ == "bigint":
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ConfigurationError(
                f"tenancy: {value!r} is not a whole number, and tenancy.type is bigint",
                hint="Write tenancy.default_tenant.id as a number, or tenancy.type: text.",
            )
        return f"{literal(value)}::bigint"
    return literal(value)


def current_tenant(setting: str, type_: str) -> str:
    """The tenant of the running transaction; NULL where none is set.

    After `SET LOCAL` ends, a custom setting is '' and not NULL, hence NULLIF.
    """
    value = f"NULLIF(current_setting({literal(setting)}, true), '')"
    return value if type_ == "text" else f"{value}::{type_}"


def bridge_default(setting: str | None, type_: str, default: str) -> str:
    """The column's default while old code still inserts rows without naming the tenant column."""
    return default if setting is None else f"COALESCE({current_tenant(setting, type_)}, {default})"
