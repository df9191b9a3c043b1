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
    """End the process.

    Also where a check's thread is still busy: a hanging check must not hold the exit code back. Otherwise what is
    registered for the end is done, but the interpreter is not taken apart: that takes a tenth of a short run.
    """
    import atexit
    import os
    import threading

    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if not any(thread.name.startswith("check-") for thread in others):
        if any(not thread.daemon for thread in others):
            sys.exit(code)
        atexit._run_exitfuncs()  # noqa: SLF001 - the only way to have them done before os._exit
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader of our output went away; nothing is left to be said
        pass
    os._exit(code)


if __name__ == "__main__":
    main()
