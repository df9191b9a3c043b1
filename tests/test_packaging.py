"""The wheel: one import package, everything that the program reads, and nothing that clashes with a user's folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAPPED = {"checks": "maestro_cli/checks", "migrations": "maestro_cli/migrations", "templates": "maestro_cli/templates"}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "reports", "node_modules"
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, base / "tree", ignore=LEFT_OUT, symlinks=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(base), str(base / "tree")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = base.glob("*.whl")
    return path


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_one_import_package(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel) if ".dist-info/" not in name and ".data/" not in name} == {
        "maestro_cli"
    }


def test_the_manual_page_goes_where_man_looks_for_it(wheel: Path) -> None:
    assert any(name.endswith(".data/data/share/man/man1/maestro.1") for name in names(wheel))


def test_every_module_and_data_file_of_the_tree_is_in_it(wheel: Path) -> None:
    packed = names(wheel)
    expected = set()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, listed):
        top = name.split("/")[0]
        if top == "maestro_cli" or (top in MAPPED and "/" in name):
            expected.add(name.replace(top, MAPPED.get(top, top), 1))
    missing = expected - packed
    assert not missing, sorted(missing)


def test_installed_without_extras_it_finds_its_checks_and_says_what_is_missing(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = f"import sys; sys.path.insert(0, {str(target)!r}); sys.argv = ['maestro', *sys.argv[1:]]; from maestro_cli.__main__ import main; main()"
    (tmp_path / "maestro.yaml").write_text("")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "__init__.py").write_text("raise SystemExit('a folder of the user is not ours')\n")
    done = subprocess.run(
        [sys.executable, "-c", code, "validate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "not ours" not in done.stderr
