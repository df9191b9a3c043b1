"""From observations and what they should be to a finding."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.api import Evidence, Finding, Status
from maestro_cli.config.matchers import Matcher, parse_matcher

SHOWN = 300
"""Characters of an observation that evidence shows."""


@dataclass
class Judgement:
    """Collects what was observed; `finding` says what it comes to."""

    evidence: list[Evidence] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def expect(self, name: str, observed: Any, expected: Any) -> None:
        """Compare with a configured value; nothing where none is configured."""
        if expected is not None:
            self.judge(name, observed, parse_matcher(expected))

    def judge(self, name: str, observed: Any, matcher: Matcher) -> None:
        """Compare with a matcher."""
        self.evidence.append(Evidence(name, shown(observed), matcher.words))
        if not matcher(observed):
            self.wrong.append(f"{name} is {shown(observed, 80)}, expected {matcher.words}")

    def holds(self, name: str, observed: Any, *, expected: Any) -> None:
        """Compare two plain values."""
        self.evidence.append(Evidence(name, shown(observed), shown(expected)))
        if observed != expected:
            self.wrong.append(f"{name} is {shown(observed, 80)}, expected {shown(expected, 80)}")

    def saw(self, name: str, observed: Any) -> None:
        """Note an observation of which nothing is expected."""
        self.evidence.append(Evidence(name, shown(observed)))

    def took(self, elapsed_s: float, subject: Any) -> None:
        """Compare a duration with `within_ms` and `warn_ms`."""
        elapsed = elapsed_s * 1000
        limit = subject.within_ms if subject.within_ms is not None else subject.warn_ms
        self.evidence.append(Evidence("time", f"{elapsed:.1f} ms", "" if limit is None else f"at most {limit:g} ms"))
        if subject.within_ms is not None and elapsed > subject.within_ms:
            self.wrong.append(f"it took {elapsed:.0f} ms, expected at most {subject.within_ms:g}")
        elif subject.warn_ms is not None and elapsed > subject.warn_ms:
            self.doubtful.append(f"it took {elapsed:.0f} ms, more than {subject.warn_ms:g}")

    def finding(self, well: str) -> Finding:
        """The finding; `well` is what it says when everything holds."""
        if self.wrong:
            return Finding(Status.FAIL, "; ".join(self.wrong), tuple(self.evidence))
        if self.doubtful:
            return Finding(Status.WARN, "; ".join(self.doubtful), tuple(self.evidence))
        return Finding(Status.PASS, well, tuple(self.evidence))


def shown(value: Any, length: int = SHOWN) -> str:
    """A value in one short line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
