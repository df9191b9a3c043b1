"""The report as GitHub-flavoured Markdown: for a job's summary and as a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line, visible
from maestro_cli.model import CheckResult, Priority, Report, Status, Verdict

MARKER = "<!-- maestro readiness report -->"
"""The first line, by which a job finds the comment that it wrote last time."""

LONGEST = 60_000
"""Characters: GitHub takes 65,536 in a comment (and 1 MiB in a job's summary)."""

VALUE_SHOWN = 500

_MARKS = {Status.PASS: "✅", Status.WARN: "⚠️", Status.FAIL: "❌", Status.ERROR: "❓", Status.SKIP: "⏭️"}
_VERDICTS = {Verdict.READY: "✅", Verdict.NOT_READY: "❌", Verdict.UNKNOWN: "❓"}
_SPECIAL = re.compile(r"([\\`*_\[\]|~$^])")
_OPENING = re.compile(r"^([#+=:-])|^(\d+)([.)])")
"""What makes a heading, a list or a rule at the beginning of a line, and only there."""

_MENTION = re.compile(r"(?<!\w)@(?=\w)")


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """Verdict, breakdown, gate, findings (folded below `high`) and the list of all checks."""
    del width, colour
    head = "\n".join([*_header(report), *_breakdown(report), *_gate(report)])
    folded = [_outages(report), *(_finding(check, verbose=verbose) for check in _ordered(report))]
    body, left_out = _fitting([part for part in folded if part], LONGEST - len(head) - 500)
    if body:
        head += "\n\n### Findings\n\n" + "\n\n".join(body)
    if left_out:
        head += f"\n\n*… and {left_out} more, which do not fit here: see the full report.*"
    checklist = _checklist(report)
    if checklist and len(head) + len(checklist) < LONGEST:
        head += "\n\n" + checklist
    return head + "\n"


def text(value: str) -> str:
    """Foreign text in a line: shown as it is, never as Markdown, HTML or a mention of somebody."""
    escaped = _SPECIAL.sub(r"\\\1", one_line(value))
    escaped = _OPENING.sub(lambda match: f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}", escaped)
    return _unmentioned(_html_text(escaped))


def code(value: str, *, cell: bool = False) -> str:
    """Foreign text as a code span; `cell` says that it stands in a table, where a bar ends the cell even in code."""
    value = one_line(value)
    if not value:
        return ""
    longest = max((len(run) for run in re.findall("`+", value)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if value[0] == "`" or value[-1] == "`" else ""
    span = f"{fence}{gap}{value}{gap}{fence}"
    return span.replace("|", "\\|") if cell else span


def _html_text(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _unmentioned(value: str) -> str:
    # GitHub looks for mentions after Markdown is done, so no escape reaches them; an invisible joiner does.
    return _MENTION.sub("@\u200d", value)


def _block(value: str) -> str:
    """A command as a block that GitHub offers to copy."""
    value = visible(value)
    longest = max((len(run) for run in re.findall("`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{value}\n{fence}"


def _header(report: Report) -> Iterator[str]:
    yield MARKER
    name = text(clip(report.service, 100)) or "This service"
    yield f"## {_VERDICTS[report.verdict]} {name}: {text(wording.verdict_text(report))}"
    yield ""
    facts = [
        f"score **{wording.score_text(report.score)}**" + ("" if report.score is None else " of 100"),
        f"coverage {wording.score_text(report.coverage)} %",
        wording.counts_text(report.counts),
    ]
    if report.commit:
        facts.append(f"commit {code(report.commit[:12])}")
    facts.append(wording.minute_text(report.started_at))
    yield " · ".join(facts)
    if report.interrupted:
        yield ""
        yield "**Interrupted: this report is partial.**"
    for note in wording.other_notes(report):
        yield ""
        yield f"> {text(clip(note, VALUE_SHOWN))}"


def _breakdown(report: Report) -> Iterator[str]:
    if not report.components:
        return
    yield ""
    yield "| Component | Score | | Checks |"
    yield "|---|--:|---|---|"
    for component in report.components:
        title, word = text(clip(component.title, 100)), wording.component_word(component)
        score = "" if component.score is None else wording.score_text(component.score)
        yield f"| {title} | {score} | {word} | {wording.counts_text(component.counts)} |"


def _gate(report: Report) -> Iterator[str]:
    gate = report.gate
    yield ""
    state = "met" if gate.met else "not met"
    yield f"**Gate {text(clip(gate.name, 100))}: {state}.** It asks for {wording.gate_text(gate)}."
    if gate.reasons:
        yield ""
        yield from (f"- {text(clip(reason, VALUE_SHOWN))}" for reason in gate.reasons)


def _ordered(report: Report) -> Iterable[CheckResult]:
    return (check for _, checks in wording.by_priority(wording.findings(report)) for check in checks)


def _outages(report: Report) -> str:
    parts: list[str] = []
    for outage in wording.outages(report):
        ids = ", ".join(code(check.id) for check in outage.checks[:20])
        more = f" and {len(outage.checks) - 20} more" if len(outage.checks) > 20 else ""
        parts.append(f"{_MARKS[Status.ERROR]} **{text(clip(outage.sentence, VALUE_SHOWN))}**: {ids}{more}")
        parts += _remedy(outage.speaker)
    return "\n\n".join(parts)


def _finding(check: CheckResult, *, verbose: bool) -> str:
    urgent = check.priority in {Priority.CRITICAL, Priority.HIGH} and check.waiver is None
    opened = " open" if urgent else ""
    waived = ", waived" if check.waiver else ""
    title = _unmentioned(_html_text(one_line(clip(check.title or check.id, 200))))
    facts = f"({check.status.value}, {check.priority.value}{waived})"
    parts = [
        f"<details{opened}>\n<summary>{_MARKS[check.status]} <b>{title}</b> {facts}</summary>",
        f"{text(clip(check.message, VALUE_SHOWN))} {code(clip(check.id, 200))}".strip(),
    ]
    evidence = check.evidence if verbose else wording.telling(check.evidence)[:5]
    if evidence:
        rows = [
            f"| {text(clip(item.name, 100))} | {code(clip(item.observed, VALUE_SHOWN), cell=True)} "
            f"| {code(clip(item.expected, VALUE_SHOWN), cell=True)} |"
            for item in evidence
        ]
        parts.append("\n".join(["| | Observed | Expected |", "|---|---|---|", *rows]))
    if check.why:
        parts.append(f"**Why it matters:** {text(clip(wording.why_text(check), 2 * VALUE_SHOWN))}")
    parts += _remedy(check)
    if check.waiver:
        parts.append(f"**Waiver:** {text(clip(wording.waiver_text(check), VALUE_SHOWN))}")
    parts.append("</details>")
    return "\n\n".join(parts)


def _remedy(check: CheckResult) -> list[str]:
    fix = [f"**Fix:** {text(clip(check.remedy.text, 2 * VALUE_SHOWN))}"] if check.remedy and check.remedy.text else []
    return [*fix, _block(clip(wording.next_command(check), 2 * VALUE_SHOWN))]


def _fitting(parts: list[str], room: int) -> tuple[list[str], int]:
    """As many parts, from the most urgent on, as fit; and how many do not."""
    kept: list[str] = []
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            break
        kept.append(part)
    return kept, len(parts) - len(kept)


def _checklist(report: Report) -> str:
    if not report.checks:
        return ""
    rows = [
        f"| {_MARKS[check.status]} {check.status.value} | {priority.value} | {text(clip(check.title or check.id, 200))} "
        f"| {code(clip(check.id, 200), cell=True)} |"
        for priority, checks in wording.by_priority(report.checks)
        for check in checks
    ]
    table = "\n".join(["| Status | Priority | Check | Id |", "|---|---|---|---|", *rows])
    number = report.counts.total
    return f"<details>\n<summary>All {number} check{'' if number == 1 else 's'}</summary>\n\n{table}\n\n</details>"
