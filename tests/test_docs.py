"""Documentation that a test keeps true: reference pages, the README's tables and its commands."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from maestro_cli.commands.main import COMMANDS
from maestro_cli.config.readiness_settings import DEFAULT_GATES
from maestro_cli.errors import ExitCode
from maestro_cli.formats import FORMATS
from maestro_cli.model import Status
from maestro_cli.scoring import WEIGHTS

ROOT = Path(__file__).parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["checks.md", "configuration.md", "commands.md", "maestro.1"])
def test_a_reference_page_says_what_the_code_says(page: str) -> None:
    expected = generator().PAGES[page]().splitlines()
    written = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    diff = "\n".join(difflib.unified_diff(written, expected, f"docs/{page}", "the code", lineterm=""))
    assert not diff, f"{diff}\n\nRun: .venv/bin/python docs/generate.py"


def test_the_readme_names_every_exit_code_status_weight_and_gate() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+) \| ", readme, flags=re.MULTILINE)
    assert [int(code) for code in table] == [int(code) for code in ExitCode]
    assert re.findall(r"^\| `(\w+)` \| ", readme, flags=re.MULTILINE) == [status.value for status in Status]
    weights = ", ".join(
        f"{priority}{' checks weigh' if index == 0 else ''} {weight}"
        for index, (priority, weight) in enumerate(WEIGHTS.items())
    )
    assert weights in " ".join(readme.split())
    for name, gate in DEFAULT_GATES.items():
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", readme, flags=re.MULTILINE)
        assert f"score ≥ {gate.min_score}" in row
        assert all(priority in row for priority in gate.no_failed)
        assert not gate.min_coverage or f"coverage ≥ {gate.min_coverage} %" in row


def test_every_command_that_a_text_names_exists() -> None:
    for text in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "templates/service/README.md"):
        named = set(re.findall(r"\bmaestro ([a-z]+)\b", (ROOT / text).read_text(encoding="utf-8")))
        prose = {
            "takes",
            "observes",
            "says",
            "and",
            "to",
            "understood",
            "demo",
            "makes",
            "notices",
            "looks",
            "is",
            "cannot",
            "that",
            "works",
        }
        assert named - prose <= set(COMMANDS), text


def test_every_command_has_its_module() -> None:
    for name, module in COMMANDS.items():
        assert importlib.util.find_spec(module) is not None, name


def test_every_format_that_the_help_names_exists() -> None:
    page = (ROOT / "maestro_cli" / "commands" / "sinks.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r'formats = "([a-z, ]+)"', page)
    assert set(listed.split(", ")) <= set(FORMATS)
    assert set(FORMATS) - set(listed.split(", ")) <= {"shields"}


def test_nothing_names_a_machine_or_an_index() -> None:
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_dir() or any(
            part.startswith(".venv") or part in {".git", "__pycache__", "build", "node_modules"} for part in parts
        ):
            continue
        if path.suffix in {".py", ".toml", ".yaml", ".yml", ".txt", ".cfg"}:
            assert "index" + "-url" not in path.read_text(encoding="utf-8", errors="replace"), path
