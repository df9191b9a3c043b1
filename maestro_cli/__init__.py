"""maestro: deployment readiness that is observed, not assumed."""

from maestro_cli._version import __version__

__all__ = ["__version__"]
