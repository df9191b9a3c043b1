"""`nagios:` any monitoring plugin.

Source: Monitoring Plugins Development Guidelines, "Plugin Return Codes" and "Performance data".
"""

from __future__ import annotations

import re

from maestro_cli.api import Context, Evidence, Finding, Status
from maestro_cli.config.declared import NagiosSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement, shown
from maestro_cli.declared.programs import run, words_of

_STATUS = {0: Status.PASS, 1: Status.WARN, 2: Status.FAIL}
_NAMES = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
_PERFDATA = re.compile(
    r"(?:'((?:[^']|'')+)'|([^'=\s]+))=(-?[0-9.]+)([a-zA-Z%]*)(?:;([^;\s]*))?(?:;([^;\s]*))?(?:;([^;\s]*))?(?:;([^;\s]*))?"
)
MAXIMUM_VALUES = 60


def observe(subject: NagiosSubject, ctx: Context, stop: Stop) -> Finding:
    """Run it; its exit status is the finding, its first line the message, its performance data the evidence."""
    ended = run(subject, ctx, stop)
    name = words_of(subject)[0]
    text, values = parse_output(ended.stdout)
    judgement = Judgement()
    judgement.saw("exit status", f"{ended.status} ({_NAMES.get(ended.status, 'not in the protocol')})")
    for label, (value, unit, limits) in values.items():
        judgement.evidence.append(Evidence(label, f"{value:g}{unit}", limits))
    for label, expected in (subject.perfdata or {}).items():
        judgement.expect(label, values[label][0] if label in values else None, expected)
    words = text or shown(ended.stderr) or f"{name} said nothing"
    status = _STATUS.get(ended.status, Status.ERROR)
    if ended.status == 127 or (ended.status not in _NAMES and not text):
        words = f"{name} ended with status {ended.status}, which is not in the protocol: {words}"
    if status in (Status.PASS, Status.WARN) and judgement.wrong:
        return judgement.finding(words)
    return Finding(status, words, tuple(judgement.evidence))


def parse_output(output: str) -> tuple[str, dict[str, tuple[float, str, str]]]:
    """The first line's text, and label → (value, unit, limits in words) of the performance data on every line."""
    lines = output.splitlines()
    text = lines[0].partition("|")[0].strip() if lines else ""
    pieces, in_data = [lines[0].partition("|")[2]] if lines else [], False
    for line in lines[1:]:
        # The long output ends at the next bar; everything after it is performance data.
        before, bar, after = line.partition("|")
        pieces.append(before if in_data else after)
        in_data = in_data or bool(bar)
    values = {}
    for match in _PERFDATA.finditer(" ".join(pieces)):
        quoted, plain, number, unit, warn, critical, _, _ = match.groups()
        try:
            value = float(number)
        except ValueError:
            continue
        limits = ", ".join(f"{name} {limit}" for name, limit in (("warning", warn), ("critical", critical)) if limit)
        values[(quoted or plain).replace("''", "'")] = (value, unit, limits)
        if len(values) >= MAXIMUM_VALUES:
            break
    return text, values
