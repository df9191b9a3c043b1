"""The arithmetic of CONTRACT section 4, by property: no change for the worse may raise the score."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.model import CheckResult, Component, Priority, Status, Suite, Verdict, WaiverNote
from maestro_cli.scoring import GateRule, Score, round_down, score

PRODUCTION = GateRule("production", 90, (Priority.CRITICAL, Priority.HIGH), 90)
EQUAL = dict.fromkeys(Component, 1.0)


def result(
    status: Status, component: Component = Component.SECURITY, priority: Priority = Priority.HIGH, name: str = "x"
) -> CheckResult:
    return CheckResult(f"security.{name}", name, Suite.SECURITY, component, priority, status, "")


results = st.lists(
    st.builds(result, st.sampled_from(Status), st.sampled_from(Component), st.sampled_from(Priority)), max_size=30
)
weights = st.fixed_dictionaries({c: st.sampled_from([0.0, 0.5, 1.0, 3.0]) for c in Component})


def value(outcome: Score) -> float:
    return -1.0 if outcome.score is None else outcome.score


@given(results, weights, st.sampled_from(Priority), st.data())
def test_a_failing_or_errored_check_added_to_a_scored_component_never_raises_the_score(
    rows: list[CheckResult], by: dict[Component, float], priority: Priority, data: st.DataObject
) -> None:
    status = data.draw(st.sampled_from([Status.FAIL, Status.ERROR]))
    added = result(status, data.draw(st.sampled_from(Component)), priority)
    before, after = score(rows, by, PRODUCTION), score([*rows, added], by, PRODUCTION)
    if before.score is not None:
        assert value(after) <= before.score


@given(results, weights, st.data())
def test_turning_any_measured_check_into_an_error_or_a_failure_never_raises_score_or_coverage(
    rows: list[CheckResult], by: dict[Component, float], data: st.DataObject
) -> None:
    applied = [index for index, row in enumerate(rows) if row.status is not Status.SKIP]
    if not applied:
        return
    index = data.draw(st.sampled_from(applied))
    status = data.draw(st.sampled_from([Status.FAIL, Status.ERROR]))
    worse = [*rows[:index], replace(rows[index], status=status), *rows[index + 1 :]]
    before, after = score(rows, by, PRODUCTION), score(worse, by, PRODUCTION)
    assert value(after) <= value(before)
    if status is Status.ERROR:
        assert after.coverage <= before.coverage
    assert before.verdict is Verdict.READY or after.verdict is not Verdict.READY


@given(results, weights, st.randoms())
def test_order_does_not_matter(rows: list[CheckResult], by: dict[Component, float], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis hands out a random.Random
    before, after = score(rows, by, PRODUCTION), score(shuffled, by, PRODUCTION)
    assert (before.score, before.coverage, before.components) == (after.score, after.coverage, after.components)
    assert before.verdict is after.verdict


@given(st.fractions(min_value=0, max_value=100))
def test_no_number_is_rounded_up(exact: Fraction) -> None:
    written = round_down(exact)
    assert Fraction(str(written)) <= exact
    assert exact - Fraction(str(written)) < Fraction(1, 10**8)


def test_a_score_of_exactly_what_the_gate_asks_meets_it() -> None:
    # 914 of 1,000 points, asked for as 91.4: no float is 91.4, and neither side may be a hair off.
    rows = [result(Status.PASS if i < 914 else Status.FAIL, name=str(i)) for i in range(1_000)]
    outcome = score(rows, EQUAL, GateRule("staging", 91.4))
    assert (outcome.score, outcome.gate.met) == (91.4, True)
    assert not score(rows, EQUAL, GateRule("staging", 91.400001)).gate.met


def test_a_hair_below_the_gate_does_not_pass() -> None:
    # 8,999 of 10,000 points of equal weight: 89.99, which would print as 90.0 if it were rounded.
    rows = [result(Status.PASS, name=str(i)) for i in range(8_999)] + [
        result(Status.WARN, priority=Priority.HIGH, name="w"),
        *[result(Status.FAIL, name=f"f{i}") for i in range(1_000)],
    ]
    outcome = score(rows, EQUAL, GateRule("production", 90))
    assert outcome.score == pytest.approx(89.995)
    assert not outcome.gate.met
    assert outcome.gate.reasons == ("score 89.9 is below 90",)


def test_nothing_measured_is_unknown_and_has_no_score() -> None:
    outcome = score([result(Status.SKIP)], EQUAL, GateRule("development"))
    assert (outcome.score, outcome.verdict, outcome.gate.met) == (None, Verdict.UNKNOWN, False)
    assert score([], EQUAL, GateRule("development")).verdict is Verdict.UNKNOWN
    assert all(component.score is None for component in outcome.components)


def test_only_errors_is_unknown_although_the_gate_asks_for_nothing() -> None:
    outcome = score([result(Status.ERROR)], EQUAL, GateRule("development"))
    assert (outcome.verdict, outcome.coverage) == (Verdict.UNKNOWN, 0)


def test_a_component_out_of_sight_counts_as_nought_rather_than_vanishing() -> None:
    rows = [result(Status.PASS), result(Status.ERROR, Component.MULTI_TENANCY)]
    assert score(rows, EQUAL, GateRule("development")).score == 50


def test_a_critical_check_that_could_not_be_measured_keeps_the_gate_shut() -> None:
    rows = [result(Status.PASS, name=str(i), priority=Priority.CRITICAL) for i in range(99)]
    outcome = score([*rows, result(Status.ERROR, priority=Priority.CRITICAL, name="jwt")], EQUAL, PRODUCTION)
    assert outcome.score is not None
    assert outcome.score >= 90
    assert outcome.gate.reasons == ("1 critical check could not be measured: security.jwt",)
    assert outcome.verdict is Verdict.NOT_READY


def test_a_waived_failure_keeps_its_credit_of_nought_but_leaves_the_gate() -> None:
    waiver = WaiverNote("shared database", "ops@example.test", "2027-03-31")
    rows = [result(Status.PASS, name=str(i), priority=Priority.CRITICAL) for i in range(99)]
    failed = result(Status.FAIL, priority=Priority.CRITICAL, name="db")
    shut, waived = (
        score([*rows, failed], EQUAL, PRODUCTION),
        score([*rows, replace(failed, waiver=waiver)], EQUAL, PRODUCTION),
    )
    assert shut.score == waived.score == 99
    assert (shut.verdict, waived.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert (waived.counts.fail, waived.counts.waived) == (1, 1)


def test_weights_of_priorities_and_half_credit_for_a_warning() -> None:
    rows = [
        result(Status.PASS, priority=Priority.CRITICAL, name="a"),
        result(Status.WARN, priority=Priority.HIGH, name="b"),
        result(Status.FAIL, priority=Priority.MEDIUM, name="c"),
        result(Status.ERROR, priority=Priority.LOW, name="d"),
        result(Status.SKIP, priority=Priority.CRITICAL, name="e"),
    ]
    outcome = score(rows, EQUAL, GateRule("staging", 80))
    assert outcome.score == pytest.approx(100 * 10 / 15)
    assert outcome.coverage == pytest.approx(100 * 14 / 23)


def test_the_seed_breakdown_is_the_plain_mean() -> None:
    # Security 85, multi-tenancy 98, testing 80, configuration 98, infrastructure 95, deployment 92: 91.3 as the seed said.
    shares = dict(zip(Component, (85, 98, 80, 98, 95, 92), strict=True))
    rows = [
        result(Status.PASS if i < share else Status.FAIL, component, name=f"{component}{i}")
        for component, share in shares.items()
        for i in range(100)
    ]
    assert score(rows, EQUAL, GateRule("staging", 80)).score == pytest.approx(91.3333333)
