"""readiness: the project's own files: open ends, documentation, pipelines, waivers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from check_support import context, expect, run_check

from maestro_cli.api import Context
from maestro_cli.observe.pipeline import parse_pipeline, runs_gate
from maestro_cli.observe.readme import parse_readme

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def with_project(folder: Path, keys: str) -> Context:
    return context(folder, f"readiness: {{project: {{{keys}}}}}", now=NOW)


def critical(folder: Path, *patterns: str) -> Context:
    return with_project(folder, f"critical_files: {list(patterns)}")


CLEAN = {"app/a.py": "def todo_list():\n    return 'TODOS'\n", "app/deep/b.py": "autodoc = 1  # method\n"}


def test_files_without_open_ends_pass(project: Path) -> None:
    write(project, CLEAN)
    expect(run_check("readiness.no-todo", critical(project, "app/**/*.py")), "pass", "files read 2")


@pytest.mark.parametrize(
    "line", ["# TODO: check the token", "x = 1  # FIXME", "// todo later", "'''TODO'''", "/* fixme"]
)
def test_an_open_end_fails_and_names_its_line(project: Path, line: str) -> None:
    write(project, CLEAN | {"app/c.py": f"a = 1\n{line}\n"})
    expect(run_check("readiness.no-todo", critical(project, "app/**/*.py")), "fail", "app/c.py:2")


def test_a_pattern_without_a_file_fails(project: Path) -> None:
    write(project, CLEAN)
    result = run_check("readiness.no-todo", critical(project, "app/*.py", "src/*.py"))
    expect(result, "fail", "src/*.py", "matches no file")


def test_a_critical_file_that_is_huge_is_an_error(project: Path) -> None:
    write(project, {"a.py": "x" * 5_000_001})
    expect(run_check("readiness.no-todo", critical(project, "a.py")), "error", "larger than")


README = """# Service

## Installation

`pip install .` and [the guide](docs/guide.md#start), ![logo](docs/logo%20small.png)

## Configuration

See [settings][s] and [elsewhere](https://example.test/x) and [below](#running).

```
# Not a heading: [nor a link](nowhere.md)
```

Running
-------

### In a container

docker compose up

## Tests

make test

[s]: docs/guide.md
"""
DOCS = {"README.md": README, "docs/guide.md": "", "docs/logo small.png": ""}


def test_a_readme_with_its_sections_passes(project: Path) -> None:
    write(project, DOCS)
    expect(run_check("readiness.documentation", with_project(project, "readme: README.md")), "pass", "2 relative links")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("## Tests", "## Other", ("no section on test",)),
        ("make test", "", ("nothing below Tests",)),
        ("docs/guide.md#start", "docs/gone.md#start", ("docs/gone.md",)),
        ("[s]: docs/guide.md", "[s]: docs/other.md", ("docs/other.md",)),
    ],
)
def test_a_readme_with_a_gap_fails(project: Path, before: str, after: str, words: tuple[str, ...]) -> None:
    write(project, DOCS | {"README.md": README.replace(before, after)})
    expect(run_check("readiness.documentation", with_project(project, "readme: README.md")), "fail", *words)


def test_no_readme_fails(project: Path) -> None:
    expect(run_check("readiness.documentation", with_project(project, "readme: README.md")), "fail", "no README.md")


def test_restructured_text_has_sections_and_links_too(project: Path) -> None:
    text = "Service\n=======\n\nInstall\n-------\n\nDo `this <docs/a.rst>`_.\n\nTest\n----\n\nmake\n"
    parsed = parse_readme(text, markdown=False)
    assert [(row.level, row.text) for row in parsed.headings] == [(1, "Service"), (2, "Install"), (2, "Test")]
    assert parsed.files() == ["docs/a.rst"]
    assert all(row.lines for row in parsed.headings[1:])


GITHUB = """on: push
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          pip install maestro-readiness
          {}
"""
GITLAB = "gate:\n  stage: test\n  script:\n    - pip install maestro-readiness\n    - {}\n"


def pipelines(folder: Path, text: str) -> Context:
    write(folder, {".github/workflows/ci.yml": text})
    return with_project(folder, "pipelines: ['.github/workflows/*.yml']")


@pytest.mark.parametrize(
    "command",
    [
        "maestro readiness",
        "uv run maestro --config deploy/maestro.yaml readiness --json > report.json",
        "cd app && .venv/bin/maestro readiness",
        "python -m maestro_cli --env staging readiness",
        "docker run --rm image maestro readiness",
    ],
)
@pytest.mark.parametrize("shape", [GITHUB, GITLAB])
def test_a_pipeline_with_the_gate_passes(project: Path, shape: str, command: str) -> None:
    expect(run_check("readiness.pipeline", pipelines(project, shape.format(command))), "pass", "runs maestro readiness")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (GITHUB.format("make test"), "No pipeline runs"),
        (GITHUB.format("# maestro readiness"), "No pipeline runs"),
        (GITHUB.format("echo maestro readiness"), "No pipeline runs"),
        (GITHUB.format("maestro readiness-report"), "No pipeline runs"),
        (GITHUB.format("maestro readiness || true"), "swallowed"),
        (GITHUB.format("maestro readiness") + "        continue-on-error: true\n", "continue-on-error"),
        (GITHUB.format("maestro readiness") + "        if: false\n", "never true"),
        (GITLAB.format("maestro readiness") + "  allow_failure: true\n", "allow_failure"),
        (GITLAB.format("maestro readiness") + "  when: manual\n", "manual"),
        ("jobs: [", "not YAML"),
        ("# maestro readiness\n", "no mapping"),
        ("- maestro readiness\n", "no mapping"),
    ],
)
def test_a_pipeline_without_a_gate_that_holds_fails(project: Path, text: str, word: str) -> None:
    expect(run_check("readiness.pipeline", pipelines(project, text)), "fail", word)


def test_no_pipeline_fails(project: Path) -> None:
    ctx = with_project(project, "pipelines: ['.github/workflows/*.yml']")
    expect(run_check("readiness.pipeline", ctx), "fail", "no pipeline at")


def test_an_alias_bomb_is_bounded(project: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    ctx = pipelines(project, f"l0: &l0 [a]\n{levels}\n")
    expect(run_check("readiness.pipeline", ctx), "fail", "too large")


def test_a_container_command_in_parts_is_read_as_one() -> None:
    found = parse_pipeline(b"steps:\n- image: x\n  args: [maestro, readiness, --json]\n")
    assert any(runs_gate(command) for command in found)


WAIVER = "- {{check: security.cors, reason: r, owner: o@example.test, environments: [production], expires: {}}}\n"


def waived(folder: Path, *dates: str) -> Context:
    return context(folder, "waivers:\n" + "".join(WAIVER.format(date) for date in dates), now=NOW)


@pytest.mark.parametrize(
    ("dates", "status", "word"),
    [
        (("2027-03-31",), "pass", "1 waiver is in date"),
        (("2026-12-08",), "pass", "in date"),
        (("2026-12-07",), "warn", "about to expire"),
        (("2026-11-23",), "warn", "about to expire"),
        (("2026-11-22",), "fail", "past its date"),
        (("2027-03-31", "2026-01-01"), "fail", "security.cors (owner o@example.test)"),
    ],
)
def test_waivers_by_their_date(project: Path, dates: tuple[str, ...], status: str, word: str) -> None:
    expect(run_check("readiness.waivers", waived(project, *dates)), status, word)


def test_without_waivers_there_is_nothing_to_judge(project: Path) -> None:
    expect(run_check("readiness.waivers", context(project, "version: 1\n")), "skip", "waivers is not configured")
