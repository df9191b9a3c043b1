"""Which tenant an account belongs to and what the service calls it: `tenant_id`, `organisation`, `workspaceId`.

Read where the service tells it: in the token's claims, the login's answer, an object of the tenant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maestro_cli.observe import tokens

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Endpoint
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session

WORDS = (
    "tenant", "tid", "organization", "organisation", "org", "workspace", "team", "company", "shop", "store", "customer",
    "client", "account", "realm", "site",
)  # fmt: skip
"""What services call a tenant, the surest first."""
HEADERS = ("X-Tenant-ID", "X-Tenant", "Tenant-ID", "X-Org-ID", "X-Organization-ID", "X-Account-ID", "X-Workspace-ID")
MEMBERS = ("tenant", "tenantId", "organization_id", "org_id", "workspace_id", "account_id")
QUERIES = ("tenant_id", "tenant", "org_id")
FURTHER = 4
"""Most further names of headers and queries, made of what the service itself calls the tenant."""
_IDENTIFYING = {"id", "uuid", "guid", "key", "code", "slug", "name", "no", "number"}
DEPTH = 4


@dataclass(frozen=True)
class Tenant:
    """A tenant as the service writes it.

    Attributes:
        value: Its id, of the type that the service uses.
        members: The members of an object of the tenant that hold it: what a body may try to set.
        claims: What the token's claims and the login's answer call it.
        others: What objects call it and write otherwise: `tenant_id` → 7, where `value` is the slug in their paths.
    """

    value: str | int
    members: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    others: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The id as a header, a query or a path holds it."""
        return str(self.value)

    @property
    def stems(self) -> tuple[str, ...]:
        """Its names without `_id`: `organisation`, `workspace`."""
        found = ["_".join(word for word in words_of(name) if word not in _IDENTIFYING) for name in self.names]
        return tuple(dict.fromkeys(stem for stem in found if stem))

    @property
    def names(self) -> tuple[str, ...]:
        """All of its names."""
        return tuple(dict.fromkeys((*self.members, *self.claims, *self.others)))

    @property
    def texts(self) -> tuple[str, ...]:
        """The id in each of the ways that the service writes it."""
        return tuple(dict.fromkeys(map(str, (self.value, *self.others.values()))))


def words_of(name: str) -> list[str]:
    """`ownerOrgId` and `owner_org_id` → owner, org, id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").split("_")


def tenant_of(ctx: Context, session: Session, document: Any = None) -> Tenant | None:
    """The tenant of a session; None where nothing tells.

    Args:
        ctx: The run.
        session: Of an account; what is written at `tenant` in api.auth.accounts comes first.
        document: An object of the tenant, as the service answers it.
    """
    token = tokens.parse(session.access_token)
    known = [token.claims if token is not None else None, session.answer.json()]
    value: str | int | None = session.account.tenant
    if value is None:
        value = next((found for source in (*known, document) for found in _values(ctx, source)), None)
    if value is None:
        return None
    members = _names_holding(document, value)
    typed = next((found for name, found in _pairs(document) if name in members and str(found) == str(value)), value)
    claims = tuple(dict.fromkeys(name for source in known for name in _names_holding(source, value)))
    return Tenant(typed, members, claims, {} if members else _written_otherwise(ctx, document))


def _written_otherwise(ctx: Context, document: Any) -> dict[str, str | int]:
    """The member of an object that is called like a tenant, the surest name's, whatever it holds."""
    tenancy = ctx.settings.tenancy
    column = tenancy.column if tenancy is not None else None
    ranked = [(rank, name, value) for name, value in _pairs(document) if (rank := _rank(name, column)) is not None]
    return {name: value for _, name, value in sorted(ranked, key=lambda row: row[0])[:1]}


def in_path(ctx: Context, path: str, session: Session) -> dict[str, str]:
    """What stands for {tenant} in a path; nothing where it isn't in there.

    Raises:
        NotConfigured: Where the path asks for it and nothing tells.
    """
    if "{tenant}" not in path:
        return {}
    found = tenant_of(ctx, session)
    return {"tenant": ctx.require(found, f"api.auth.accounts[{session.index}].tenant").text}


def in_request(ctx: Context, endpoint: Endpoint, session: Session) -> dict[str, str]:
    """What stands for {tenant} in a configured request: its path, its body or its headers.

    Raises:
        NotConfigured: Where one of them asks for it and nothing tells.
    """
    return in_path(ctx, f"{endpoint.path} {endpoint.body} {endpoint.headers}", session)


def _values(ctx: Context, source: Any) -> list[str | int]:
    """The values of members that are called like a tenant, the surest name first."""
    tenancy = ctx.settings.tenancy
    column = tenancy.column if tenancy is not None else None
    ranked = [(rank, value) for name, value in _pairs(source) if (rank := _rank(name, column)) is not None]
    return [value for _, value in sorted(ranked, key=lambda row: row[0])]


def _rank(name: str, column: str | None) -> int | None:
    if name == column:
        return -1
    found = [WORDS.index(word) for word in words_of(name) if word in WORDS]
    return min(found) if found else None


def _names_holding(source: Any, value: str | int) -> tuple[str, ...]:
    """What holds this value and is called like a tenant; by any name where the value is no mere number."""
    sure = not str(value).isdigit()
    rows = ((name, found) for name, found in _pairs(source) if str(found) == str(value))
    return tuple(dict.fromkeys(name for name, _ in rows if sure or any(word in WORDS for word in words_of(name))))


def _pairs(source: Any, depth: int = 0) -> Iterator[tuple[str, str | int]]:
    """Every name with its text or integer; `{"organisation": {"id": 3}}` counts as `organisation`."""
    if depth > DEPTH:
        return
    if isinstance(source, Mapping):
        for name, value in source.items():
            inner = value.get("id") if isinstance(value, Mapping) else value
            if isinstance(inner, str | int) and not isinstance(inner, bool) and inner != "":
                yield str(name), inner
            yield from _pairs(value, depth + 1)
    elif isinstance(source, list):
        for item in source[:20]:
            yield from _pairs(item, depth + 1)


def header_names(ctx: Context, tenant: Tenant) -> list[str]:
    """That of api.headers, the usual ones, and those made of the service's own words: `workspace` → X-Workspace-ID."""
    known = {name.lower() for name in HEADERS}
    api = ctx.require(ctx.settings.api, "api")
    own = [name for name, value in (api.headers or {}).items() if "{tenant}" in value and name.lower() not in known]
    known |= {name.lower() for name in own}
    stems = ("-".join(word.capitalize() for word in stem.split("_")) for stem in tenant.stems)
    further = [f"X-{stem}{end}" for stem in stems for end in ("-ID", "")]
    return [*own, *HEADERS, *[name for name in dict.fromkeys(further) if name.lower() not in known][:FURTHER]]


def query_names(tenant: Tenant) -> list[str]:
    """The usual ones, and those of the service."""
    further = [*tenant.names, *(name for stem in tenant.stems for name in (stem, f"{stem}_id"))]
    return [*QUERIES, *[name for name in dict.fromkeys(further) if name not in QUERIES][:FURTHER]]


def bodies(ctx: Context, tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Members to put into a body: those that objects of the service have, then those that one would guess.

    One after the other: an API that refuses members it does not know would refuse all of them for one.
    """
    if tenant.members:
        yield dict.fromkeys(tenant.members, tenant.value)
    if tenant.others:
        yield dict(tenant.others)
    tenancy = ctx.settings.tenancy
    guessed = (tenancy.column if tenancy is not None else "tenant_id", *tenant.claims)
    held = (*tenant.members, *tenant.others)
    further = [name for name in dict.fromkeys(guessed) if name not in held]
    if further:
        yield dict.fromkeys(further, tenant.value)
    usual = [name for name in MEMBERS if name not in (*held, *guessed)]
    for names in ([name for name in usual if name == "tenant"], [name for name in usual if name != "tenant"]):
        if names:
            yield dict.fromkeys(names, tenant.value)
    # As a relation, which many serialisers resolve: {"tenant": {"id": …}}.
    yield {name: {"id": tenant.value} for name in ("tenant", *tenant.stems)}
