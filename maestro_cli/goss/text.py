"""A translation as the text of a maestro.yaml."""

from __future__ import annotations

from maestro_cli.goss.document import Translation


def as_configuration(translation: Translation, source: str) -> str:
    """A whole maestro.yaml, which runs by itself; its `checks:` can be moved into another one.

    Args:
        translation: The checks and what was left out.
        source: The goss file's name, for the first line.
    """
    import yaml

    lines = [
        f"# Made from {_comment(source)} by `maestro import`. It runs as it stands: maestro --config FILE validate",
        "# To run it with the rest, move what stands under `checks:` into your maestro.yaml.",
    ]
    if translation.credentials:
        lines += [
            "#",
            "# Credentials stay out of the configuration; set these variables (env_file, or the environment):",
        ]
        lines += [f"#   {name}  ({_comment(meaning)})" for name, meaning in sorted(translation.credentials.items())]
    if translation.left_out:
        lines += ["#", f"# Not carried over ({len(translation.left_out)}):"]
        lines += [f"#   {_comment(str(row))}" for row in translation.left_out]
    lines += ["version: 1", "checks:" if translation.checks else "checks: []"]
    for check in translation.checks:
        block = yaml.safe_dump([check], sort_keys=False, allow_unicode=True, width=100_000)
        lines += [f"  {line}" if line else line for line in block.rstrip("\n").split("\n")]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
