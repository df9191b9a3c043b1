"""Secrets: made strong, judged by what can be observed, rotated without a torn file. Nothing here prints.

`parse_dotenv` is all that the configuration loader needs, so the rest is imported on first use.
"""

from __future__ import annotations

from maestro_cli.secrets.dotenv import Dotenv, EnvValues, parse_dotenv

__all__ = ["Dotenv", "EnvValues", "parse_dotenv"]
