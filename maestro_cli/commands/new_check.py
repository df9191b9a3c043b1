"""What `maestro checks new` writes: a check that holds in a fresh project, and the test that turns it red."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from maestro_cli.errors import UsageError

SUITES = ("health", "security", "readiness")
_NOUN = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")

_CHECK = '''"""{Title}: runs as it stands; now let it look at what matters to you."""

from __future__ import annotations

import stat

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed

SUBJECT = "maestro.yaml"  # what is looked at; paths start in the project's folder


@check(
    "{id}",
    component="{component}",
    priority="{priority}",
    faults=("world-writable",),
)
def {function}(ctx: Context) -> Finding:
    """The configuration cannot be written by everyone.

    Why: whoever can write it decides what is checked.
    Fails when: its mode lets everyone write.
    Fix: chmod o-w maestro.yaml
    Source: CWE-732
    """
    mode = ctx.path(SUBJECT).stat().st_mode
    seen = Evidence(SUBJECT, f"{{stat.S_IMODE(mode):04o}}", "not writable by everyone")
    if mode & stat.S_IWOTH:
        return failed(f"{{SUBJECT}} can be written by everyone", seen)
    return passed(f"{{SUBJECT}} can be written by its owner and group only", seen)
'''
_TEST = '''"""Each fault turns {id} red. Run: python -m pytest {folder}"""

from __future__ import annotations

from pathlib import Path

from maestro_cli.testing import check_in, turns_red

CHECK = check_in(Path(__file__).with_name("{module}.py"))


def test_a_world_writable_file_turns_it_red(tmp_path: Path) -> None:
    def plant() -> None:
        (tmp_path / "maestro.yaml").chmod(0o666)

    turns_red(CHECK, tmp_path, plant, "written by everyone")
'''


@dataclass(frozen=True, slots=True)
class NewCheck:
    """The two files, and the id."""

    id: str
    check_name: str
    check_text: str
    test_name: str
    test_text: str


def new_check(name: str, *, component: str, priority: str, folder: str) -> NewCheck:
    """The files of a new check.

    Args:
        name: `suite.noun`, or a noun for the suite readiness.
        component: Its component.
        priority: Its priority.
        folder: Where it will be written, for the words in the test.

    Raises:
        UsageError: For a name that is not kebab-case.
    """
    suite, dot, noun = name.partition(".")
    if not dot:
        suite, noun = "readiness", name
    if suite not in SUITES or not _NOUN.match(noun):
        raise UsageError(
            f"{name!r} is no name for a check",
            hint=f"Write SUITE.NOUN in kebab-case, with the suite {', '.join(SUITES)}: health.backup-age",
        )
    module = noun.replace("-", "_")
    if module[0].isdigit() or keyword.iskeyword(module) or module.startswith("test_") or module.endswith("_test"):
        module = f"check_{module.removesuffix('_test')}"
    words = {
        "id": f"{suite}.{noun}",
        "component": component,
        "priority": priority,
        "function": module,
        "module": module,
        "Title": noun.replace("-", " ").capitalize(),
        "folder": folder,
    }
    return NewCheck(
        str(words["id"]), f"{module}.py", _CHECK.format(**words), f"test_{module}.py", _TEST.format(**words)
    )
