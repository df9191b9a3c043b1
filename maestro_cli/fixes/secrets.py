"""Missing secrets: strong values for those that have none. A value that is there is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from maestro_cli.api import Fix, FixContext

if TYPE_CHECKING:
    from maestro_cli.secrets import Generated


def _generate(ctx: FixContext, *, dry_run: bool) -> Generated | None:
    from maestro_cli.secrets import generate
    from maestro_cli.secrets.store import read_document

    settings = ctx.loaded.settings
    if settings.env_file is None or settings.secrets is None or not settings.secrets.required:
        return None
    # What the environment sets is not missing from the file.
    required = {name: bits for name, bits in settings.secrets.required.items() if name not in ctx.environ}
    if not required:
        return None
    path = ctx.path(settings.env_file)
    example = path.with_name(f"{path.name}.example")
    template = read_document(example).text if example.exists() else "\n"
    return generate(path, now=ctx.now, required=required, template=template, dry_run=dry_run)


def _plan(ctx: FixContext) -> Sequence[str]:
    found = _generate(ctx, dry_run=True)
    if found is None or not (found.made or found.built):
        return ()
    what = f"make {found.path.name} at mode 0600, with" if found.created else f"add to {found.path.name}:"
    return [f"{what} {', '.join((*found.made, *found.built))}"]


def _apply(ctx: FixContext) -> str:
    path = ctx.path(ctx.loaded.settings.env_file or ".env")
    beside = [path.with_name(f"{path.name}{ending}") for ending in (".example", ".meta.json")]
    there = [other for other in beside if other.exists()]
    done = _generate(ctx, dry_run=False)
    if done is None:
        return ""
    new = [str(other) for other in beside if other.exists() and other not in there]
    if done.created:
        return f"rm {' '.join([str(done.path), *new])}"
    others = f"; rm {' '.join(new)}" if new else ""
    if done.backup is not None:
        return f"the file as it was: {done.path.with_name(done.backup)}{others}"
    return f"remove from {done.path}: {', '.join((*done.made, *done.built))}{others}"


MISSING_SECRETS = Fix("adds strong values for secrets that are missing", _plan, _apply)
