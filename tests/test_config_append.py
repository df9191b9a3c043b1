"""Rows are added to a list of maestro.yaml, and nothing that stands there is touched."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.config.append import append_rows
from maestro_cli.errors import Refused

ROW = "id: health.new\ntcp: 'x:1'"
CASES = {
    "empty": "",
    "none": "# mine\nversion: 1",
    "nothing": "checks:  # to come\nversion: 1\n",
    "brackets": "checks: []  # to come\nversion: 1\n",
    "two lines": "checks: [\n]\nversion: 1\n",
    "last": "version: 1\nchecks:\n    # about a\n    - {id: a}  # and this\n",
    "unindented": "checks:\n- id: a\nversion: 1\n",
    "block text": "checks:\n  - id: a\n    run: |\n      one\n      # two\n\n# about the rest\nversion: 1\n",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_the_row_comes_last_and_every_line_stays(text: str) -> None:
    made = append_rows(text, "checks", [ROW, "id: b"], ["from goss"])
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(made)
    assert after.pop("checks") == [*(before.pop("checks", None) or []), {"id": "health.new", "tcp": "x:1"}, {"id": "b"}]
    assert after == before
    assert "# from goss" in made
    kept = made.splitlines()
    assert [line for line in text.splitlines() if not line.startswith(("checks: [", "]")) and line not in kept] == []
    assert made.count("#") == text.count("#") + 1


@pytest.mark.parametrize("text", ["checks: [{id: a}]\n", "{checks: []}\n", "- a\n", "checks: x\n", "a: [\n"])
def test_what_lines_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="nothing was written"):
        append_rows(text, "checks", [ROW])


@given(st.lists(st.text("ab: -#'\n|", max_size=6), max_size=4), st.sampled_from(["", "# end\n", "version: 1\n", "\n"]))
def test_whatever_is_written_there_reads_back(words: list[str], rest: str) -> None:
    before = [{"id": word} for word in words]
    text = yaml.safe_dump({"checks": before}, default_flow_style=False) + rest
    assert yaml.safe_load(append_rows(text, "checks", [ROW]))["checks"] == [*before, {"id": "health.new", "tcp": "x:1"}]
