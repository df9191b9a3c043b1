"""`maestro migrate` as whole processes: output, exit codes, what goes where."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest
from tenants_schema import ROWS, SEED
from test_migrate_apply import READER, idle, maestro, run, write_project

from maestro_cli import tenants


@pytest.fixture
def ready(database: str, project: Path) -> Path:
    run(database, SEED, ROWS)
    write_project(project, database, {"shared": ["users"]})
    return project


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(maestro(folder, "migrate", *arguments), capture_output=True, text=True, check=False)


def timeless(plan: str) -> str:
    return re.sub(r"\d+ (?:m?s|min)\b", "a time", plan)


def test_plan_apply_status_verify_rollback(ready: Path) -> None:
    plan = ask(ready, "plan")
    assert plan.returncode == 0, plan.stderr
    assert "artifacts: add tenant_id with its default and foreign key" in plan.stdout
    assert "ACCESS EXCLUSIVE" in plan.stdout
    assert "Next: maestro migrate apply" in plan.stderr
    facts = json.loads(ask(ready, "plan", "--json").stdout)
    assert len([step for step in facts["steps"] if step["id"].startswith("index:")]) == 15
    assert ask(ready, "status").returncode == 1
    assert ask(ready, "verify").returncode == 1
    dry = ask(ready, "apply", "--dry-run")
    # Between the two the server may have counted the rows anew, and the expected times follow.
    assert timeless(dry.stdout) == timeless(plan.stdout)
    assert ask(ready, "status").returncode == 1
    done = ask(ready, "apply", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"] == list(sorted_names(facts))
    again = ask(ready, "apply")
    assert again.stdout == "6 tables are multi-tenant: nothing was left to do.\n"
    status = ask(ready, "status")
    assert status.returncode == 0, status.stderr
    assert json.loads(ask(ready, "status", "--json").stdout)["done"] is True
    verified = ask(ready, "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["findings"] == []
    assert ask(ready, "rollback", "--dry-run").stdout.count("drop ix_") == 15
    back = ask(ready, "rollback")
    assert back.returncode == 0, back.stderr
    left = json.loads(ask(ready, "plan", "--json").stdout)["steps"]
    assert [step["id"] for step in left] == [step["id"] for step in facts["steps"]]


def sorted_names(facts: dict[str, list[dict[str, str]]]) -> list[str]:
    return [table["name"] for table in facts["tables"]]


def test_no_control_character_and_no_progress_in_a_pipe(ready: Path) -> None:
    done = ask(ready, "apply")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert done.stderr == "Next: maestro migrate verify\n"


def test_a_blocker_ends_it_with_3_and_its_name(ready: Path, database: str) -> None:
    with idle(database, READER) as connection:
        done = ask(ready, "apply", "--max-lock-wait", "0.5")
        pid = connection.info.backend_pid
    assert done.returncode == 3
    assert f"pid {pid}, user postgres, application coffee break" in done.stderr
    assert "maestro migrate apply" in done.stderr
    assert done.stdout == ""


def test_the_password_is_nowhere(ready: Path, database: str) -> None:
    password = database.split(":")[2].split("@", maxsplit=1)[0]
    wrong = database.replace(database.rpartition("/")[2], "no_such_database")
    write_project(ready, wrong)
    done = ask(ready, "plan")
    assert done.returncode == 3
    assert "can't be reached" in done.stderr
    assert password not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\ntenancy: {}\n", "names no database"),
        ("version: 1\ndatabase: {url: 'mysql://a/b'}\ntenancy: {}\n", "neither PostgreSQL nor SQLite"),
        ("version: 1\ndatabase: {url: 'sqlite:///x.db'}\n", "no tenancy: section"),
    ],
)
def test_configuration_errors_are_2(project: Path, text: str, words: str) -> None:
    (project / "maestro.yaml").write_text(text)
    done = ask(project, "apply")
    assert done.returncode == 2
    assert words in done.stderr


def test_the_proposal_can_be_pasted(ready: Path, database: str) -> None:
    (ready / "maestro.yaml").write_text(f"version: 1\ndatabase: {{url: '{database}'}}\n")
    done = ask(ready, "plan")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    proposal = lines[lines.index("tenancy:") : lines.index("", lines.index("tenancy:"))]
    assert "    process_metrics: {indexes: [[tenant_id]]}" in proposal
    pasted = [line.replace("shared: []", "shared: [users]") for line in proposal if "users:" not in line]
    (ready / "maestro.yaml").write_text(f"version: 1\ndatabase: {{url: '{database}'}}\n" + "\n".join(pasted))
    facts = json.loads(ask(ready, "plan", "--json").stdout)
    assert not facts["proposed"]
    assert len(facts["tables"]) == 6


def test_no_module_of_the_package_hides_a_function_of_it() -> None:
    # Importing a submodule binds its name in the package: a function of the same name would be gone after its first call.
    modules = {module.name for module in pkgutil.iter_modules(tenants.__path__)}
    functions = {name for name, found in vars(tenants).items() if inspect.isfunction(found)}
    assert not modules & functions
    assert {"plan", "script", "apply", "rollback"} <= functions
