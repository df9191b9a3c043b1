"""Reading the file that `env_file` names."""

from __future__ import annotations

from pathlib import Path

MAXIMUM_BYTES = 1_000_000


def read_environment_file(path: Path) -> dict[str, str]:
    """NAME → value.

    Raises:
        OSError: When it cannot be read.
        ValueError: When it is not text of NAME=value lines, or far too large.
    """
    from maestro_cli.dotenv import parse_dotenv

    if path.stat().st_size > MAXIMUM_BYTES:
        raise ValueError("too large")
    return dict(parse_dotenv(path.read_text(encoding="utf-8")))
