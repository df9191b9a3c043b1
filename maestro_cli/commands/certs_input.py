"""What the certificate commands read besides their options: the folder, passwords, the configuration's defaults."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from maestro_cli.commands.base import Invocation
from maestro_cli.config.settings import Certs
from maestro_cli.errors import OutOfReach, UsageError
from maestro_cli.redaction import Secret


def configured(invocation: Invocation) -> Certs:
    """The `certs:` section, or its defaults."""
    return invocation.unresolved.settings.certs or Certs()


def folder_of(invocation: Invocation, directory: Path | None) -> Path:
    """The folder of the certificates: `--directory`, or the configured one, as short as it can be written."""
    if directory is not None:
        return directory
    path = invocation.unresolved.root / configured(invocation).directory
    short = Path(os.path.relpath(path))
    return short if ".." not in short.parts else path


def read_secret(invocation: Invocation, source: Path, what: str) -> Secret:
    """The first line of a file, or of stdin where it is `-`.

    Raises:
        OutOfReach: The file cannot be read.
        UsageError: It is empty.
    """
    try:
        text = sys.stdin.readline() if str(source) == "-" else source.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OutOfReach(
            f"{source} cannot be read ({reason}).", hint=f"It should hold {what} on its first line."
        ) from None
    value = text.rstrip("\r\n")
    if not value:
        raise UsageError(f"{source} is empty.", hint=f"It should hold {what} on its first line.")
    invocation.redact.add([value])
    return Secret(value)


def ask_secret(invocation: Invocation, what: str, *, option: str, twice: bool = False) -> Secret:
    """Ask for a secret on the terminal, without echo.

    Raises:
        UsageError: There is no terminal, nothing was typed, or the two answers differ.
    """
    from getpass import getpass

    if not (sys.stdin.isatty() and invocation.stderr.isatty()):
        raise UsageError(
            f"{what.capitalize()} is needed, and there is no terminal to ask on.",
            hint=f"Name a file that holds it: {option} FILE (- is stdin)",
        )
    value = getpass(f"{what.capitalize()}: ", stream=invocation.stderr)
    if not value:
        raise UsageError(f"{what.capitalize()} was not given.", hint=f"Name a file that holds it: {option} FILE")
    invocation.redact.add([value])
    if twice and getpass("Again: ", stream=invocation.stderr) != value:
        raise UsageError("The two are not the same.", hint="Nothing was written; run it again.")
    return Secret(value)


def passphrase_of(invocation: Invocation, source: Path | None) -> Secret | None:
    """The CA key's passphrase, from the file that was named."""
    return None if source is None else read_secret(invocation, source, "the passphrase of the CA's key")


def asker(invocation: Invocation) -> Callable[[], Secret | None]:
    """Asks for the CA key's passphrase where a terminal is there to ask on; without one the engine says what is missing."""

    def ask() -> Secret | None:
        if not (sys.stdin.isatty() and invocation.stderr.isatty()):
            return None
        return ask_secret(invocation, "the passphrase of the CA's key", option="--ca-passphrase-file")

    return ask
