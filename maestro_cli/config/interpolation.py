"""`${NAME}` and `${NAME:-default}`, read from the process environment, then from env_file. `$${` writes a plain `${`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_NAME = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$", re.DOTALL)
_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|(^|_)PWD|(^|_)PASS($|_)|TOKEN|(^|_)KEY($|_)|KEY$|CREDENTIAL|PRIVATE|DSN|SALT|CANARY",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is taken to hold a secret."""
    return _SECRET_NAME.search(name) is not None


class Variables:
    """Where `${NAME}` is looked up.

    Args:
        environ: The process environment; wins.
        file: What env_file holds.
        file_name: Its name, for messages.
        required: False lets an unset variable be the empty string; for the commands that make those variables.
    """

    def __init__(
        self, environ: Mapping[str, str], file: Mapping[str, str], file_name: str | None, *, required: bool = True
    ) -> None:
        self._environ = environ
        self._file = file
        self._file_name = file_name
        self._required = required

    def get(self, name: str) -> str | None:
        """The value, or None where it is set nowhere. An empty value counts as set."""
        value = self._environ.get(name)
        return self._file.get(name) if value is None else value

    def substitute(self, text: str) -> tuple[str, list[str], list[str]]:
        """The text with its references resolved, the names used, and what is wrong (without any value)."""
        used: list[str] = []
        wrong: list[str] = []

        def resolve(match: re.Match[str]) -> str:
            if match.group(0) == "$${":
                return "${"
            name = _NAME.match(match.group(1) or "")
            if name is None:
                wrong.append(
                    "`${` starts a reference that is not ${NAME} or ${NAME:-default}; write $${ for a plain ${"
                )
                return ""
            value = self.get(name.group(1))
            if value is None or (value == "" and name.group(2) is not None):
                if name.group(2) is not None:
                    return name.group(2)
                if self._required:
                    wrong.append(self._unset(name.group(1)))
                return ""
            used.append(name.group(1))
            return value

        return _REFERENCE.sub(resolve, text), used, wrong

    def _unset(self, name: str) -> str:
        where = "the environment" + (f" and not in {self._file_name}" if self._file_name else "")
        similar = closest(name, {*self._file, *(n for n in self._environ if n.isupper())})
        return f"${{{name}}} is not set in {where}" + (
            f"; did you mean {similar}?" if similar else f"; set it, or write ${{{name}:-default}}"
        )


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that a typing error would have turned into `word`, if any."""
    lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return lower[found[0]] if found else None
