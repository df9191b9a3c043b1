"""The manual page: generated from the commands, and read without complaint by the programs that show it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from maestro_cli.commands.main import COMMANDS
from maestro_cli.commands.manual import escaped, exit_codes, manual_page
from maestro_cli.errors import ExitCode

PAGE = Path(__file__).parent.parent / "docs" / "maestro.1"


def shown() -> str:
    """The page as a terminal shows it, without bold and underlining."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", "-rLL=100n"],
        input=manual_page(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def test_groff_shows_every_command_and_exit_code() -> None:
    text = shown()
    for name in COMMANDS:
        assert re.search(rf"^   maestro {name}\b", text, re.MULTILINE), name
    for code in ExitCode:
        assert re.search(rf"^       {code:d}\b", text, re.MULTILINE), code
    for word in ("--probe-production", "--only ID", "--config, -c FILE", "NO_COLOR", "maestro.yaml", "${NAME}"):
        assert word in text
    assert "`" not in text


def test_mandoc_has_nothing_to_complain_of() -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"], input=manual_page(), capture_output=True, text=True, check=False
    )
    complaints = [
        line for line in done.stdout.splitlines() if "missing date" not in line
    ]  # a date would change by itself
    assert complaints == []


def test_exit_codes_are_told_in_the_words_of_the_code() -> None:
    assert exit_codes().keys() == {int(code) for code in ExitCode}
    assert exit_codes()[1] == "Something measured falls short."


@pytest.mark.parametrize(
    ("text", "roff"),
    [(".TH", "\\&.TH"), ("a-b\\c", "a\\-b\\ec"), ("don't", "don\\(aqt"), ("ü · ~", "\\[u00FC] \\[u00B7] \\(ti")],
)
def test_no_word_becomes_a_macro(text: str, roff: str) -> None:
    assert escaped(text) == roff


def test_the_page_is_ascii_and_no_line_of_it_is_endless() -> None:
    page = PAGE.read_bytes()
    assert page.isascii()
    assert max(map(len, page.splitlines())) < 300
