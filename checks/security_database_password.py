"""Is the database's password a real one, and are default ones refused?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maestro_cli.api import Context, Evidence, Finding, Secret, Unreachable, check, errored, failed, passed
from maestro_cli.observe.database import connect, libpq_arguments, postgresql_url

LEAST_BITS = 64
"""Where secrets.required names no bits for it: enough against guessing a stolen SCRAM verifier offline."""
_DEFAULTS = frozenset({"maestro", "postgres", "password", "admin", "root", "secret", "changeme", "test", "example"})
_LOGINS = (("postgres", "postgres"), ("postgres", "password"), ("maestro", "maestro"))
"""Logins of images and tutorials that are tried; no more, so that no lock-out is set off."""
_OUT_OF_REACH = (
    "connection refused",
    "no answer",
    "its name",
    "it has no connection",
    "it is ",
    "there is no such socket",
)


@check(
    "security.database-password",
    component="security",
    priority="high",
    faults=("database-password-default", "database-password-weak", "database-trusts-everybody", "default-login-open"),
)
def database_password(ctx: Context) -> Iterator[Finding]:
    """The database's password is strong and no default.

    Why: `maestro`, `postgres` and the name of the database are what is tried first; under `trust` any password will do.
    Fails when: the password in database.url is a default, its user's name, or predictable; a random password is accepted in
    its place; or one of a handful of default logins (postgres/postgres and the like) works.
    Fix: `maestro secrets rotate POSTGRES_PASSWORD` and ALTER ROLE … PASSWORD; set scram-sha-256 in pg_hba.conf.
    Source: OWASP ASVS 5.0 13.2.3; CIS PostgreSQL Benchmark 5 (authentication)
    """
    url = postgresql_url(ctx)
    ctx.database  # noqa: B018 - the control: the configured login works
    arguments = libpq_arguments(url.reveal())
    local = str(arguments.get("host", "/")).startswith("/")
    password = arguments.get("password")
    if password is None:
        yield _without_password(url, local=local)
    else:
        yield _judge(ctx, str(password), arguments)
        if not local and _accepted(url, password=f"maestro-{ctx.nonce}"):
            yield failed(
                "The database accepts any password.", Evidence("login with a random password", "accepted", "refused")
            )
            return
    for user, word in _LOGINS:
        if (user, word) != (arguments.get("user"), password) and not local and _accepted(url, user=user, password=word):
            yield failed(
                f"The default login of {user} works.",
                Evidence(f"login as {user} with a default", "accepted", "refused"),
            )
            return
    if not local:
        yield passed("Default logins are refused.", Evidence("default logins tried", str(len(_LOGINS)), "refused"))


def _judge(ctx: Context, password: str, arguments: dict[str, Any]) -> Finding:
    from maestro_cli.secrets import judge

    names = {str(arguments.get(key)) for key in ("user", "dbname")} | {ctx.settings.service.name}
    if password.lower() in _DEFAULTS or password in names:
        return failed(
            "The database's password is a default.", Evidence("password in database.url", "a default", "random")
        )
    problems = judge("POSTGRES_PASSWORD", password, _bits(ctx, password), words=names)
    if problems:
        said = "; ".join(problem.message for problem in problems)
        return failed(f"The database's password {said}.", Evidence("password in database.url", said, "random"))
    return passed("The database's password is strong.", Evidence("password in database.url", "no rule broken"))


def _bits(ctx: Context, password: str) -> int:
    """What secrets.required asks of the variable that holds this password."""
    required = ctx.settings.secrets.required if ctx.settings.secrets is not None else {}
    values = {**ctx.loaded.env_file_values, **ctx.environ}
    return max((bits for name, bits in required.items() if values.get(name) == password), default=LEAST_BITS)


def _without_password(url: Secret, *, local: bool) -> Finding:
    if local:
        return passed("The login is by the local socket.", Evidence("database.url", "a local socket, no password"))
    if _accepted(url, passfile="/dev/null"):
        return failed("The database asks for no password.", Evidence("login without a password", "accepted", "refused"))
    return errored("The password is not in database.url (a password file or a certificate), so it was not judged.")


def _accepted(url: Secret, **overrides: str) -> bool:
    """Whether a login works. A refusal is a no; a server that is out of reach is neither.

    Raises:
        Unreachable: When it is.
    """
    try:
        connection = connect(url, **overrides)
    except Unreachable as error:
        if error.reason.startswith(_OUT_OF_REACH):
            raise
        return False
    connection.close()
    return True
