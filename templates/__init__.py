"""Projects to copy. `service/` is the reference service that `maestro demo` runs."""

from __future__ import annotations

from pathlib import Path

SERVICE = Path(__file__).with_name("service")
"""Folder of the reference service."""
