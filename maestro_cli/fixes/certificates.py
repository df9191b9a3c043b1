"""Certificate files: made where there are none, renewed where they end soon, keys for their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.api import Fix, FixContext

if TYPE_CHECKING:
    from maestro_cli.config.settings import Certs

_MARK = b"PRIVATE KEY-----"


def _configured(ctx: FixContext) -> tuple[Certs, Path] | None:
    certs = ctx.loaded.settings.certs
    return None if certs is None else (certs, ctx.path(certs.directory))


def _missing(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.glob("*.pem"))


def _open_keys(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(folder.glob("*.pem")):
        if path.is_symlink() or not path.is_file():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077 and _MARK in path.read_bytes()[:65_536]:
            yield path, mode


def _due(ctx: FixContext, certs: Certs, folder: Path) -> list[str]:
    from maestro_cli.certs.renewal import Terms, preview

    rows = preview(folder, Terms(days_left=certs.min_days_left), now=ctx.now)
    return [f"{name} (it ends {end:%Y-%m-%d})" for name, end, due in rows if due]


def _plan(ctx: FixContext) -> Sequence[str]:
    found = _configured(ctx)
    if found is None:
        return ()
    certs, folder = found
    if _missing(folder):
        return [f"make a CA and a certificate for {', '.join(certs.hosts)} in {certs.directory}/"]
    lines = [f"chmod 600 {certs.directory}/{path.name} (it is {mode:04o})" for path, mode in _open_keys(folder)]
    return lines + [f"renew {certs.directory}/{row}" for row in _due(ctx, certs, folder)]


def _apply(ctx: FixContext) -> str:
    found = _configured(ctx)
    if found is None:
        return ""
    certs, folder = found
    if _missing(folder):
        return _make(ctx, certs, folder)
    undo = []
    for path, mode in list(_open_keys(folder)):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode & 0o600)
        finally:
            os.close(descriptor)
        undo.append(f"chmod {mode:o} {path}")
    if _due(ctx, certs, folder):
        undo.append(_renew(ctx, certs, folder))
    return "; ".join(undo)


def _make(ctx: FixContext, certs: Certs, folder: Path) -> str:
    from maestro_cli.certs.generate import generate
    from maestro_cli.certs.hosts import parse_hosts
    from maestro_cli.certs.keys import key_type
    from maestro_cli.certs.plan import Order

    order = Order(hosts=parse_hosts(certs.hosts), key_type=key_type(certs.key_type), days=certs.days)
    made = generate(folder, order, now=ctx.now)
    return f"cd {folder} && rm {' '.join(made.written)}"


def _renew(ctx: FixContext, certs: Certs, folder: Path) -> str:
    from maestro_cli.certs.renewal import PREVIOUS, Terms, renew

    done = renew(folder, Terms(days_left=certs.min_days_left, days=certs.days), now=ctx.now)
    kept = [name for name in done.written if (folder / f"{name}{PREVIOUS}").exists()]
    return f"in {folder}, move back {', '.join(f'{name}{PREVIOUS}' for name in kept)}; restart the service"


CERTIFICATES = Fix("makes missing certificates, renews those that end soon, makes keys private", _plan, _apply)
