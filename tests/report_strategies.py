"""Arbitrary reports for property tests: any text, any number, any combination; not scored, because no format may care."""

from __future__ import annotations

import math
from datetime import UTC, timedelta, timezone

from hypothesis import strategies as st

from maestro_cli.model import (
    CheckResult,
    Component,
    ComponentScore,
    Counts,
    Evidence,
    GateOutcome,
    Priority,
    Remedy,
    Report,
    Status,
    Suite,
    Verdict,
    WaiverNote,
)

ENCODABLE = st.text(max_size=40)
"""Any character that UTF-8 can encode."""

ANYTHING = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text(
        st.sampled_from("\x00\x1b\x07\x9b\r\n\t\x85\u2028\u202e\ud800\udcff\ufffe&<>\"'`|\\[]{}*_#@!~$^:-+=. a1漢"),
        max_size=40,
    ),
)
"""Also surrogates, and often what some format gives a meaning to."""

_PERCENT = st.floats(0, 100)
_SECONDS = st.floats(0, 1e6)
_COUNTS = st.builds(Counts, *[st.integers(0, 2000)] * 6)
_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9))])
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ENCODABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ENCODABLE, inner, max_size=3),
    max_leaves=8,
)


def checks(text: st.SearchStrategy[str] = ANYTHING) -> st.SearchStrategy[CheckResult]:
    """Any result of a check."""
    return st.builds(
        CheckResult,
        id=text,
        title=text,
        suite=st.sampled_from(Suite),
        component=st.sampled_from(Component),
        priority=st.sampled_from(Priority),
        status=st.sampled_from(Status),
        message=text,
        evidence=st.lists(st.builds(Evidence, text, text, text), max_size=3).map(tuple),
        remedy=st.none() | st.builds(Remedy, text, st.none() | text, st.booleans()),
        waiver=st.none() | st.builds(WaiverNote, text, text, text),
        plugin=text,
        duration_s=_SECONDS,
        docs=text,
        why=text,
        faults=st.lists(text, max_size=2).map(tuple),
        needs=st.none() | text,
    )


def reports(text: st.SearchStrategy[str] = ANYTHING) -> st.SearchStrategy[Report]:
    """Any report of finite numbers."""
    gate = st.builds(
        GateOutcome,
        text,
        _PERCENT,
        st.lists(st.sampled_from(Priority), max_size=2).map(tuple),
        _PERCENT,
        st.booleans(),
        st.lists(text, max_size=2).map(tuple),
    )
    component = st.builds(
        ComponentScore, st.sampled_from(Component), text, st.none() | _PERCENT, st.floats(0, 10), _PERCENT, _COUNTS
    )
    return st.builds(
        Report,
        service=text,
        environment=text,
        commit=st.none() | text,
        started_at=st.datetimes(timezones=_ZONES),
        duration_s=_SECONDS,
        score=st.none() | _PERCENT,
        coverage=_PERCENT,
        verdict=st.sampled_from(Verdict),
        gate=gate,
        components=st.lists(component, max_size=3).map(tuple),
        checks=st.lists(checks(text), max_size=4).map(tuple),
        counts=_COUNTS,
        maestro_version=text,
        interrupted=st.booleans(),
        notes=st.lists(text, max_size=2).map(tuple),
        extra=st.dictionaries(ENCODABLE.map("x_{}".format), _JSON, max_size=2),
    )


ODD_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e300])
"""What no run should measure and no renderer may trip over."""
