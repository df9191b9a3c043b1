"""The reference service as a project that a team copies: its own tests, its configuration, its wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from reference_platform import ReferencePlatform

from maestro_cli.config import load
from maestro_cli.demo.service import ServiceProject


def test_its_own_tests_pass_against_the_real_servers(reference_platform: ReferencePlatform) -> None:
    reference_platform.forget_requests()
    folder = reference_platform.project.directory
    variables = {**reference_platform.environment, "PATH": os.environ["PATH"], "COVERAGE_FILE": "reports/.coverage"}
    (folder / "reports").mkdir(exist_ok=True)
    for arguments in (
        ["run", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        ["json", "-q", "-o", "reports/coverage.json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    suite = ET.parse(folder / "reports" / "junit.xml").getroot().find("testsuite")  # noqa: S314 - made a moment ago
    assert suite is not None
    assert (suite.get("errors"), suite.get("failures"), suite.get("skipped")) == ("0", "0", "0")
    assert int(suite.get("tests") or 0) >= 18
    coverage = json.loads((folder / "reports" / "coverage.json").read_text())["totals"]["percent_covered"]
    assert coverage > 85


def test_its_migration_is_verified_as_the_services_role(reference_platform: ReferencePlatform) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli", "migrate", "verify", "--json"],
        cwd=reference_platform.project.directory,
        env={**reference_platform.environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["findings"] == []
    assert found["proof"]["role"] == "maestro_app"
    assert found["proof"]["attempts"] >= 90
    assert done.returncode == 0


def test_its_tests_without_servers_skip_and_do_not_fail(tmp_path: Path) -> None:
    project = ServiceProject.create(tmp_path / "copy")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project.directory,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" in done.stdout


def test_the_copy_is_whole_and_clean(tmp_path: Path) -> None:
    project = ServiceProject.create(tmp_path / "copy")
    names = {str(file.relative_to(project.directory)) for file in project.directory.rglob("*") if file.is_file()}
    assert names >= {
        ".coveragerc",
        ".env.example",
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "alembic.ini",
        "maestro.yaml",
        "migrations/env.py",
        "migrations/script.py.mako",
        "migrations/versions/0001_single_tenant_schema.py",
        "service/main.py",
        "service/routes/projects.py",
    }
    assert not [name for name in names if name.endswith((".pyc", ".env")) or name.startswith(("certs/", "reports/"))]


def test_its_configuration_needs_only_what_its_example_names(tmp_path: Path) -> None:
    project = ServiceProject.create(tmp_path / "copy")
    example = (project.directory / ".env.example").read_text()
    (project.directory / ".env").write_text(example.replace("=\n", "=filled-in-4711-filled-in-4711-xyz\n"))
    loaded = load(project.directory / "maestro.yaml", environ={})
    assert loaded.settings.service.environment == "production"
    assert loaded.settings.tenancy is not None
    assert sum(len(table.indexes) for table in loaded.settings.tenancy.tables.values()) == 15
