"""Writing a `.env` with strong secrets, and everything around it: the example without values, `.gitignore`.

What is there already is kept: comments, order, quoting and values. Only what is missing is added, unless `force` asks
for new values; then the old file stays beside it, 0600, under a name with the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from maestro_cli.dotenv import Dotenv
from maestro_cli.errors import UsageError
from maestro_cli.filesystem import refuse_unsafe
from maestro_cli.secrets.ignore import ignore_lines
from maestro_cli.secrets.names import is_password, is_secret_name
from maestro_cli.secrets.record import Record
from maestro_cli.secrets.store import FileSession, FileStore, read_document, refuse_unreadable
from maestro_cli.secrets.strength import Problem, judge
from maestro_cli.secrets.template import BUILT_IN, bits_asked, built, example, is_template, read_template, references
from maestro_cli.secrets.urls import with_new_passwords
from maestro_cli.secrets.values import new_value

PUBLIC_MODE = 0o644
KEY_BITS = 256
PASSWORD_BITS = 192
Derive = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Generated:
    """What `generate` did, or would do. No values.

    Attributes:
        path: The file.
        created: Whether there was none before.
        made: Secrets that got a new value.
        built: Variables built from others, such as URLs.
        kept: Secrets that kept the value they had.
        weak: Kept secrets that are weak, with the rules they break.
        backup: Name the old file is kept under, in the same folder.
        example: The example file, where it was written.
        ignored: Lines added to `.gitignore`.
    """

    path: Path
    created: bool
    made: tuple[str, ...]
    built: tuple[str, ...]
    kept: tuple[str, ...]
    weak: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    backup: str | None = None
    example: Path | None = None
    ignored: tuple[str, ...] = ()


def generate(
    path: Path,
    *,
    now: datetime,
    required: Mapping[str, int] | None = None,
    template: str = BUILT_IN,
    given: Mapping[str, str] | None = None,
    derived: Derive | None = None,
    force: bool = False,
    dry_run: bool = False,
    ignore: tuple[str, ...] = (),
) -> Generated:
    """Fill a `.env` with strong secrets.

    Args:
        path: The file; its folder must exist.
        now: The time, UTC.
        required: Name → bits of the secrets to have, beside those that a template of the project's own asks for.
        template: Text of a new file; see `maestro_cli.secrets.template`.
        given: Values of plain settings (POSTGRES_HOST, …) that replace the template's.
        derived: Makes further variables from all the others, secrets included; the template's `${NAME}` do for most.
        force: Make new values for secrets that have one.
        dry_run: Change nothing; say what would be done.
        ignore: Further lines for `.gitignore`: key files.

    Returns:
        What was done.

    Raises:
        Refused: The path is a symbolic link, or the file cannot be read without doubt. Nothing was changed.
        OutOfReach: The folder is read-only or full. Nothing was changed.
        UsageError: `given` names a secret.
    """
    chosen = dict(given or {})
    if secret := next((name for name in chosen if is_secret_name(name)), None):
        raise UsageError(
            f"{secret} is a secret: its value does not belong on a command line",
            hint="Leave it out; maestro makes one.",
        )
    model = read_template(template)
    bits = _bits(template, model, required)
    fresh = _new_text(model, bits, chosen)
    if dry_run:
        document = read_document(path, missing=fresh)
        refuse_unsafe(path)
        refuse_unreadable(path, document)
        return _plan(path, document, bits, model, chosen, derived, force=force).result
    with FileStore(path, create=fresh).session() as session:
        plan = _plan(path, session.document, bits, model, chosen, derived, force=force)
        return _written(session, plan, bits, model, now=now, force=force, ignore=ignore)


@dataclass(frozen=True, slots=True)
class _Plan:
    changes: dict[str, str | None]
    result: Generated


def _written(
    session: FileSession,
    plan: _Plan,
    bits: Mapping[str, int],
    model: Dotenv,
    *,
    now: datetime,
    force: bool,
    ignore: tuple[str, ...],
) -> Generated:
    result, name = plan.result, session.path.name
    # Before the secrets are on the disk: a `git add .` in between must not catch them.
    ignored = ignore_lines(session.folder, (name, f"{name}.*", f"!{name}.example", *ignore))
    loses = force and not result.created and any(session.values.get(secret) for secret in result.made)
    backup = session.commit(
        plan.changes,
        _record(session.record, session, plan, bits, now),
        heading="Added by maestro secrets generate",
        backup_at=now if loses else None,
    )
    wrote = _write_example(session, session.path.with_name(f"{name}.example"), model, bits)
    return replace(result, backup=backup, example=wrote, ignored=ignored)


def _bits(template: str, model: Dotenv, required: Mapping[str, int] | None) -> dict[str, int]:
    """Name → bits of the secrets to have."""
    asked = {name: bits for name, value in model.values.items() if (bits := bits_asked(value)) is not None}
    if required:
        # maestro's own template asks for the seed's six; one of the project's own knows what it asks for
        return dict(required) if template == BUILT_IN else {**asked, **required}
    for name, value in model.values.items():
        if not value and is_secret_name(name):  # an .env.example
            asked[name] = PASSWORD_BITS if is_password(name) else KEY_BITS
    return asked


def _wanted(model: Dotenv, bits: Mapping[str, int]) -> Dotenv:
    """The template without secrets that are not asked for, and without what is built from them."""
    unwanted = {name for name, value in model.values.items() if bits_asked(value) is not None and name not in bits}
    unwanted |= {name for name, value in model.values.items() if unwanted & set(references(value))}
    return model.remove(unwanted)


def _new_text(model: Dotenv, bits: Mapping[str, int], chosen: Mapping[str, str]) -> str:
    """The text of a file that does not exist yet."""
    document = _wanted(model, bits)
    known = {name: value for name, value in chosen.items() if name in document.values}
    return document.replace(known).append({n: v for n, v in chosen.items() if n not in known}).text


def _plan(
    path: Path,
    document: Dotenv,
    bits: Mapping[str, int],
    model: Dotenv,
    chosen: Mapping[str, str],
    derived: Derive | None,
    *,
    force: bool,
) -> _Plan:
    values = dict(document.values)
    created = not path.exists()
    # What an example holds ("your-secret-key-here") is nobody's secret yet, so a new file does not inherit it.
    made = [
        name
        for name, asked in bits.items()
        if force or is_template(values.get(name, "")) or (created and judge(name, values[name], asked))
    ]
    changes: dict[str, str | None] = {name: strong_value(name, bits[name], like=values.get(name, "")) for name in made}
    if not created:
        changes |= {name: value for name, value in chosen.items() if values.get(name) != value}
    urls = _built(values, _wanted(model, bits), changes)
    if derived is not None and (changes or created):
        after = {**values, **{name: value for name, value in changes.items() if value is not None}, **urls}
        urls |= {name: value for name, value in derived(after).items() if values.get(name) != value}
    kept = tuple(name for name in bits if name not in made)
    problems = {name: tuple(judge(name, values[name], bits[name])) for name in kept}
    weak = {name: found for name, found in problems.items() if found}
    return _Plan({**changes, **urls}, Generated(path, created, tuple(made), tuple(urls), kept, weak))


def _built(values: Mapping[str, str], model: Dotenv, changes: Mapping[str, str | None]) -> dict[str, str]:
    """Variables that follow from the changes: still to be filled in, built by the template, or holding a password."""
    new = {name: value for name, value in changes.items() if value is not None}
    after = {**model.values, **values, **new}
    urls: dict[str, str] = {}
    for name, value in values.items():
        pattern = model.values.get(name, "")
        if references(value):  # a file that was copied from its example
            filled = built(value, after)
        elif references(pattern) and (not value or built(pattern, {**model.values, **values}) == value):
            filled = built(pattern, after)
        else:  # changed by hand: only the password in it is ours
            filled = with_new_passwords({name: value}, values, new).get(name)
        if filled is not None and filled != value:
            urls[name] = filled
    for name, pattern in model.values.items():
        if (
            name not in values
            and set(references(pattern)) & new.keys()
            and (filled := built(pattern, after)) is not None
        ):
            urls[name] = filled
    return {name: value for name, value in urls.items() if name not in new}


def strong_value(name: str, bits: int, *, like: str = "") -> str:
    """A new value that the audit of this very package passes.

    Args:
        name: Its variable.
        bits: Strength, in bits.
        like: The value it replaces, for its form.
    """
    # A random value is taken for a weak one about never; but what maestro makes, its own audit must pass.
    while judge(name, value := new_value(name, bits, like=like), bits):
        pass
    return value


def _record(record: Record, session: FileSession, plan: _Plan, bits: Mapping[str, int], now: datetime) -> Record:
    for name in bits:
        value = plan.changes.get(name)
        if value is not None:
            record = record.written(name, value, now)
        elif session.values.get(name):
            record = record.seen(name, session.values[name], now)
    return record


def _write_example(session: FileSession, path: Path, model: Dotenv, bits: Mapping[str, int]) -> Path | None:
    """Write the example unless there is one: it is a public file that people edit."""
    if path.exists():
        return None
    document = _wanted(model, bits)
    missing = dict.fromkeys((name for name in bits if name not in document.values), "")
    text = example(document.append(missing), set(bits))
    session.folder.replace({path.name: text.encode()}, mode=PUBLIC_MODE)
    return path
