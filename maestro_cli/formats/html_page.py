"""The report as one self-contained HTML page: no request leaves it, and nothing in it runs that is not ours.

Its Content-Security-Policy allows exactly the one style sheet and the one script by their hashes, so that even a
value that slipped through the escaping could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import pkgutil
import re
from collections.abc import Sequence

from maestro_cli.formats import html_charts as charts
from maestro_cli.formats import html_checks as checks
from maestro_cli.formats import wording
from maestro_cli.formats.html_checks import line, text
from maestro_cli.model import ComponentScore, Report

_CHECK_ID = re.compile(r"[a-z]+\.[a-z0-9-]+")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
MANY = 100
"""From this many checks on, the browser lays out only those in sight."""

_CLASSES = {"ready": "ready", "mostly ready": "mostly", "not ready": "not", wording.NOT_MEASURED: "skip"}


def render(report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    """The page; it holds everything, so that `verbose` adds nothing."""
    del width, colour, verbose
    style, script = _asset("report.css"), _asset("report.js")
    names = checks.anchors(report.checks)
    points = charts.trend(report)
    parts = {
        "csp": _policy(style, script),
        "version": line(report.maestro_version),
        "title": line(f"{report.service or 'Readiness'}: {wording.verdict_text(report)}"),
        "date": wording.minute_text(report.started_at),
        "style": style,
        "script": script,
        "size": "many" if len(report.checks) > MANY else "few",
        "hero": _hero(report),
        "gate": _gate(report, names),
        "components": _components(report, points),
        "trend": _trend(report, points),
        "notices": _notices(report, names),
        "checks": checks.section(report, names),
    }
    # One pass: a value that looks like a placeholder stays a value.
    return _PLACE.sub(lambda match: parts[match[1]], _asset("report.html")).rstrip("\n") + "\n"


def _asset(name: str) -> str:
    return (pkgutil.get_data(__package__, name) or b"").decode()


def _policy(style: str, script: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script))
    style_hash, script_hash = hashes
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hero(report: Report) -> str:
    verdict = wording.verdict_text(report)
    facts = [
        f"commit <code>{line(report.commit[:12])}</code>" if report.commit else "",
        f'<time datetime="{wording.rfc3339(report.started_at)}">{wording.minute_text(report.started_at)}</time>',
        f"took {wording.duration_text(report.duration_s)}",
        f"maestro {line(report.maestro_version)}",
    ]
    counts = report.counts.as_dict()
    tally = "".join(
        f"<li>{checks.pill(status, f': {counts[status.value]}')}</li>"
        for status in wording.STATUSES
        if counts[status.value]
    )
    if report.counts.waived:
        tally += f'<li><span class="pill waived">Waived: {report.counts.waived}</span></li>'
    where = " · ".join(part for part in (line(report.service), line(report.environment)) if part)
    score = wording.score_text(report.score)
    spoken = (
        f"Score {score}{'' if report.score is None else ' of 100'}, coverage {wording.score_text(report.coverage)} %"
    )
    return f"""<section class="hero card {report.verdict.value}" aria-labelledby="verdict">
{charts.ring(report)}
<div>
<p class="where">{where}</p>
<h1 id="verdict">{line(verdict[:1].upper() + verdict[1:])}</h1>
<p class="facts">{spoken}</p>
<p class="facts">{" · ".join(fact for fact in facts if fact)}</p>
<ul class="tally" aria-label="Checks by status">{tally}</ul>
</div>
</section>"""


def _gate(report: Report, names: dict[int, str]) -> str:
    gate = report.gate
    links = {check.id: names[id(check)] for check in report.checks}

    def link(match: re.Match[str]) -> str:
        anchor = links.get(match[0])
        return match[0] if anchor is None else f'<a href="#{anchor}">{match[0]}</a>'

    word = '<span class="pill pass">✔ met</span>' if gate.met else '<span class="pill fail">✘ not met</span>'
    reasons = "".join(f"<li><span>{_CHECK_ID.sub(link, line(reason, 2000))}</span></li>" for reason in gate.reasons)
    listed = f'<ul class="reasons">{reasons}</ul>' if reasons else ""
    partial = "<p><strong>The run was interrupted: this report is partial.</strong></p>" if report.interrupted else ""
    return f"""<section class="gate card" aria-labelledby="gate-title">
<h2 id="gate-title">Gate {line(gate.name)} {word}</h2>
<p class="asks">It asks for {line(wording.gate_text(gate))}.</p>
{listed}{partial}
</section>"""


def _components(report: Report, points: Sequence[charts.Point]) -> str:
    cards = "\n".join(f"<li>{_component(component, points)}</li>" for component in report.components)
    if not cards:
        return ""
    return f"""<section aria-labelledby="components-title">
<div class="section-head"><h2 id="components-title">Components</h2><p>Choose one to see its checks.</p></div>
<ul class="components">
{cards}
</ul>
</section>"""


def _component(component: ComponentScore, points: Sequence[charts.Point]) -> str:
    word = wording.component_word(component)
    css = _CLASSES[word]
    score = wording.score_text(component.score)
    number = (
        f'<span class="score">{score}</span>'
        if word != wording.NOT_MEASURED
        else '<span class="score none">no score</span>'
    )
    return (
        f'<button type="button" class="card" data-component="{component.id.value}" aria-pressed="false" disabled>'
        f'<span class="name">{line(component.title)}</span><span class="pill {css}">{word}</span>{number}'
        f"{charts.spark(points, component.id)}{charts.meter(component.score, css)}"
        f'<span class="counts">{wording.counts_text(component.counts)}</span></button>'
    )


def _trend(report: Report, points: Sequence[charts.Point]) -> str:
    if len(points) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{_moment(point.at, 16)}</td><td>{wording.score_text(point.score)}</td></tr>"
        for point in reversed(points)
    )
    gate = (
        f"The dashed line is the gate: {wording.number_text(report.gate.min_score)}." if report.gate.min_score else ""
    )
    return f"""<section class="trend card" aria-labelledby="trend-title">
<div class="section-head"><h2 id="trend-title">Trend</h2><p>Score over {len(points)} runs. {gate}</p></div>
{charts.chart(points, report.gate.min_score)}
<p class="ends"><span>{_moment(points[0].at, 10)}: {wording.score_text(points[0].score)}</span><span>{_moment(points[-1].at, 10)}: {wording.score_text(points[-1].score)}</span></p>
<details><summary>The numbers</summary><table><thead><tr><th scope="col">Run</th><th scope="col">Score</th></tr></thead><tbody>{rows}</tbody></table></details>
</section>"""


def _moment(moment: str, length: int) -> str:
    """`2025-10-05T12:00:00Z` → `2025-10-05 12:00` or `2025-10-05`."""
    return line(moment[:length].replace("T", " "))


def _notices(report: Report, names: dict[int, str]) -> str:
    outages = [_outage(outage, names) for outage in wording.outages(report)]
    notes = [f'<div class="notice card"><p>{text(note)}</p></div>' for note in wording.other_notes(report)]
    return _notice_section("outages", "Out of reach", outages) + _notice_section("notes", "Notes", notes)


def _notice_section(name: str, title: str, notices: Sequence[str]) -> str:
    if not notices:
        return ""
    inside = "\n".join(notices)
    return (
        f'<section class="notices" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>\n'
        f"{inside}\n</section>\n"
    )


def _outage(outage: wording.Outage, names: dict[int, str]) -> str:
    links = "".join(
        f'<li><a href="#{names[id(check)]}">{line(check.title or check.id)}</a></li>' for check in outage.checks
    )
    remedy = checks.remedy(outage.speaker)
    return f'<div class="notice outage card"><h3>{line(outage.sentence, 2000)}</h3><ul>{links}</ul>{remedy}</div>'
