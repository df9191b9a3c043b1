"""The documentation site: `make docs` builds it with Sphinx, and a warning is an error.

Its pages are the README, CONTRIBUTING and CHANGELOG as they stand, the reference pages that docs/generate.py writes from
the code, and the docstrings of what a plugin may import.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from maestro_cli._version import __version__  # noqa: E402 - the path is set above

project = "maestro"
author = "the maestro maintainers"
project_copyright = author
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "maestro.1"]
default_role = "code"  # a docstring's `word` is code, as in Markdown
smartquotes = False  # --read-only is no dash
html_theme = "alabaster"
html_theme_options = {
    "description": "Deployment readiness that is observed, not assumed.",
    "page_width": "70em",
    "sidebar_width": "15em",
}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_copy_source = False
html_show_sourcelink = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

PAGES = {
    "README.md": "index",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "docs/": "checks",
    "docs": "checks",
}
"""Files that have a page here; links to others become their names."""
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#|mailto:)[^)]+)\)")


def _relink(_app: Any, _source: Path, _parent: str, content: list[str]) -> None:
    """Make links between files of the repository links between pages."""

    def page(match: re.Match[str]) -> str:
        name = PAGES.get(match["target"])
        return f"[{match['text']}]({name}.md)" if name else match["text"]

    content[0] = _LINK.sub(page, content[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("include-read", _relink)
