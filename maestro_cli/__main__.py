"""`python -m maestro_cli` and the `maestro` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Answer `--version` without importing anything; hand all else to the commands."""
    if sys.argv[1:] == ["--version"]:
        from maestro_cli._version import __version__

        sys.stdout.write(f"maestro {__version__}\n")
        return
    import gc

    gc.disable()  # what a start imports is no garbage, and looking for some in it takes a sixth of the start
    from maestro_cli.commands.main import run

    leave(run(sys.argv[1:]))


def leave(code: int) -> None:
    """End the process, also where a check's thread is still busy: a hanging check must not hold the exit code back."""
    import os
    import threading

    if any(thread.name.startswith("check-") for thread in threading.enumerate()):
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
