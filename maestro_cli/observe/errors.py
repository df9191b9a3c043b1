"""Why something could not be observed."""

from __future__ import annotations

from maestro_cli.errors import MaestroError


class Unreachable(MaestroError):  # noqa: N818 - reads as what it says of the dependency
    """A dependency is down; said once for the run, and every check that needs it is an error.

    Args:
        dependency: Its name as a person says it: "PostgreSQL", "Redis", "the API".
        reason: Why, without secrets: "connection refused at 127.0.0.1:5432".
    """

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency} is unreachable: {reason}")
        self.dependency = dependency
        self.reason = reason

    def __reduce__(self) -> tuple[type[Unreachable], tuple[str, str]]:
        return (Unreachable, (self.dependency, self.reason))


class ControlFailed(MaestroError):  # noqa: N818 - reads as what it says of the probe
    """A probe's control did not behave (a valid token was refused), so its result would mean nothing."""
