"""What a database's schema consists of, one line for each part, so that two states can be compared."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from contextlib import closing

from maestro_cli.observe.scratch_database import Scratch

_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'"
_NOT_EXTENSION = "NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = {0} AND d.deptype = 'e')"
_TEMPLATES = (
    "SELECT 'schema ' || n.nspname FROM pg_namespace n WHERE {ours}",
    """SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialised view '
          ELSE 'table ' END || c.oid::regclass::text || CASE WHEN c.relrowsecurity THEN ' row security' ELSE '' END
          || CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END
          || CASE WHEN c.relkind IN ('v', 'm') THEN ' ' || md5(pg_get_viewdef(c.oid)) ELSE '' END
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm') AND {ours} AND {c_own}""",
    """SELECT 'column ' || c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
          || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || a.attidentity::text || a.attgenerated::text
          || coalesce(' default ' || pg_get_expr(e.adbin, e.adrelid), '')
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {ours}
          AND {c_own}""",
    """SELECT 'constraint ' || k.conrelid::regclass || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.conrelid <> 0 AND {ours}""",
    """SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours} AND {c_own}""",
    """SELECT 'policy ' || polrelid::regclass || '.' || polname || ' ' || polcmd::text
          || coalesce(' using ' || pg_get_expr(polqual, polrelid), '')
          || coalesce(' check ' || pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy""",
    "SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    """SELECT 'function ' || p.oid::regprocedure::text || ' ' || md5(p.prosrc)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {ours} AND {p_own}""",
    """SELECT 'type ' || t.oid::regtype::text || ' ' || coalesce((SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)
          FROM pg_enum WHERE enumtypid = t.oid), '') FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('e', 'd') AND {ours} AND {t_own}""",
)
_OWN = {f"{letter}_own": _NOT_EXTENSION.format(f"{letter}.oid") for letter in "cpt"}
_PARTS = tuple(template.format(ours=_OURS, **_OWN) for template in _TEMPLATES)


def schema_print(scratch: Scratch, *, without: str) -> frozenset[str]:
    """Its tables, columns, constraints, indexes, policies, triggers, functions and types; extensions are left out.

    Args:
        scratch: Where to look.
        without: A table that is left out: the migrations' own.
    """
    lines: list[str] = []
    with closing(scratch.connect()) as connection, connection.cursor() as cursor:
        # Names come out with their schema, whatever the role's search_path.
        cursor.execute("SET search_path = pg_catalog")
        for part in _PARTS:
            cursor.execute(part)
            lines += [str(row[0]) for row in cursor.fetchall()]
    return frozenset(
        line for line in lines if f".{without}" not in line.split(" ", 2)[1] and f".{without} " not in line
    )


def difference(one: AbstractSet[str], other: AbstractSet[str]) -> list[str]:
    """What only one of two states has: `+` what came, `-` what went."""
    return [f"+ {line}" for line in sorted(other - one)] + [f"- {line}" for line in sorted(one - other)]
