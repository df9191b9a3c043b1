"""Giving secrets new values, so that nothing that depends on them is forgotten.

The old value of a signing or encryption key stays readable for a grace period under `NAME_PREVIOUS`: tokens signed
with it are still accepted and data encrypted with it still opens, where the application reads both. A password has no
such period, because the server that checks it knows one only. URLs that hold a rotated password change with it. All of
it, and the record of ages, is written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from maestro_cli.errors import UsageError
from maestro_cli.secrets.generation import strong_value
from maestro_cli.secrets.names import PREVIOUS, is_password, is_secret_name, without_previous
from maestro_cli.secrets.record import Record
from maestro_cli.secrets.store import SecretStore, Session
from maestro_cli.secrets.urls import with_new_passwords

GRACE = timedelta(days=7)
"""How long the value before stays under `NAME_PREVIOUS`: as long as the seed's refresh tokens live."""


_UNNAMED_BITS = 256


@dataclass(frozen=True, slots=True)
class Rotation:
    """What `rotate` did, or would do. No values.

    Attributes:
        rotated: Secrets with a new value.
        previous: `NAME_PREVIOUS` → end of its grace period, UTC.
        urls: Variables that changed because a password stands in them.
        expired: `…_PREVIOUS` variables that were removed, their grace period being over.
        young: Secrets left alone because they are not old enough, with their age.
        passwords: Rotated secrets that a server holds too; it must be told.
        backup: Name the old file is kept under, in the same folder.
    """

    rotated: tuple[str, ...]
    previous: Mapping[str, datetime]
    urls: tuple[str, ...]
    expired: tuple[str, ...]
    young: Mapping[str, timedelta]
    passwords: tuple[str, ...]
    backup: str | None = None


def rotate(
    store: SecretStore,
    *,
    now: datetime,
    required: Mapping[str, int],
    names: Collection[str] = (),
    older_than: timedelta | None = None,
    grace: timedelta = GRACE,
    keeps_previous: Callable[[str], bool] | None = None,
    backup: bool = True,
    dry_run: bool = False,
) -> Rotation:
    """Give secrets new values.

    Args:
        store: Where they live.
        now: The time, UTC.
        required: Name → bits; a secret that is not in it gets 256 bits.
        names: The secrets to rotate; all that are required, where empty.
        older_than: Leave younger ones alone. One whose age nobody knows is rotated.
        grace: How long `NAME_PREVIOUS` stays; zero for not at all.
        keeps_previous: Which secrets keep a `NAME_PREVIOUS`; all but passwords by default.
        backup: Keep the old content beside the new.
        dry_run: Change nothing; say what would be done.

    Raises:
        UsageError: A name that the store does not hold, or that holds no secret.
        Refused, OutOfReach: From the store; nothing was changed.
    """
    with store.session() as session:
        chosen = _chosen(session, names, required)
        young = _young(session, chosen, older_than, now) if older_than is not None else {}
        due = [name for name in chosen if name not in young]
        changes: dict[str, str | None] = {name: _successor(session, name, required) for name in due}
        keeping = keeps_previous or (lambda name: not is_password(name))
        previous = {name + PREVIOUS: now + grace for name in due if grace and keeping(name) and session.values[name]}
        expired = tuple(name for name in _expired(session, now) if name not in previous)
        urls = with_new_passwords(
            session.values, session.values, {name: value for name, value in changes.items() if value}
        )
        urls = {name: value for name, value in urls.items() if name not in previous and name not in expired}
        record = _recorded(session, changes, previous, now).without(set(expired))
        changes |= urls
        changes |= {name: session.values[name.removesuffix(PREVIOUS)] for name in previous}
        changes |= dict.fromkeys(expired)
        kept = None
        if changes and not dry_run:
            kept = session.commit(
                changes,
                record,
                heading="Valid until their grace period ends",
                backup_at=now if backup and due else None,
            )
        passwords = tuple(name for name in due if is_password(name))
        return Rotation(tuple(due), previous, tuple(urls), expired, young, passwords, kept)


def _chosen(session: Session, names: Collection[str], required: Mapping[str, int]) -> list[str]:
    values = session.values
    for name in names:
        if name not in values:
            raise UsageError(f"there is no {name} to rotate", hint="Its secrets: maestro secrets audit")
        if without_previous(name):
            raise UsageError(f"{name} is the value before a rotation; rotate {without_previous(name)} instead")
        if _is_issued(values[name]):
            raise UsageError(
                f"{name} is a private key in PEM, which a random value cannot replace",
                hint="New keys: maestro certs renew",
            )
        if name not in required and not is_secret_name(name):
            raise UsageError(
                f"{name} does not look like a secret", hint="If it is one, add it to secrets.required in maestro.yaml."
            )
    if names:
        return list(dict.fromkeys(names))
    found = [name for name in required if name in values and not _is_issued(values[name])]
    if not found:
        raise UsageError(
            "no secret to rotate: secrets.required in maestro.yaml names none that the file has",
            hint="Name them: maestro secrets rotate JWT_SECRET_KEY",
        )
    return found


def _is_issued(value: str) -> bool:
    return "-----BEGIN " in value


def _young(session: Session, names: list[str], older_than: timedelta, now: datetime) -> dict[str, timedelta]:
    ages: dict[str, timedelta] = {}
    for name in names:
        known = session.record.find(name, session.values[name])
        if known is not None and known.rotated_at is not None and now - known.rotated_at < older_than:
            ages[name] = now - known.rotated_at
    return ages


def _successor(session: Session, name: str, required: Mapping[str, int]) -> str:
    old = session.values[name]
    return strong_value(name, required.get(name, _UNNAMED_BITS), like=old)


def _expired(session: Session, now: datetime) -> list[str]:
    found = []
    for name, value in session.values.items():
        if without_previous(name) is None:
            continue
        known = session.record.find(name, value)
        if known is not None and known.valid_until is not None and known.valid_until <= now:
            found.append(name)
    return found


def _recorded(
    session: Session, changes: Mapping[str, str | None], previous: Mapping[str, datetime], now: datetime
) -> Record:
    record = session.record
    for name, until in previous.items():
        origin = name.removesuffix(PREVIOUS)
        old = session.values[origin]
        record = record.ending(name, old, record.find(origin, old), until, now)
    for name, value in changes.items():
        if value is not None:
            record = record.written(name, value, now)
    return record
