"""Reading goss files (https://goss.rocks): each of their resources becomes checks declared in maestro.yaml.

What has no counterpart is listed with its line and its reason. Nothing is dropped silently.
"""

from maestro_cli.goss.document import Translation, translate
from maestro_cli.goss.entry import DeclaredRow, LeftOut

__all__ = ["DeclaredRow", "LeftOut", "Translation", "translate"]
