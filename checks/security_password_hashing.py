"""How are the passwords hashed that are stored, not those that a configuration file promises?"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe.tenancy import tenant_ids

# A whole hash never leaves the database: the server sorts each into a kind and counts.
_KINDS = r"""
SELECT CASE
    WHEN {column} IS NULL OR {column} ~ '^(|!.*|x|[*]+)$' THEN 'none'
    WHEN {column} ~ '^([{{]bcrypt[}}])?[$]2[aby]?[$][0-9][0-9][$][./A-Za-z0-9]{{53}}$'
        THEN 'bcrypt ' || split_part({column}, '$', 3)
    WHEN {column} ~ '^bcrypt(_sha256)?[$][$]2[aby][$][0-9][0-9][$]' THEN 'bcrypt ' || substring({column} from '[$]([0-9][0-9])[$]')
    WHEN {column} ~ '^[$]bcrypt-sha256[$]v=2,t=2b,r=[0-9]+[$]' THEN 'bcrypt ' || substring({column} from 'r=([0-9]+)[$]')
    WHEN {column} ~ '^(argon2|[{{]argon2[^}}]*[}}])?[$]argon2id[$]v=19[$]m=[0-9]+,t=[0-9]+,p=[0-9]+[$][^$]+[$][^$]+$'
        THEN 'argon2id ' || substring({column} from '[$](m=[0-9]+,t=[0-9]+,p=[0-9]+)[$]')
    WHEN {column} ~ '^([$]pbkdf2-|pbkdf2_|pbkdf2:)sha(1|256|512)[$:][0-9]+[$]'
        THEN 'pbkdf2-sha' || substring({column} from 'sha([0-9]+)[$:]') || ' ' || substring({column} from '[$:]([0-9]+)[$]')
    WHEN {column} ~ '^[$]pbkdf2[$][0-9]+[$]' THEN 'pbkdf2-sha1 ' || split_part({column}, '$', 3)
    WHEN {column} ~ '^scrypt:[0-9]+:[0-9]+:[0-9]+[$]'
        THEN 'scrypt N=' || split_part({column}, ':', 2) || ',r=' || split_part({column}, ':', 3)
            || ',p=' || substring({column} from '^scrypt:[0-9]+:[0-9]+:([0-9]+)')
    WHEN {column} ~ '^scrypt[$][0-9]+[$][^$]+[$][0-9]+[$][0-9]+[$]'
        THEN 'scrypt N=' || split_part({column}, '$', 2) || ',r=' || split_part({column}, '$', 4)
            || ',p=' || split_part({column}, '$', 5)
    WHEN {column} ~ '^[$]scrypt[$]ln=[0-9]+,r=[0-9]+,p=[0-9]+[$]'
        THEN 'scrypt N=' || (1 << least(substring({column} from 'ln=([0-9]+)')::int, 30)) || ','
            || substring({column} from '(r=[0-9]+,p=[0-9]+)')
    WHEN {column} ~ '^AQAAAA[EI][A-Za-z0-9+/]{{40,}}={{0,2}}$' AND mod(length({column}), 4) = 0
        THEN 'pbkdf2-sha' || CASE get_byte(decode({column}, 'base64'), 4) WHEN 1 THEN '256 ' ELSE '512 ' END
            || ('x' || encode(substring(decode({column}, 'base64') from 6 for 4), 'hex'))::bit(32)::int
    WHEN {column} ~ '^[$](1|5|6|y|apr1|2x)[$]' THEN 'crypt $' || split_part({column}, '$', 2)
    WHEN {column} ~ '^[$]argon2(i|d)[$]' THEN split_part({column}, '$', 2)
    WHEN {column} ~ '^[{{][A-Z0-9-]+[}}]' THEN 'LDAP ' || substring({column} from '^[{{]([A-Z0-9-]+)')
    WHEN {column} ~ '^(md5|sha1|unsalted_md5|crypt)[$]' THEN split_part({column}, '$', 1)
    WHEN {column} ~ '^[0-9a-fA-F]+$' AND length({column}) IN (32, 40, 56, 64, 96, 128)
        THEN 'plain digest of ' || length({column}) * 4 || ' bits'
    WHEN {column} ~ '^gAAAA[A-Za-z0-9_-]{{60,}}=*$' THEN 'Fernet, which can be decrypted'
    WHEN length({column}) >= 64 AND {column} ~ '^[A-Za-z0-9+/=_.:$,-]+$' THEN 'of an unknown format'
    ELSE 'no known hash' END AS kind, count(*)
FROM {table} WHERE {rows} GROUP BY 1 ORDER BY 2 DESC LIMIT 50"""

_GUARDED = """
SELECT row_security_active(t.oid) AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = %s AND NOT attisdropped)
FROM (SELECT %s::regclass::oid AS oid) t"""
"""Whether policies hide rows from this role, and a column says whose they are."""
_STRETCHED = {"pbkdf2-sha1": 1_300_000, "pbkdf2-sha256": 600_000, "pbkdf2-sha512": 210_000}
"""Least iterations, from OWASP's Password Storage Cheat Sheet."""
_SCRYPT = ((131_072, 1), (65_536, 2), (32_768, 3), (16_384, 5), (8_192, 10))
"""Least N and p of scrypt with r = 8, from the same page."""
_ALMOST = {"pbkdf2-sha256": 260_000, "pbkdf2-sha512": 100_000}
_ALMOST_SCRYPT = 16_384
"""What frameworks of today use by default (Werkzeug, ASP.NET Core Identity, older Django): slow, though less than asked."""
_ARGON2 = ((47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5))
"""Least memory (KiB) and iterations of argon2id, from the same page."""


MAXIMUM_TENANTS = 200
UNKNOWN = "of an unknown format"
"""Long and without blanks: a hash of the service's own, hardly a password; nothing can be said of it."""


@check(
    "security.password-hashing",
    component="security",
    priority="critical",
    faults=("password-weak-rounds", "password-md5", "password-plaintext", "password-legacy-hash"),
)
def password_hashing(ctx: Context) -> Finding:
    """Stored passwords are hashed slowly.

    Why: who copies the table tries billions of guesses a second against MD5, and a few against bcrypt with 12 rounds.
    Fails when: a stored value is neither bcrypt with at least database.password_hashes.min_rounds, nor argon2id, scrypt or
    PBKDF2 with the work that OWASP asks for; what frameworks use by default, though less, is a warning. The server counts
    the kinds; no hash is fetched. Behind row-level security each tenant's users are counted, of at most 200 tenants.
    Fix: raise the work factor, and hash again at each user's next login; lock accounts whose password is stored in the clear.
    Source: OWASP ASVS 5.0 11.4.2; OWASP Password Storage Cheat Sheet
    """
    database = ctx.require(ctx.settings.database, "database")
    stored = ctx.require(database.password_hashes, "database.password_hashes")
    where = f"{stored.table}.{stored.column}"
    try:
        counts = _count(ctx, stored.table, stored.column)
    except _NotReadableError as error:
        return errored(f"{where} could not be read: {error}.")
    hashed = {kind: number for kind, number in counts.items() if kind != "none"}
    if not hashed:
        return errored(f"{where} holds no password, so there is nothing to observe.")
    expected = f"bcrypt with {stored.min_rounds} rounds or more, or argon2id"
    below = {kind: number for kind, number in hashed.items() if not _strong(kind, stored.min_rounds)}
    almost = {kind: number for kind, number in below.items() if _almost(kind)}
    unknown = below.get(UNKNOWN, 0)
    wrong = {kind: number for kind, number in below.items() if kind not in almost and kind != UNKNOWN}
    evidence = [Evidence(kind, str(number), "0" if kind in below else "") for kind, number in hashed.items()]
    if wrong:
        said = ", ".join(f"{number} as {kind}" for kind, number in wrong.items())
        weak = Evidence(where, said, expected)
        return failed(f"{sum(wrong.values())} of {sum(hashed.values())} passwords are stored weakly: {said}.", weak)
    if unknown:
        return errored(
            f"{unknown} of {sum(hashed.values())} passwords are stored in a format that is not known.", *evidence
        )
    if almost:
        said = ", ".join(f"{number} as {kind}" for kind, number in almost.items())
        return warned(f"Passwords are hashed slowly, but less so than OWASP asks for: {said}.", *evidence)
    return passed(f"All {sum(hashed.values())} stored passwords are hashed slowly.", *evidence)


class _NotReadableError(Exception):
    pass


def _count(ctx: Context, table: str, column: str) -> dict[str, int]:
    import psycopg2
    from psycopg2 import sql

    named = {"column": sql.Identifier(column), "table": sql.Identifier(*table.split("."))}
    counts: Counter[str] = Counter()
    try:
        views = _views(ctx, named["table"])
        with ctx.database.transaction() as cursor:
            for settings, rows in views:
                for setting, tenant in settings.items():
                    cursor.execute("SELECT set_config(%s, %s, true)", (setting, tenant))
                cursor.execute(sql.SQL(_KINDS).format(**named, rows=rows))
                counts.update({str(kind): int(number) for kind, number in cursor.fetchall()})
    except psycopg2.errors.QueryCanceled:
        raise _NotReadableError("counting took too long") from None
    except psycopg2.errors.InsufficientPrivilege:
        raise _NotReadableError("permission denied") from None
    except psycopg2.ProgrammingError as error:
        raise _NotReadableError(str(error).splitlines()[0]) from None
    return dict(counts)


def _views(ctx: Context, table: Any) -> list[tuple[dict[str, str], Any]]:
    """Behind row-level security, as which tenants one has to look: what is set, and which rows are then counted.

    Rows that several tenants see would be counted more than once where no column tells whose they are: there the
    default tenant's view is all that is looked at.
    """
    from psycopg2 import sql

    tenancy, every = ctx.settings.tenancy, sql.SQL("true")
    if tenancy is None or tenancy.rls is None:
        return [({}, every)]
    with ctx.database.transaction() as cursor:
        cursor.execute(_GUARDED, (tenancy.column, table.as_string(cursor)))
        guarded = bool(cursor.fetchone()[0])
    setting = tenancy.rls.setting
    if not guarded:
        return [({setting: tenancy.default_tenant.id}, every)]
    own = sql.SQL("{} = {}")  # the column's own type, or its index is of no use
    return [
        ({setting: tenant}, own.format(sql.Identifier(tenancy.column), sql.Literal(tenant)))
        for tenant in tenant_ids(ctx, MAXIMUM_TENANTS)
    ]


def _strong(kind: str, min_rounds: int) -> bool:
    name, _, work = kind.partition(" ")
    if name == "bcrypt":
        return work.isdigit() and int(work) >= min_rounds
    if name == "argon2id":
        found = re.fullmatch(r"m=(\d+),t=(\d+),p=\d+", work)
        return found is not None and any(int(found[1]) >= m and int(found[2]) >= t for m, t in _ARGON2)
    if name == "scrypt":
        size, passes = _scrypt(work)
        return any(size >= n and passes >= p for n, p in _SCRYPT)
    return name in _STRETCHED and work.isdigit() and int(work) >= _STRETCHED[name]


def _almost(kind: str) -> bool:
    name, _, work = kind.partition(" ")
    if name == "scrypt":
        return _scrypt(work)[0] >= _ALMOST_SCRYPT
    return name in _ALMOST and work.isdigit() and int(work) >= _ALMOST[name]


def _scrypt(work: str) -> tuple[int, int]:
    """N, as if r were 8, and p."""
    found = re.fullmatch(r"N=(\d+),r=(\d+),p=(\d+)", work)
    return (int(found[1]) * int(found[2]) // 8, int(found[3])) if found is not None else (0, 0)
