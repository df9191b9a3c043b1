"""security.redis-acl against a real Valkey: one user for each right that a service has no use for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, run_check

from maestro_cli.demo.servers import EmbeddedValkey

ORDINARY = "+@read +@write +@connection +@transaction -@dangerous"


def look(server: EmbeddedValkey, folder: Path, rules: str, status: str, words: str) -> None:
    import redis

    admin: Any = redis.Redis.from_url(server.admin_url.reveal())
    try:
        admin.execute_command("ACL", "SETUSER", "probed", "reset", "on", ">probed-word", "~*", *rules.split())
        address = server.url.reveal().rpartition("@")[2]
        ctx = context(folder, f"redis: {{url: 'redis://probed:probed-word@{address}'}}\n")
        expect(run_check("security.redis-acl", ctx), status, words)
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


def test_listing_every_key_stops_everybody_else(valkey_server: EmbeddedValkey, project: Path) -> None:
    look(valkey_server, project, f"{ORDINARY} +keys", "warn", "may KEYS")


@pytest.mark.parametrize("rules", [ORDINARY, f"{ORDINARY} +@scripting"])
def test_what_a_service_needs(valkey_server: EmbeddedValkey, project: Path, rules: str) -> None:
    look(valkey_server, project, rules, "pass", "neither forget everything")
