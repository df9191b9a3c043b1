"""Does the README tell an operator what is needed, and do its links lead somewhere?"""

from __future__ import annotations

import os
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.project_files import read_limited
from maestro_cli.observe.readme import MAXIMUM_BYTES, parse_readme


@check(
    "readiness.documentation",
    component="deployment",
    priority="low",
    faults=("documentation-missing", "readme-section-missing", "readme-section-empty", "readme-link-broken"),
)
def documentation(ctx: Context) -> Finding:
    """The README has what an operator needs.

    Why: who is called at night reads this page first, and has not written the service.
    Fails when: readiness.project.readme is missing, lacks a heading with one of readiness.project.readme_sections, has
    nothing below that heading, or links to a file that is not there.
    Fix: write the section; correct the link.
    Source: Google SRE Workbook, Launch checklist (documentation); CommonMark 0.31
    """
    project = ctx.require(ctx.settings.readiness.project, "readiness.project")
    name = ctx.require(project.readme, "readiness.project.readme")
    path = ctx.path(name)
    try:
        text = read_limited(path, MAXIMUM_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return failed(f"There is no {name}.", Evidence(name, "no file", "the operator's documentation"))
    readme = parse_readme(text, markdown=path.suffix.lower() != ".rst")
    sections = {word: readme.section(word) for word in project.readme_sections}
    missing = [word for word, found in sections.items() if found is None]
    empty = [found.text for found in sections.values() if found is not None and not found.lines]
    links = readme.files()
    broken = [link for link in links if not _exists(path.parent / link.lstrip("/"))]
    if missing or empty or broken:
        said = [
            f"no section on {', '.join(missing)}" if missing else "",
            f"nothing below {', '.join(empty)}" if empty else "",
            f"broken links to {', '.join(broken[:5])}" if broken else "",
        ]
        return failed(
            f"{name} has {'; '.join(part for part in said if part)}.",
            *(Evidence("section", f"none with {word!r}", "a heading with text below") for word in missing),
            *(Evidence("section", f"{title!r} is empty", "text below the heading") for title in empty),
            *(Evidence("link", f"{link} is not there", "a file") for link in broken[:10]),
        )
    if not readme.headings:
        return failed(f"{name} has no heading.", Evidence(name, f"{len(text)} characters", "sections"))
    return passed(
        f"{name} has its {len(sections)} sections, and its {len(links)} relative links resolve.",
        Evidence("headings", ", ".join(heading.text for heading in readme.headings[:20])),
    )


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long
