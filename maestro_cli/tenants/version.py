"""The version table of maestro's own Alembic environment (`migrations/`), written without importing Alembic.

It lies in a schema of its own: in the application's schema its Alembic would see a table that no model declares. The
catalog says what is left to do; this table only tells Alembic the same.
"""

from __future__ import annotations

from maestro_cli.tenants.session import DatabaseError, Session

SCHEMA = "maestro"
TABLE = "alembic_version"
REVISION = "0001_tenants"
"""The one revision of `migrations/versions`. Its content is the catalog's difference from maestro.yaml, found anew each
time; the contract step changes no revision."""


def stamp(session: Session, revision: str | None) -> bool:
    """Record the revision; None removes the record, and the table and schema where nothing else is in it.

    Returns:
        Whether it could be recorded: a role without CREATE on the database can't, and nothing depends on it.
    """
    try:
        if revision is None:
            _remove(session)
        else:
            _record(session, revision)
    except DatabaseError as error:
        session.rollback()
        if error.sqlstate == "42501":  # insufficient_privilege
            return False
        raise
    return True


def recorded(session: Session) -> str | None:
    """The revision that is recorded, if any."""
    if session.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{TABLE}",))[0][0] is None:
        return None
    rows = session.execute(f"SELECT version_num FROM {SCHEMA}.{TABLE}")
    return str(rows[0][0]) if rows else None


def _record(session: Session, revision: str) -> None:
    if recorded(session) == revision:
        return
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    session.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{TABLE} (version_num VARCHAR(32) NOT NULL)")
    session.execute(f"BEGIN; DELETE FROM {SCHEMA}.{TABLE}; INSERT INTO {SCHEMA}.{TABLE} VALUES ('{revision}'); COMMIT")


def _remove(session: Session) -> None:
    if session.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{TABLE}",))[0][0] is None:
        return
    session.execute(f"DROP TABLE {SCHEMA}.{TABLE}")
    try:
        session.execute(f"DROP SCHEMA {SCHEMA}")
    except DatabaseError:
        session.rollback()  # something else lives in it
