"""Tokens whose key id is more than a name."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Finding, check, refusals
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.tokens import forge

KIDS: tuple[tuple[str, str, bytes], ...] = (
    ("an absolute path", "/dev/null", b""),
    ("a path upwards", "../../../../../../../../dev/null", b""),
    ("a path upwards that is left when its steps are taken out", "....//" * 8 + "dev/null", b""),
    ("a file everybody knows", "/proc/sys/kernel/ostype", b"Linux\n"),
    ("a path upwards to such a file", "../../../../../../../../proc/sys/kernel/ostype", b"Linux\n"),
    ("a path upwards to such a file, read as a line", "../../../../../../../../proc/sys/kernel/ostype", b"Linux"),
    ("SQL", "maestro' UNION SELECT 'maestro-probe-key' -- ", b"maestro-probe-key"),
)
"""Name, kid, and the key that a careless look-up of that kid would find. Many libraries refuse an empty one anyway."""


@check(
    "security.jwt-kid-path",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + 1 + len(KIDS),
    faults=("jwt-kid-path", "jwt-kid-sql"),
)
def jwt_kid_path(ctx: Context) -> Finding:
    """The key id is looked up among known keys only.

    Why: a `kid` used as a file name or inside a query lets the writer of a token choose the key, and read what he should
    not.
    Fails when: a token opens api.auth.protected whose `kid` is a path to a file with known content, or a piece of SQL
    that yields a known key.
    Fix: look `kid` up in a fixed table of keys and refuse what is not there.
    Source: RFC 8725 §3.10; OWASP ASVS 5.0 9.1.3; CWE-22, CWE-89
    """
    signatures_checked(ctx)
    token = real_token(ctx)
    algorithm = token.algorithm if token.algorithm.startswith("HS") else "HS256"
    unchanged = attempt_all(ctx, [Trial("an empty key", forge({**token.header, "alg": algorithm}, token.claims, b""))])
    if unchanged.accepted:
        raise ControlFailed("an empty key is accepted anyway (see security.jwt-key-confusion), so no kid is to blame")
    trials = [
        Trial(name, forge({**token.header, "alg": algorithm, "kid": kid}, token.claims, key)) for name, kid, key in KIDS
    ]
    return refusals(
        attempt_all(ctx, trials),
        held="A key id that is a path or a query finds no key.",
        broken="A token is accepted whose kid is",
    )
