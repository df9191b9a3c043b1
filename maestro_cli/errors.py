"""The errors that maestro raises and the exit code each one means (see "Exit codes" in the README)."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    """The gate is met, or the command did what it was asked."""
    NOT_MET = 1
    """Something measured falls short."""
    USAGE = 2
    """Usage or configuration error; nothing was run."""
    NOT_MEASURED = 3
    """Could not measure or could not finish: out of reach, or an internal error."""
    INTERRUPTED = 130
    """Interrupted; everything started is stopped, everything written is whole."""


class MaestroError(Exception):
    """An error a user can act on: what is wrong, where, and the next command.

    Args:
        message: What is wrong and where, in one sentence, without secrets.
        hint: The next thing to do, ideally a command.
    """

    exit_code: ExitCode = ExitCode.NOT_MEASURED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments survive pickling (a check's error may come from a worker process).
        return (_rebuild, (type(self), self.message, self.hint, dict(self.__dict__)))


def _rebuild(cls: type[MaestroError], message: str, hint: str | None, state: dict[str, object]) -> MaestroError:
    error = cls.__new__(cls)
    MaestroError.__init__(error, message, hint=hint)
    error.__dict__.update(state)
    return error


class UsageError(MaestroError):
    """The command line cannot be followed; nothing was run."""

    exit_code = ExitCode.USAGE


class ConfigurationError(MaestroError):
    """maestro.yaml (or a file it names) is wrong; nothing was run. Holds every problem at once."""

    exit_code = ExitCode.USAGE


class NotMet(MaestroError):  # noqa: N818 - an outcome rather than a crash
    """What was asked for was measured and falls short."""

    exit_code = ExitCode.NOT_MET


class OutOfReach(MaestroError):  # noqa: N818 - named as the exit-code table names it
    """A service or file that is needed cannot be reached or read."""

    exit_code = ExitCode.NOT_MEASURED


class Refused(MaestroError):  # noqa: N818 - maestro declines; nothing was changed
    """maestro will not do this because something that exists could be lost; nothing was changed."""

    exit_code = ExitCode.NOT_MET


class NotConfigured(MaestroError):  # noqa: N818 - not a failure
    """The subject of a check is not configured: the check is skipped."""
