"""A translation as the text of a maestro.yaml."""

from __future__ import annotations

from maestro_cli.config.append import append_rows
from maestro_cli.goss.document import Translation


def as_configuration(translation: Translation, source: str) -> str:
    """A whole maestro.yaml, which runs by itself; its `checks:` can be moved into another one.

    Args:
        translation: The checks and what was left out.
        source: The goss file's name, for the first line.
    """
    lines = [
        f"# Made from {_comment(source)} by `maestro import`. It runs as it stands: maestro --config FILE validate",
        "# To run it with the rest: maestro import FILE --into maestro.yaml",
    ]
    if translation.credentials or translation.left_out:
        lines += ["#", *(f"# {remark}" for remark in _remarks(translation))]
    lines += ["version: 1"]
    if not translation.checks:
        lines += ["checks: []"]
    text = "\n".join(lines) + "\n"
    return append_rows(text, "checks", _rows(translation)) if translation.checks else text


def into_configuration(text: str, translation: Translation, source: str) -> str:
    """A maestro.yaml with the checks behind those that it declares.

    Args:
        text: The whole file.
        translation: The checks and what was left out.
        source: The goss file's name, for a comment.

    Raises:
        Refused: When lines cannot be added to its `checks:`.
    """
    remarks = [f"From {_comment(source)}, by maestro import", *_remarks(translation)]
    return append_rows(text, "checks", _rows(translation), remarks) if translation.checks else text


def _rows(translation: Translation) -> list[str]:
    import yaml

    return [yaml.safe_dump(check, sort_keys=False, allow_unicode=True, width=100_000) for check in translation.checks]


def _remarks(translation: Translation) -> list[str]:
    remarks = []
    if translation.credentials:
        remarks += ["Credentials stay out of the configuration; set these variables (env_file, or the environment):"]
        remarks += [f"  {name}  ({_comment(meaning)})" for name, meaning in sorted(translation.credentials.items())]
    if translation.left_out:
        remarks += [f"Not carried over ({len(translation.left_out)}):"]
        remarks += [f"  {_comment(str(row))}" for row in translation.left_out]
    return remarks


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
