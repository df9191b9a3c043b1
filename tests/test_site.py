"""The documentation site: built from the README, the reference pages and the docstrings, a warning being an error."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from maestro_cli.config import without_file
from maestro_cli.discovery import discover

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(find_spec("sphinx") is None, reason="pip install maestro-readiness[docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "trees"), "docs"]
    done = subprocess.run(
        [sys.executable, *words, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def words_of(page: Path) -> str:
    """A page's text, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))).split())


def test_every_page_stands_and_every_link_between_them_leads_somewhere(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    anchors = {page.name: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) for page in pages}
    assert {"index.html", "plugins.html", "checks.html", "commands.html", "configuration.html"} <= anchors.keys()
    for page in pages:
        for target in re.findall(r'href="([^"]+)"', page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = re.sub(r"\?v=\w+", "", target).partition("#")
            assert (site / (name or page.name)).exists(), (page.name, target)
            if anchor and name.endswith(".html") and page.name != "genindex.html":
                assert html.unescape(anchor) in anchors[name], (page.name, target)


def test_the_first_page_is_the_readme_and_others_hold_every_check_and_the_api(site: Path, tmp_path: Path) -> None:
    assert "Deployment readiness that is observed, not assumed." in words_of(site / "index.html")
    catalogue = (site / "checks.html").read_text(encoding="utf-8")
    assert not [name for name in discover(without_file(tmp_path), plugins=False).checks if name not in catalogue]
    api = words_of(site / "plugins.html")
    for name in (
        "turns_red",
        "check_in",
        "class maestro_cli.api. Context",
        "exception maestro_cli.errors. MaestroError",
    ):
        assert name.replace(" ", "") in api.replace(" ", ""), name


def test_it_needs_nothing_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8"))
        assert loaded == [], page.name
