"""`maestro tenants`: the rows of the table of tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.commands.migrate import admin_url, tenancy_of

if TYPE_CHECKING:
    from maestro_cli.tenants.rows import Tenant, Tenants

app = typer.Typer(
    cls=MaestroGroup,
    add_completion=False,
    no_args_is_help=True,
    help="List, create, activate and deactivate tenants.",
)

AS_JSON = typer.Option(False, "--json", help="Write JSON to stdout.")
WHICH = typer.Argument(metavar="SLUG|ID", help="The tenant's slug or id.")


def _tenants(invocation: Invocation) -> Tenants:
    from maestro_cli.tenants.rows import Tenants

    return Tenants(admin_url(invocation), tenancy_of(invocation))


def _limit(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(tenants: list[Tenant]) -> str:
    from maestro_cli.commands.columns import columns

    rows = [("slug", "name", "state", "users", "projects", "artifacts", "id")]
    rows += [
        (
            tenant.slug,
            tenant.name,
            "active" if tenant.is_active else "inactive",
            _limit(tenant.max_users),
            _limit(tenant.max_projects),
            _limit(tenant.max_artifacts),
            tenant.id,
        )
        for tenant in tenants
    ]
    return columns(rows)


@app.command("list", cls=MaestroCommand)
def list_(
    active: bool = typer.Option(False, "--active", help="Active tenants only."),
    as_json: bool = AS_JSON,
) -> None:
    """List the tenants with their limits; `-` is no limit.

    Example: `maestro tenants list --active --json`
    """
    invocation = current()
    with _tenants(invocation) as table:
        found = table.list(active=True if active else None)
    if as_json:
        invocation.out_json([tenant.to_json() for tenant in found])
    else:
        invocation.out(_table(found))


@app.command(cls=MaestroCommand)
def create(
    name: Annotated[str, typer.Argument(help="Its name, for people; unique.")],
    slug: Annotated[
        str | None, typer.Option("--slug", help="Its name in addresses: a-z, 0-9 and -; made of the name by default.")
    ] = None,
    identity: Annotated[str | None, typer.Option("--id", help="Its id; made by default.")] = None,
    max_users: Annotated[
        int | None, typer.Option("--max-users", min=0, help="Most users; no limit by default.")
    ] = None,
    max_projects: Annotated[
        int | None, typer.Option("--max-projects", min=0, help="Most projects; no limit by default.")
    ] = None,
    max_artifacts: Annotated[
        int | None, typer.Option("--max-artifacts", min=0, help="Most artifacts; no limit by default.")
    ] = None,
    as_json: bool = AS_JSON,
) -> None:
    """Make a tenant. The limits are recorded for the application to keep; the database does not count.

    Exit code 1: the name or slug is taken.

    Example: `maestro tenants create "Acme Corporation" --max-users 50`
    """
    invocation = current()
    limits = {"max_users": max_users, "max_projects": max_projects, "max_artifacts": max_artifacts}
    given = {limit: value for limit, value in limits.items() if value is not None}
    with _tenants(invocation) as table:
        made = table.create(name, slug=slug, identity=identity, limits=given)
    if as_json:
        invocation.out_json(made.to_json())
    else:
        invocation.out(f"{made.slug} is made: {made.id}")
        invocation.say("Next: maestro tenants list")


@app.command(cls=MaestroCommand)
def activate(which: Annotated[str, WHICH], as_json: bool = AS_JSON) -> None:
    """Let a tenant in again.

    Example: `maestro tenants activate acme`
    """
    invocation = current()
    with _tenants(invocation) as table:
        tenant, changed = table.set_active(which, active=True)
    if as_json:
        invocation.out_json(tenant.to_json())
    else:
        invocation.out(f"{tenant.slug} is active" + ("." if changed else " already."))


@app.command(cls=MaestroCommand)
def deactivate(which: Annotated[str, WHICH], as_json: bool = AS_JSON) -> None:
    """Turn a tenant's people away, and keep every row of it.

    It sets is_active to false and nothing else: the application has to refuse its people, and tokens that were issued
    before hold until they run out or are revoked. Nothing is deleted, and `activate` takes it back. The default tenant
    can't be deactivated: code that names no tenant writes to it.

    Example: `maestro tenants deactivate acme`
    """
    invocation = current()
    with _tenants(invocation) as table:
        tenant, changed = table.set_active(which, active=False)
    if as_json:
        invocation.out_json(tenant.to_json())
        return
    invocation.out(f"{tenant.slug} is inactive" + ("." if changed else " already."))
    invocation.say(
        "Its rows stay. Tokens issued before hold until they run out: revoke them in the application.\n"
        f"To take it back: maestro tenants activate {tenant.slug}"
    )
