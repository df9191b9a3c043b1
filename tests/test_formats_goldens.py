"""Whole outputs, as a reader gets them: `<story>.<exit code>.<format>`. The name is the documentation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import report_samples as samples

from maestro_cli.formats import render

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize(
    "name",
    ["not-ready.1.rich", "outage.1.rich", "nothing.3.rich", "not-ready.1.markdown", "ready.0.nagios", "ready.0.badge"],
)
def test_the_output_is_the_golden_one(name: str) -> None:
    story, _, form = name.split(".")
    text = render(form, getattr(samples, story.replace("-", "_"))())
    golden = GOLDENS / name
    if os.environ.get("MAESTRO_WRITE_GOLDENS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), (
        "If the new output is better: MAESTRO_WRITE_GOLDENS=1 pytest tests/test_formats_goldens.py, then look at the diff."
    )
