"""The checks of the HTML report: the filters and one article per check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line, visible
from maestro_cli.model import CheckResult, Component, Evidence, Priority, Report, Status

VALUE_SHOWN = 20_000
"""Characters of one observed value."""

MARKS = {Status.PASS: "✔", Status.WARN: "!", Status.FAIL: "✘", Status.ERROR: "?", Status.SKIP: "–"}  # noqa: RUF001 - a dash

WORDS = {
    Status.PASS: "Pass",
    Status.WARN: "Warning",
    Status.FAIL: "Fail",
    Status.ERROR: "Not measured",
    Status.SKIP: "Not applicable",
}


def text(value: str, limit: int = VALUE_SHOWN) -> str:
    """Foreign text for an element or a quoted attribute."""
    return escape(visible(clip(value, limit)), quote=True)


def prose(value: str, limit: int = VALUE_SHOWN) -> str:
    """Foreign text for an element, what stands in backticks as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text(value, limit))


def line(value: str, limit: int = 500) -> str:
    """Foreign text on one line."""
    return escape(one_line(clip(value, limit)), quote=True)


def pill(status: Status, note: str = "") -> str:
    """The status as a word with its mark; never by colour alone."""
    return (
        f'<span class="pill {status.value}"><span aria-hidden="true">{MARKS[status]}</span>{WORDS[status]}{note}</span>'
    )


def anchors(checks: Iterable[CheckResult]) -> dict[int, str]:
    """`id()` of each result → a unique anchor made of its check's id, so that links survive from run to run."""
    taken: set[str] = set()
    names: dict[int, str] = {}
    for number, check in enumerate(checks):
        name = "check-" + re.sub(r"[^A-Za-z0-9._-]+", "-", check.id)[:120]
        if name in taken:
            name = f"{name}-{number}"
        taken.add(name)
        names[id(check)] = name
    return names


def section(report: Report, names: dict[int, str]) -> str:
    """The whole list with its filters, grouped by priority."""
    number = len(report.checks)
    if not number:
        return '<section id="checks" aria-labelledby="checks-title"><h2 id="checks-title">Checks</h2><p>No check ran.</p></section>'
    groups = "\n".join(_group(priority, checks, names) for priority, checks in wording.by_priority(report.checks))
    return f"""<section id="checks" aria-labelledby="checks-title">
<div class="section-head"><h2 id="checks-title">Checks</h2></div>
{_filters(report)}
<p class="count" id="count" role="status">{number} check{"" if number == 1 else "s"}.</p>
<p class="hidden-label" id="announcer" role="status"></p>
{groups}
</section>"""


def _filters(report: Report) -> str:
    counts = report.counts.as_dict()
    toggles = "".join(
        f'<label class="toggle {status.value}"><input type="checkbox" value="{status.value}" checked>'
        f"<span>{WORDS[status]} <b>{counts[status.value]}</b></span></label>"
        for status in wording.STATUSES
    )
    components = "".join(f'<option value="{item.value}">{item.title}</option>' for item in Component)
    priorities = "".join(f'<option value="{item.value}">{item.value.capitalize()}</option>' for item in Priority)
    return f"""<div class="filters card" id="filters" role="search" aria-label="Filter the checks" hidden>
<fieldset><legend>Status</legend><div class="toggles">{toggles}</div></fieldset>
<div class="field"><label class="label" for="component">Component</label><select id="component" autocomplete="off"><option value="">All</option>{components}</select></div>
<div class="field"><label class="label" for="priority">Priority</label><select id="priority" autocomplete="off"><option value="">All</option>{priorities}</select></div>
<div class="field grow"><label class="label" for="search">Search</label><input type="search" id="search" autocomplete="off" spellcheck="false"></div>
<button type="button" class="quiet" id="reset">Show all</button>
</div>"""


def _group(priority: Priority, checks: Sequence[CheckResult], names: dict[int, str]) -> str:
    passed = sum(check.status is Status.PASS for check in checks)
    asked = sum(check.status is not Status.SKIP for check in checks)
    articles = "\n".join(_article(check, names[id(check)]) for check in checks)
    return (
        f'<div class="group"><h3>{priority.value.capitalize()} <small>{passed} of {asked} passed</small></h3>\n'
        f"{articles}\n</div>"
    )


def _article(check: CheckResult, anchor: str) -> str:
    waived = '<span class="pill waived">Waived</span>' if check.waiver else ""
    message = f'<p class="message">{prose(check.message)}</p>' if check.message else ""
    settled = check.status in {Status.PASS, Status.SKIP}
    body = _folded(check) if settled else _open(check)
    return (
        f'<article class="check card {check.status.value}" id="{anchor}" data-status="{check.status.value}" '
        f'data-component="{check.component.value}" data-priority="{check.priority.value}" aria-labelledby="{anchor}-title">'
        f'<header>{pill(check.status)}{waived}<h4 id="{anchor}-title">{line(check.title or check.id)}</h4>'
        f'<p class="meta"><code>{line(check.id)}</code> · {check.component.title} · '
        f"{wording.duration_text(check.duration_s)}</p></header>{message}{body}</article>"
    )


def _open(check: CheckResult) -> str:
    """A finding: why, the remedy and the next command in sight; the evidence folded away."""
    why = _why(check)
    waiver = f'<p class="waiver">This finding is {line(wording.waiver_text(check), 2000)}</p>' if check.waiver else ""
    if check.needs:
        return f"{why}{waiver}{_evidence(check)}"
    return f"{why}{remedy(check)}{waiver}{_evidence(check)}{_docs(check)}"


def _why(check: CheckResult) -> str:
    if not check.why:
        return ""
    return f'<p class="why"><strong class="label">Why it matters</strong>{prose(wording.why_text(check))}</p>'


def _folded(check: CheckResult) -> str:
    if not check.evidence and not check.why:
        return ""
    why = _why(check)
    return f"<details><summary>{_named('Details', check)}</summary>{why}{_observations(check.evidence)}{_docs(check)}</details>"


def remedy(check: CheckResult) -> str:
    """What to do and the next command, ready to copy."""
    fix = ""
    if check.remedy is not None and check.remedy.text:
        fix = f'<p class="fix"><strong class="label">How to fix it</strong>{prose(check.remedy.text)}</p>'
    return (
        f'{fix}<div class="command"><pre><code>{line(wording.next_command(check), VALUE_SHOWN)}</code></pre>'
        '<button type="button" class="quiet copy" hidden><span class="face">Copy</span>'
        f'<span class="hidden-label"> the command for: {line(check.title or check.id)}</span></button></div>'
    )


def _evidence(check: CheckResult) -> str:
    if not check.evidence:
        return ""
    label = _named(f"Evidence ({len(check.evidence)})", check)
    return f"<details><summary>{label}</summary>{_observations(check.evidence)}</details>"


def _named(label: str, check: CheckResult) -> str:
    """The label, and for a screen reader's list of controls also the check it belongs to."""
    return f'{label}<span class="hidden-label"> of: {line(check.title or check.id)}</span>'


def _observations(evidence: Sequence[Evidence]) -> str:
    if not evidence:
        return ""
    return f'<ul class="evidence">{"".join(_observation(item) for item in evidence)}</ul>'


def _observation(item: Evidence) -> str:
    differs = ' class="differs"' if item.expected and item.observed != item.expected else ""
    name = f'<p class="what">{line(item.name, 2000)}</p>' if item.name else ""
    expected = f"<div><dt>Expected</dt><dd>{text(item.expected)}</dd></div>" if item.expected else ""
    return f"<li>{name}<dl><div{differs}><dt>Observed</dt><dd>{text(item.observed)}</dd></div>{expected}</dl></li>"


def _docs(check: CheckResult) -> str:
    if not check.docs:
        return ""
    if wording.is_link(check.docs):
        address = escape(check.docs, quote=True)
        return f'<p class="why"><a href="{address}" rel="noreferrer noopener">{line(check.docs)}</a></p>'
    return f'<p class="why"><strong class="label">Source</strong>{line(check.docs)}</p>'
