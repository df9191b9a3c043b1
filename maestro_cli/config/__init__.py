"""maestro.yaml: typed, frozen settings with file:line provenance."""

from maestro_cli.config.load import Loaded, load, without_file

__all__ = ["Loaded", "load", "without_file"]
