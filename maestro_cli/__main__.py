"""`python -m maestro_cli` and the `maestro` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Answer `--version` without importing anything; hand all else to the commands."""
    if sys.argv[1:] == ["--version"]:
        from maestro_cli._version import __version__

        sys.stdout.write(f"maestro {__version__}\n")
        return
    from maestro_cli.commands.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
