"""Adding rows to a list of maestro.yaml in its own text: comments, order and quoting of what stands there stay.

The text is only ever added to; the loader reads the result before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maestro_cli.errors import Refused


def append_rows(text: str, key: str, rows: Sequence[str], comments: Sequence[str] = ()) -> str:
    """The file with rows at the end of a top-level list, which is begun where there is none.

    Args:
        text: The whole file.
        key: The list's key: `checks`, `plugins`.
        rows: Each the YAML of one row, unindented and without its dash; may have several lines.
        comments: Lines to write above them, without `#`.

    Raises:
        Refused: When the list is written in a form that lines cannot be added to, or the file is no mapping.
    """
    import yaml

    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise Refused("the file is not YAML; nothing was written") from None
    if root is None:
        root = yaml.MappingNode("tag:yaml.org,2002:map", [])
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise Refused("the file is no mapping of keys on lines of their own; nothing was written")
    lines = text.splitlines()
    found = next((pair for pair in root.value if pair[0].value == key), None)
    if found is None:
        return _joined([*lines, f"{key}:", *_block(rows, comments, 2)])
    name, value = found
    if isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
        at = _end(lines, value.end_mark.line if value.end_mark.column == 0 else len(lines))
        return _joined([*lines[:at], *_block(rows, comments, value.start_mark.column), *lines[at:]])
    if not value.value or value.tag.endswith(":null"):
        end = value.end_mark
        remark = lines[end.line][end.column :].rstrip() if end.line < len(lines) else ""
        head = f"{key}:{remark}"
        return _joined([*lines[: name.start_mark.line], head, *_block(rows, comments, 2), *lines[end.line + 1 :]])
    raise Refused(
        f"{key}: is written in one line or in brackets, to which nothing can be added; nothing was written",
        hint="Write each of its rows on a line of its own that starts with `- `, then try again.",
    )


def _end(lines: Sequence[str], at: int) -> int:
    """Where a block ends: before the blank lines and comments that lead to what follows."""
    while at > 0 and (not lines[at - 1].strip() or lines[at - 1].startswith("#")):
        at -= 1
    return at


def _block(rows: Sequence[str], comments: Sequence[str], indent: int) -> list[str]:
    margin = " " * indent
    block = [f"{margin}# {comment}".rstrip() for comment in comments]
    for row in rows:
        first, *rest = row.rstrip("\n").split("\n")
        block += [f"{margin}- {first}", *(f"{margin}  {line}" if line else line for line in rest)]
    return block


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
