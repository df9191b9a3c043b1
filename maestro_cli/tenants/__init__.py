"""Tenant migration: from one tenant to many on a live database.

Plain Python, nothing printed:

    plan(url, tenancy)             what is left to do
    apply(url, tenancy)            do it
    status(url, tenancy)           how far it is
    verify(url, tenancy)           what is wrong, and the proof of isolation
    rollback(url, tenancy)         back
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.config.settings import Tenancy

if TYPE_CHECKING:
    from maestro_cli.tenants.steps import Plan


def plan(url: str, tenancy: Tenancy, *, contract: bool = False) -> Plan:
    """What is left to do, read from the catalog; changes nothing.

    Args:
        url: Any PostgreSQL URL.
        tenancy: What is asked for.
        contract: With the contract step.

    Raises:
        ConfigurationError: The tenancy does not fit the database.
        OutOfReach: No server.
    """
    from maestro_cli.tenants.runner import current_plan
    from maestro_cli.tenants.session import Session

    with Session(url, schema=tenancy.schema) as session:
        return current_plan(session, tenancy, contract=contract)[0]
