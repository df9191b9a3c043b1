"""Row-level security, tried out as the application's role."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.tenancy import functions_around
from maestro_cli.observe.tenant_rows import prove_rows


@check(
    "security.tenant-rls",
    component="multi_tenancy",
    priority="high",
    faults=(
        "rls-off",
        "rls-disabled",
        "rls-policy-too-wide",
        "rls-without-check",
        "rls-delete-open",
        "rls-view-around",
        "rls-table-unnamed",
        "rls-tenant-preset",
        "app-role-bypasses-rls",
    ),
)
def tenant_rls(ctx: Context) -> Finding:
    """As the application's role no row of another tenant is seen or made.

    Why: one forgotten WHERE in the application, or one injected statement, and only the database still holds.
    Fails when: for a table of the tenancy, the role of database.url sees a row while no tenant is set, or another
    tenant's row while one is, or a row of another tenant gets past the policies; when a policy for changing or deleting
    asks nothing of the session (`true`, `tenant_id IS NOT NULL`), or the role begins with a tenant set; when a view, or a table that neither tenancy.tables nor tenancy.shared
    names, shows rows so. All in a transaction that is rolled back. A SECURITY DEFINER function that the role may call and that
    reads the tables as somebody for whom no policy holds is a warning.
    Fix: `maestro migrate apply --contract`; make views WITH (security_invoker); give the application a role without BYPASSRLS that owns no table.
    Source: PostgreSQL manual, Row Security Policies; OWASP ASVS 5.0 8.4.1
    """
    proof = prove_rows(ctx)
    if not proof.tables:
        ctx.require(None, "tenancy.tables")
    leaks = [attempt for attempt in proof.attempts if attempt.leaks]
    control = Evidence("control: own rows", f"past the policies of {proof.controls} of {proof.tables} tables", "some")
    if leaks:
        first = leaks[0]
        more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        return failed(
            f"The application's role can {first.what} in {first.table}{more}.",
            control,
            *(Evidence(f"{leak.table}: {leak.what}", leak.seen, "refused") for leak in leaks[:20]),
            command="maestro migrate verify",
        )
    around = functions_around(ctx)
    if around:
        name, what = around[0]
        more = f" (and {len(around) - 1} more)" if len(around) > 1 else ""
        return warned(
            f"Policies hold, but the application's role may call {name}, which steps round them{more}: {what}.",
            control,
            *(Evidence(name, what, "none, or one that asks for the tenant itself") for name, what in around[:20]),
            command="maestro migrate verify",
        )
    return passed(
        f"{len(proof.attempts)} attempts on {proof.tables} tables reach no row of another tenant.",
        control,
        *(Evidence(f"{item.table}: {item.what}", item.seen, "refused") for item in proof.attempts[:9]),
    )
