"""The report for a person at a terminal or reading a CI log (`--format rich`): 80 columns, legible without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from maestro_cli.formats import wording
from maestro_cli.formats.escaping import clip, one_line
from maestro_cli.formats.layout import Page, Segment, cells, cut, pad
from maestro_cli.model import CheckResult, ComponentScore, Evidence, Report, Status, Verdict

NARROWEST, WIDEST = 40, 100
"""Columns: narrower is unreadable, wider makes lines that the eye loses."""

BARS = ((72, 16), (62, 8), (0, 0))
"""From how many columns on a component's bar takes how many; a narrow terminal keeps the numbers and the words."""

EVIDENCE_SHOWN = 5
SKIPS_FOLDED = 3
"""From so many checks on that are skipped for one reason, the reason is said once (--verbose lists them)."""

VALUE_SHOWN, VALUE_SHOWN_VERBOSE = 300, 4000
"""Characters of one observed value."""

_KEY = 10
"""Columns of "observed" and the space around it."""


class Glyphs(NamedTuple):
    """The marks that go with the status words; never the only carrier of a meaning."""

    marks: dict[Status, str]
    full: str
    empty: str


UNICODE = Glyphs(
    {Status.PASS: "✔", Status.WARN: "!", Status.FAIL: "✘", Status.ERROR: "?", Status.SKIP: "-"}, full="█", empty="░"
)
ASCII = Glyphs(
    {Status.PASS: "+", Status.WARN: "!", Status.FAIL: "x", Status.ERROR: "?", Status.SKIP: "-"}, full="#", empty="."
)


def drawable(encoding: str) -> bool:
    """Whether a stream of this encoding can show the bars and marks."""
    try:
        "✔✘█░…·½".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def render(
    report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False, unicode: bool = True
) -> str:
    """Breakdown, findings by priority, checklist, gate and, as the last line, the verdict."""
    page = Page(min(max(width, NARROWEST), WIDEST), colour=colour, unicode=unicode)
    writer = _Writer(page, UNICODE if unicode else ASCII, verbose=verbose)
    writer.header(report)
    writer.breakdown(report)
    writer.outages(report)
    writer.findings(report)
    writer.checklist(report)
    writer.notes(report)
    writer.gate(report)
    writer.verdict(report)
    return page.text()


class _Writer:
    def __init__(self, page: Page, glyphs: Glyphs, *, verbose: bool) -> None:
        self._page = page
        self._glyphs = glyphs
        self._verbose = verbose
        self._shown = VALUE_SHOWN_VERBOSE if verbose else VALUE_SHOWN

    def header(self, report: Report) -> None:
        parts = [report.service or "unnamed service", report.environment]
        if report.commit:
            parts.append(f"commit {report.commit[:12]}")
        parts += [wording.minute_text(report.started_at), wording.duration_text(report.duration_s)]
        self._page.block(" · ".join(one_line(clip(part, 200)) for part in parts if part), indent=0, style="heading")
        if report.interrupted:
            self._page.block("Interrupted: this report is partial.", indent=0, style="warn")

    def breakdown(self, report: Report) -> None:
        self._heading("Components")
        column = 18 if self._page.width >= BARS[1][0] else 13
        column = max([cells("Coverage"), *(min(cells(one_line(c.title)), column) for c in report.components)])
        for component in report.components:
            self._component(component, column)
        if not report.components:
            self._page.line(("  none", "quiet"))
        score = wording.score_text(report.score)
        total = score if score == wording.NOT_MEASURED else f"{score} of 100"
        self._page.blank()
        self._page.line((f"  {pad('Score', column)}  ", ""), (total, "heading"))
        self._page.line((f"  {pad('Coverage', column)}  {wording.score_text(report.coverage)} %", ""))

    def _component(self, component: ComponentScore, column: int) -> None:
        word, score = wording.component_word(component), wording.score_text(component.score)
        style = {"ready": "pass", "mostly ready": "warn", "not ready": "fail"}.get(word, "quiet")
        bar = next(length for columns, length in BARS if self._page.width >= columns)
        filled = 0 if component.score is None or word == wording.NOT_MEASURED else int(component.score * bar / 100)
        filled = min(max(filled, 0), bar)
        counts = component.counts
        troubles = [
            f"{number} {name}"
            for number, name in ((counts.fail, "fail"), (counts.error, "error"), (counts.warn, "warn"))
            if number
        ]
        row: list[Segment] = [
            (f"  {pad(cut(one_line(component.title), column), column)}  ", ""),
            (self._glyphs.full * filled, style),
            (self._glyphs.empty * (bar - filled), "quiet"),
            ("  " if bar else "", ""),
            (f"{'-' if word == wording.NOT_MEASURED else score:>5}  ", "heading"),
            (pad(word, 12), style),
        ]
        if bar:
            self._page.block(", ".join(troubles) or wording.counts_text(counts), *row, indent=column + bar + 27)
        else:
            self._page.line(*row)

    def outages(self, report: Report) -> None:
        found = wording.outages(report)
        if not found:
            return
        self._heading("Out of reach")
        for outage in found:
            self._page.block(outage.sentence, *self._status(Status.ERROR), indent=10)
            ids = ", ".join(one_line(check.id) for check in outage.checks)
            self._field("checks", ids)
            self._remedy(outage.speaker)

    def findings(self, report: Report) -> None:
        for priority, checks in wording.by_priority(wording.findings(report)):
            self._heading(f"{priority.value.capitalize()} findings")
            for number, check in enumerate(checks):
                if number:
                    self._page.blank()
                self._finding(check)

    def _finding(self, check: CheckResult) -> None:
        self._page.block(
            one_line(clip(check.title or check.id, 500)), *self._status(check.status), indent=10, style="heading"
        )
        self._page.block(one_line(check.id), indent=10, style="quiet")
        self._page.block(clip(check.message, self._shown), indent=10)
        self._evidence(check)
        if check.why:
            why = wording.why_text(check)
            self._field("why", why if self._verbose else clip(one_line(why), self._shown))
        self._remedy(check)
        if check.waiver is not None:
            self._field("waiver", one_line(wording.waiver_text(check)))
        if self._verbose and check.docs:
            self._field("docs", one_line(check.docs))

    def _evidence(self, check: CheckResult) -> None:
        shown = check.evidence if self._verbose else wording.telling(check.evidence)[:EVIDENCE_SHOWN]
        for evidence in shown:
            self._observation(evidence)
        left = len(check.evidence) - len(shown)
        if left:
            self._field("", f"… and {left} more observation{'s' if left > 1 else ''} (--verbose shows all)")

    def _observation(self, evidence: Evidence) -> None:
        name = one_line(clip(evidence.name, 200))
        observed = clip(evidence.observed, self._shown)
        self._field("observed", f"{name}: {observed}" if name else observed)
        if evidence.expected:
            self._field("expected", clip(evidence.expected, self._shown))

    def _remedy(self, check: CheckResult) -> None:
        if check.remedy is not None and check.remedy.text:
            self._field("fix", clip(check.remedy.text, VALUE_SHOWN_VERBOSE))
        # Not wrapped: a command must survive copying, and a terminal breaks the line by itself.
        self._page.line((" " * 10, ""), (pad("run", _KEY), "quiet"), (one_line(wording.next_command(check)), "command"))

    def checklist(self, report: Report) -> None:
        self._heading("Checklist")
        if not report.checks:
            self._page.line(("  no check ran", "quiet"))
        for priority, checks in wording.by_priority(report.checks):
            passed = sum(check.status is Status.PASS for check in checks)
            asked = sum(check.status is not Status.SKIP for check in checks)
            self._page.line((f"  {priority.value.capitalize()}", "heading"), (f"  {passed} of {asked} passed", ""))
            self._items(checks)

    def _items(self, checks: Sequence[CheckResult]) -> None:
        reasons = Counter(check.message for check in checks if check.status is Status.SKIP)
        folded = {} if self._verbose else {reason: n for reason, n in reasons.items() if n >= SKIPS_FOLDED}
        for check in checks:
            if check.status is not Status.SKIP or check.message not in folded:
                self._item(check)
        for reason, number in folded.items():
            text = f"{number} checks do not apply: {one_line(clip(reason, VALUE_SHOWN))}"
            self._page.block(text, ("  ", ""), *self._status(Status.SKIP), indent=12)

    def _item(self, check: CheckResult) -> None:
        title = one_line(clip(check.title or check.id, 500))
        if check.status is Status.SKIP and check.message:
            title = f"{title}: {one_line(clip(check.message, VALUE_SHOWN))}"
        if check.waiver is not None:
            title = f"{title} (waived)"
        self._page.block(title, ("  ", ""), *self._status(check.status), indent=12)
        if self._verbose and check.status is Status.PASS:
            self._evidence(check)

    def notes(self, report: Report) -> None:
        notes = wording.other_notes(report)
        if notes:
            self._heading("Notes")
        for note in notes:
            self._page.block(clip(note, VALUE_SHOWN_VERBOSE), indent=2)

    def gate(self, report: Report) -> None:
        gate = report.gate
        self._heading(f"Gate {one_line(clip(gate.name, 100))}".rstrip())
        self._page.block(f"Asks for {wording.gate_text(gate)}.", indent=2)
        status = Status.PASS if gate.met else Status.FAIL
        mark = self._glyphs.marks[status]
        if gate.met:
            self._page.block("met", (f"  {mark}", status.value), indent=4, style=status.value)
        for reason in gate.reasons or (() if gate.met else ("not met",)):
            self._page.block(clip(reason, VALUE_SHOWN_VERBOSE), (f"  {mark}", status.value), indent=4)

    def verdict(self, report: Report) -> None:
        styles = {Verdict.READY: "pass", Verdict.NOT_READY: "fail", Verdict.UNKNOWN: "error"}
        word, _, rest = wording.verdict_text(report).partition(" for ")
        head, colon, tail = word.partition(":")
        text = f"{head.upper()}{colon}{tail}{' for ' + rest if rest else ''}"
        if report.verdict is not Verdict.UNKNOWN:
            numbers = f"score {wording.score_text(report.score)}, coverage {wording.score_text(report.coverage)} %"
            text = f"{text}: {numbers}"
        self._page.blank()
        self._page.block(text, indent=0, style=styles[report.verdict])

    def _heading(self, text: str) -> None:
        self._page.blank()
        self._page.block(text, indent=0, style="heading")

    def _status(self, status: Status) -> tuple[Segment, ...]:
        word = status.value.upper() if status in {Status.FAIL, Status.ERROR, Status.WARN} else status.value
        return ("  ", ""), (f"{self._glyphs.marks[status]} {word}", status.value)

    def _field(self, key: str, value: str) -> None:
        self._page.block(value, (" " * 10, ""), (key, "quiet"), indent=10 + _KEY)
