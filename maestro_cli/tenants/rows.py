"""The rows of the table of tenants: list, create, activate, deactivate."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import OutOfReach, Refused, UsageError
from maestro_cli.tenants import sql
from maestro_cli.tenants.spec import Spec, specify
from maestro_cli.tenants.urls import is_sqlite

SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
"""A slug is a DNS label (RFC 1035, section 2.3.1; RFC 1123 lets it begin with a digit): it may become a host name."""

MOST = 2**63 - 1
"""The largest limit: what a bigint holds."""
LIMITS = ("max_users", "max_projects", "max_artifacts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant. A limit of None is no limit."""

    id: str
    name: str
    slug: str
    created_at: datetime | str | None
    is_active: bool
    max_users: int | None = None
    max_projects: int | None = None
    max_artifacts: int | None = None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        created = self.created_at.isoformat() if isinstance(self.created_at, datetime) else self.created_at
        return {
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "created_at": created,
            "is_active": self.is_active,
            "max_users": self.max_users,
            "max_projects": self.max_projects,
            "max_artifacts": self.max_artifacts,
        }


def slug_of(name: str) -> str:
    """A slug made of a name: `Café Été & Sons` → `cafe-ete-sons`.

    Raises:
        UsageError: Nothing of the name can stand in a slug.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")
    if not slug:
        raise UsageError(f"no slug can be made of the name {name!r}", hint="Write one with --slug.")
    return slug


def check_slug(slug: str) -> str:
    """The slug, if it follows the rules.

    Raises:
        UsageError: It does not.
    """
    # `xn--` and the like say how the rest of a label is encoded (RFC 5891, section 4.2.3.1).
    if not SLUG.fullmatch(slug) or slug[2:4] == "--":
        raise UsageError(
            f"{slug!r} is not a slug",
            hint="1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit, no -- in third place: it may become a host name.",
        )
    return slug


class _Store(Protocol):
    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def close(self) -> None: ...


class _Postgres:
    def __init__(self, url: str, schema: str) -> None:
        from maestro_cli.tenants.session import Session

        self._session = Session(url, schema=schema, application="maestro tenants")

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._session.execute(query, parameters)

    def close(self) -> None:
        self._session.close()


class _Sqlite:
    def __init__(self, url: str) -> None:
        import sqlite3
        from pathlib import Path

        from maestro_cli.tenants.urls import sqlite_path

        path = Path(sqlite_path(url))
        if not path.exists():
            raise OutOfReach(f"there is no database file {path}", hint="Check database.url in maestro.yaml.")
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        import sqlite3

        from maestro_cli.tenants.session import DatabaseError

        try:
            return self._connection.execute(query.replace("%s", "?"), parameters).fetchall()
        except sqlite3.IntegrityError as error:
            raise DatabaseError(str(error), sqlstate="23505") from None
        except sqlite3.OperationalError as error:
            missing = str(error).startswith("no such table")
            raise DatabaseError(str(error), sqlstate="42P01" if missing else "") from None

    def close(self) -> None:
        self._connection.close()


class Tenants:
    """The table of tenants of a database; a context manager.

    Args:
        url: PostgreSQL or SQLite URL of the role that owns the table.
        tenancy: Names and the type of the id.

    Raises:
        OutOfReach: No server.
    """

    def __init__(self, url: str, tenancy: Tenancy) -> None:
        self._spec: Spec = specify(tenancy)
        self._sqlite = is_sqlite(url)
        self._store: _Store = _Sqlite(url) if self._sqlite else _Postgres(url, tenancy.schema)
        name = sql.identifier(self._spec.tenants)
        self._table = name if self._sqlite else self._spec.qualified(self._spec.tenants)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    _COLUMNS = "id, name, slug, created_at, is_active, max_users, max_projects, max_artifacts"

    def _asked(self, query: str, parameters: Sequence[Any] = ()) -> list[Tenant]:
        from maestro_cli.tenants.session import DatabaseError

        try:
            rows = self._store.rows(query, parameters)
        except DatabaseError as error:
            raise self._explained(error) from None
        return [
            Tenant(
                id=str(row[0]),
                name=row[1],
                slug=row[2],
                created_at=row[3],
                is_active=bool(row[4]),
                max_users=row[5],
                max_projects=row[6],
                max_artifacts=row[7],
            )
            for row in rows
        ]

    def _explained(self, error: Any) -> Exception:
        if error.sqlstate == "42P01":
            return OutOfReach(f"there is no table {self._spec.tenants}", hint="Make it with: maestro migrate apply")
        if error.sqlstate == "42703":
            return OutOfReach(
                f"{self._spec.tenants} lacks a column: {error.message}",
                hint=f"It needs {self._COLUMNS}, as maestro migrate apply makes it.",
            )
        if error.sqlstate == "23505":
            return Refused(
                f"there is a tenant of that name or slug already: {error.message}", hint="See: maestro tenants list"
            )
        return error if isinstance(error, Exception) else OutOfReach(str(error))

    def list(self, *, active: bool | None = None) -> list[Tenant]:
        """The tenants, oldest first; only the active (or inactive) ones where asked for."""
        query = f"SELECT {self._COLUMNS} FROM {self._table} ORDER BY created_at, slug"
        found = self._asked(query)
        return found if active is None else [tenant for tenant in found if tenant.is_active is active]

    def find(self, which: str) -> Tenant:
        """The tenant of that id or slug.

        Raises:
            UsageError: There is none.
        """
        query = f"SELECT {self._COLUMNS} FROM {self._table} WHERE slug = %s OR CAST(id AS text) = %s"
        plain = which.replace("-", "") if self._sqlite and self._spec.type == "uuid" else which
        found = self._asked(query, (which, which)) or self._asked(query, (which, plain))
        if not found:
            raise UsageError(f"there is no tenant {which!r}", hint="See: maestro tenants list")
        return found[0]

    def create(
        self, name: str, *, slug: str | None = None, identity: str | None = None, limits: dict[str, int]
    ) -> Tenant:
        """Make a tenant.

        Args:
            name: For people; unique.
            slug: For addresses; made of the name where absent.
            identity: Its id; made where absent.
            limits: `max_users`, `max_projects`, `max_artifacts`.

        Raises:
            Refused: The name or slug is taken.
            UsageError: The name, slug, id or a limit is not valid.
        """
        if not name.strip() or len(name) > 200:
            raise UsageError("a tenant's name has 1 to 200 characters")
        wrong = [limit for limit, value in limits.items() if limit not in LIMITS or not 0 <= value <= MOST]
        if wrong:
            raise UsageError(f"{wrong[0]} must be from 0 to {MOST}")
        key = self._identity(identity)
        values: dict[str, Any] = {"id": key, "name": name.strip(), "slug": check_slug(slug or slug_of(name)), **limits}
        marks = ", ".join("%s" for _ in values)
        statement = f"INSERT INTO {self._table} ({', '.join(values)}) VALUES ({marks}) RETURNING {self._COLUMNS}"
        return self._asked(statement, tuple(values.values()))[0]

    def _identity(self, identity: str | None) -> Any:
        if self._spec.type == "uuid":
            try:
                made = uuid.UUID(identity) if identity else uuid.UUID(bytes=secrets.token_bytes(16), version=4)
            except ValueError:
                raise UsageError(f"{identity!r} is not a uuid, and tenancy.type is uuid") from None
            return made.hex if self._sqlite and self._compact() else str(made)
        if self._spec.type == "bigint":
            if identity is None:
                return self._store.rows(f"SELECT coalesce(max(id), 0) + 1 FROM {self._table}")[0][0]
            if not re.fullmatch(r"[0-9]{1,18}", identity):
                raise UsageError(f"{identity!r} is not a whole number, and tenancy.type is bigint")
            return int(identity)
        if not identity:
            raise UsageError("a tenant's id is a text of yours here", hint="Write it with --id.")
        return identity

    def _compact(self) -> bool:
        query = "SELECT type FROM pragma_table_info(%s) WHERE name = 'id'"
        rows = self._store.rows(query, (self._spec.tenants,))
        return bool(rows) and str(rows[0][0]).upper().startswith("CHAR(32)")

    def set_active(self, which: str, *, active: bool) -> tuple[Tenant, bool]:
        """Activate or deactivate a tenant.

        Returns:
            The tenant, and whether it was otherwise before.

        Raises:
            UsageError: There is none.
            Refused: It is the default tenant, whose rows old code writes.
        """
        tenant = self.find(which)
        if not active and uuid_or_text(tenant.id) == uuid_or_text(self._spec.default_id):
            raise Refused(
                f"{tenant.slug} is the default tenant: code that names no tenant writes to it",
                hint="Name another one in tenancy.default_tenant first.",
            )
        if tenant.is_active is active:
            return tenant, False
        query = f"UPDATE {self._table} SET is_active = %s WHERE CAST(id AS text) = %s RETURNING {self._COLUMNS}"
        return self._asked(query, (active, tenant.id))[0], True


def uuid_or_text(value: str) -> str:
    """The same text for both spellings of a uuid."""
    try:
        return uuid.UUID(value).hex
    except ValueError:
        return value
