"""The rows of the table of tenants."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import pytest
from tenants_schema import SEED, TENANCY
from test_migrate_apply import maestro, run, write_project

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import DefaultTenant, Tenancy
from maestro_cli.errors import OutOfReach, Refused, UsageError
from maestro_cli.tenants.rows import Tenants, check_slug, slug_of


@pytest.fixture
def migrated(database: str) -> str:
    run(database, SEED)
    tenants.apply(database, TENANCY)
    return database


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Acme", "acme"), ("Café Été & Sons", "cafe-ete-sons"), ("  7 Up! ", "7-up"), ("a" * 100, "a" * 63)],
)
def test_a_slug_is_made_of_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug
    assert check_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a_b", "a" * 64, "ä", "a\n"])
def test_what_can_be_no_host_name_is_no_slug(slug: str) -> None:
    with pytest.raises(UsageError):
        check_slug(slug)


def test_create_find_and_turn_away(migrated: str) -> None:
    with Tenants(migrated, TENANCY) as table:
        made = table.create("Acme", limits={"max_users": 5})
        assert uuid.UUID(made.id).version == 4
        assert (made.slug, made.is_active, made.max_users, made.max_projects) == ("acme", True, 5, None)
        assert [tenant.slug for tenant in table.list()] == ["default", "acme"]
        assert table.set_active("acme", active=False)[1] is True
        assert table.set_active(made.id, active=False)[1] is False
        assert [tenant.slug for tenant in table.list(active=True)] == ["default"]
        with pytest.raises(Refused, match="already"):
            table.create("Another", slug="acme", limits={})
        with pytest.raises(Refused, match="default tenant"):
            table.set_active("default", active=False)
        with pytest.raises(UsageError, match="no tenant"):
            table.find("nobody")
        with pytest.raises(UsageError, match="from 0 to"):
            table.create("B", limits={"max_users": -1})
        with pytest.raises(UsageError, match="from 0 to"):
            table.create("B", limits={"max_users": 2**63})
        with pytest.raises(UsageError, match="not a slug"):
            table.create("B", slug="xn--bcher-kva", limits={})
        with pytest.raises(UsageError, match="not a uuid"):
            table.create("B", identity="one", limits={})


def test_other_types_of_id(database: str) -> None:
    run(database, "CREATE TABLE t (id int PRIMARY KEY)")
    tenancy = Tenancy(type="bigint", default_tenant=DefaultTenant(id="1"))
    tenants.apply(database, tenancy)
    with Tenants(database, tenancy) as table:
        assert table.create("B", limits={}).id == "2"
        assert table.create("C", identity="77", limits={}).id == "77"


def test_without_the_table_it_says_what_makes_it(database: str) -> None:
    with Tenants(database, TENANCY) as table, pytest.raises(OutOfReach, match="there is no table tenants") as caught:
        table.list()
    assert "maestro migrate apply" in str(caught.value)


def test_on_the_command_line(migrated: str, project: Path) -> None:
    write_project(project, migrated)

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(maestro(project, "tenants", *arguments), capture_output=True, text=True, check=False)

    made = ask("create", "Acme Corporation", "--max-users", "50", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["slug"] == "acme-corporation"
    again = ask("create", "Acme Corporation")
    assert (again.returncode, again.stdout) == (1, "")
    assert "maestro tenants list" in again.stderr
    off = ask("deactivate", "acme-corporation")
    assert off.returncode == 0
    assert "Its rows stay" in off.stderr
    assert [row["is_active"] for row in json.loads(ask("list", "--json").stdout)] == [True, False]
    assert ask("activate", "nobody").returncode == 2
    assert ask("activate", "acme-corporation").stdout == "acme-corporation is active.\n"
    listed = ask("list").stdout.splitlines()
    assert listed[0].split() == ["slug", "name", "state", "users", "projects", "artifacts", "id"]
    assert len(listed) == 3
