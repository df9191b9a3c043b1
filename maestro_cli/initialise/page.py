"""Writing YAML by hand: values that read back as they were, comments that stay comments."""

from __future__ import annotations

from typing import Any

COMMENT_COLUMN = 44
"""Where comments behind values begin, as far as the values leave room."""


class Page:
    """Lines of a maestro.yaml."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def text(self) -> str:
        """The whole page."""
        return "\n".join(self.lines) + "\n"

    def blank(self) -> None:
        """An empty line."""
        self.lines.append("")

    def remark(self, text: str, *, indent: int = 0) -> None:
        """A line of comment."""
        self.lines.append(f"{'  ' * indent}# {printable(text)}")

    def key(self, name: str, value: str = "", comment: str = "", *, indent: int = 0, off: bool = False) -> None:
        """A key with a value that is YAML already; `off` writes it as a comment, to be switched on."""
        line = "  " * indent + ("# " if off else "") + f"{name}:" + (f" {value}" if value else "")
        self.lines.append(f"{line.ljust(COMMENT_COLUMN)} # {printable(comment)}" if comment else line)


def printable(text: str) -> str:
    """One line that holds nothing but printable characters."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def plain(value: Any) -> str:
    """A value as YAML writes it in one line, inside `{ }` as well; `${` in it stands for itself."""
    import yaml

    rows = [_escaped(value)]  # in a list: what needs quotes between brackets gets them
    if isinstance(value, str) and not set("{}[],") & set(value):
        return yaml.safe_dump(rows[0], width=100_000, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
    text = yaml.safe_dump(rows, default_flow_style=True, width=100_000, allow_unicode=True, sort_keys=False)
    return text.strip().removeprefix("[").removesuffix("]")


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
