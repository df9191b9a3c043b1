"""The service's Redis user against a real Valkey: rights that it has no use for, and passwords that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, run_check

from maestro_cli.demo.servers import EmbeddedValkey

ORDINARY = "+@read +@write +@connection +@transaction -@dangerous"


def look(
    server: EmbeddedValkey,
    folder: Path,
    rules: str,
    status: str,
    words: str,
    *,
    check: str = "security.redis-acl",
    password: str = "vK3-pQ8_mZ1xTr7LwYc",
) -> None:
    import redis

    admin: Any = redis.Redis.from_url(server.admin_url.reveal())
    try:
        admin.execute_command("ACL", "SETUSER", "probed", "reset", "on", f">{password}", "~*", *rules.split())
        address = server.url.reveal().rpartition("@")[2]
        ctx = context(folder, f"redis: {{url: 'redis://probed:{password}@{address}'}}\n")
        expect(run_check(check, ctx), status, words)
    finally:
        admin.execute_command("ACL", "DELUSER", "probed")
        admin.close()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("+config|set", "CONFIG SET"),
        ("+config|get", "CONFIG GET"),
        ("+acl|setuser", "ACL SETUSER"),
        ("+replicaof", "REPLICAOF"),
        ("+monitor", "MONITOR"),
        ("+swapdb", "SWAPDB"),
        ("+flushdb", "FLUSHDB"),
    ],
)
def test_one_right_too_many(valkey_server: EmbeddedValkey, project: Path, rule: str, words: str) -> None:
    look(valkey_server, project, f"{ORDINARY} {rule}", "fail", f"may {words}")


STRICT = "+@read +@write +@connection -@dangerous"
"""The rights that the check's own remedy names: without +@transaction, there is no MULTI."""


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("+flushall", "FLUSHALL"),
        ("+flushdb", "FLUSHDB"),
        ("+config|get", "CONFIG GET"),
        ("+config|set", "CONFIG SET"),
        ("+acl|setuser", "ACL SETUSER"),
        ("+replicaof", "REPLICAOF"),
        ("+swapdb", "SWAPDB"),
        ("+shutdown", "SHUTDOWN"),
    ],
)
def test_one_right_too_many_without_transactions(
    valkey_server: EmbeddedValkey, project: Path, rule: str, words: str
) -> None:
    import redis

    admin: Any = redis.Redis.from_url(valkey_server.admin_url.reveal())
    users = admin.execute_command("ACL", "USERS")
    admin.set("kept-by-the-probe", "1")
    look(valkey_server, project, f"{STRICT} {rule}", "fail", f"may {words}")
    assert admin.get("kept-by-the-probe") == b"1"
    assert admin.execute_command("ACL", "USERS") == users
    assert admin.info("replication")["role"] == "master"
    admin.delete("kept-by-the-probe")
    admin.close()


def test_the_user_that_the_remedy_names(valkey_server: EmbeddedValkey, project: Path) -> None:
    look(valkey_server, project, STRICT, "pass", "neither forget everything")


def test_listing_every_key_stops_everybody_else(valkey_server: EmbeddedValkey, project: Path) -> None:
    look(valkey_server, project, f"{ORDINARY} +keys", "warn", "may KEYS")


@pytest.mark.parametrize("rules", [ORDINARY, f"{ORDINARY} +@scripting"])
def test_what_a_service_needs(valkey_server: EmbeddedValkey, project: Path, rules: str) -> None:
    look(valkey_server, project, rules, "pass", "neither forget everything")


@pytest.mark.parametrize(
    ("rules", "password", "status", "words"),
    [
        (ORDINARY, "vK3-pQ8_mZ1xTr7LwYc", "pass", "asks for a login"),
        (f"{ORDINARY} nopass", "vK3-pQ8_mZ1xTr7LwYc", "fail", "any password for the service's user"),
        (ORDINARY, "redis123", "fail", "The password in redis.url"),
        (ORDINARY, "probed", "fail", "The password in redis.url"),
    ],
)
def test_the_password_of_the_services_own_user(
    valkey_server: EmbeddedValkey, project: Path, rules: str, password: str, status: str, words: str
) -> None:
    look(valkey_server, project, rules, status, words, check="security.redis-auth", password=password)
