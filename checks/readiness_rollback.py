"""Can the last deployment's migration be taken back?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe.application import ApplicationError
from maestro_cli.observe.migrations import alembic_ini
from maestro_cli.observe.rollback import Rehearsal, rehearse
from maestro_cli.observe.schema_print import difference
from maestro_cli.observe.scratch_database import ScratchError, scratch_database, scratch_url

_STEPS = {
    "before": "going up to the revision before the head",
    "head": "going up to the head",
    "down": "going down by one revision",
    "base": "going down to the base",
    "again": "going up to the head again",
}


@check(
    "readiness.rollback",
    component="deployment",
    priority="low",
    writes=True,
    apart=True,
    deadline_s=60,
    faults=(
        "migration-irreversible",
        "migration-leaves-type",
        "migration-downgrade-empty",
        "migration-comes-back-different",
    ),
)
def rollback(ctx: Context) -> Iterator[Finding]:
    """The migrations can be taken back.

    Why: when a deployment goes wrong at night, the way back is tried for the first time, unless somebody rehearses it.
    Fails when: in an empty database the application's migrations (database.alembic_ini), gone up to the head, cannot go down
    by one revision (to the base with `readiness.rollback: {to: base}`) and up again, the way down undoes nothing, or the
    schema at the head is another one then; warns where something stays behind after going down. The database is made with
    database.scratch_url and dropped again; a connection to any other is refused before anything is sent.
    Fix: write the downgrade() of the revision that is named; types that create_table() made need an own DROP TYPE.
    Source: Alembic, Downgrading; Alembic, Operation Reference (https://alembic.sqlalchemy.org)
    """
    settings = ctx.require(ctx.settings.readiness.rollback, "readiness.rollback")
    scratch_url(ctx)
    try:
        alembic_ini(ctx)
        with scratch_database(ctx, "rollback") as scratch:
            seen = rehearse(ctx, scratch, to=settings.to)
    except FileNotFoundError as error:
        yield errored(f"There is no {error}.")
    except ScratchError as error:
        yield errored(f"No rollback could be rehearsed: {error.message}.", fix=error.hint)
    except ApplicationError as error:
        yield errored(f"No rollback could be rehearsed: {error.message}.")
    else:
        yield from _judge(seen)


def _judge(seen: Rehearsal) -> Iterator[Finding]:
    if seen.unread is not None:
        yield errored(f"No rollback could be rehearsed: Alembic cannot read the scripts ({seen.unread}).")
        return
    if len(seen.heads) != 1 and seen.lost is None:
        yield errored(f"The scripts have {len(seen.heads)} heads; readiness.migrations says more.")
        return
    if seen.wrong or seen.foreign:
        yield errored(
            "The migrations do not go where they are told, so nothing was rehearsed.",
            Evidence(
                "database", "another one; nothing was sent to it" if seen.wrong else "not told", "the scratch one"
            ),
            fix="Let migrations/env.py take its URL from sqlalchemy.url, or from a variable of the environment.",
        )
        return
    if seen.failed is not None:
        step, kind = seen.failed
        what = _STEPS.get(step, "reading the scripts")
        # What does not even go up from nothing cannot be rehearsed; that says nothing of the way back.
        finding = failed if step in ("down", "base", "again") else errored
        yield finding(f"The migrations fail when {what} ({seen.revision}): {kind}.", Evidence(what, kind, "no error"))
        return
    if "again" not in seen.states:
        yield errored(f"The rehearsal did not come to its end: {seen.lost or 'no outcome'}.")
        return
    yield from _compare(seen)


def _compare(seen: Rehearsal) -> Iterator[Finding]:
    states = seen.states
    head = states["head"]
    for name, beginning in (("down", "before"), ("base", "empty")):
        if name not in states:
            continue
        earlier = states[beginning]
        left = difference(earlier, states[name])
        told = tuple(Evidence(f"after {_STEPS[name]}", line[:160], "as before") for line in left[:5])
        if states[name] == head and head != earlier:
            yield failed(f"{_STEPS[name].capitalize()} from {seen.revision} undoes nothing.", *told)
        elif left:
            yield warned(
                f"After {_STEPS[name]} from {seen.revision} something is not as before: {left[0][:100]}.", *told
            )
    again = difference(head, states["again"])
    if again:
        told = tuple(Evidence("after going up again", line[:160], "as after the first time") for line in again[:5])
        yield failed(f"After going down and up again the schema differs: {again[0][:100]}.", *told)
    else:
        steps = " → ".join(name for name in states if name != "empty")
        yield passed(
            "The migrations go up, down and up again.", Evidence("steps", steps, "the same schema at the head")
        )
