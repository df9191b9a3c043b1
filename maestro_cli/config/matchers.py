"""What an observation should be, as maestro.yaml says it: goss's matchers, with their names.

A plain value must equal the observation; a list over a text holds patterns (`text`, `/regex/`, `!not`) that must each be
found; a mapping names a matcher: `{lt: 3}`, `{contain-substring: ok}`, `{and: [{ge: 1}, {le: 9}]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maestro_cli.records import record

MAXIMUM_LENGTH = 1_000_000
"""Characters of an observation that a regular expression is tried on."""


class MatcherError(Exception):
    """A matcher that cannot be followed: `path` leads to it inside the value (`.and[0].lt`)."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@record(frozen=True)
class Matcher:
    """A test with its words: `less than 3`."""

    words: str
    test: Callable[[Any], bool]

    def __call__(self, observed: Any) -> bool:
        """Whether the observation is as it should be; an observation of another type is not."""
        try:
            return bool(self.test(observed))
        except (TypeError, ValueError):
            return False


def parse_matcher(value: Any, path: str = "") -> Matcher:
    """The matcher that a configured value stands for.

    Raises:
        MatcherError: For an unknown matcher, a wrong argument or a broken regular expression.
    """
    if isinstance(value, Mapping):
        rows = [_named(str(name), argument, f"{path}.{name}") for name, argument in value.items()]
        if not rows:
            raise MatcherError(path, "names no matcher")
        return _all(rows)
    if isinstance(value, list | tuple):
        return _patterns(value, path)
    return Matcher(_shown(value), lambda observed: _equal(observed, value))


def _all(rows: Sequence[Matcher]) -> Matcher:
    if len(rows) == 1:
        return rows[0]
    return Matcher(" and ".join(row.words for row in rows), lambda observed: all(row(observed) for row in rows))


def _equal(observed: Any, expected: Any) -> bool:
    if isinstance(observed, str) and isinstance(expected, str):
        return observed.strip() == expected.strip()
    if isinstance(observed, str) and isinstance(expected, int | float) and not isinstance(expected, bool):
        return _number(observed) == expected
    if isinstance(observed, bool) is not isinstance(expected, bool):
        return False
    return bool(observed == (list(expected) if isinstance(expected, tuple) else expected))


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    return float(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _patterns(values: Sequence[Any], path: str) -> Matcher:
    rows = [pattern(value, f"{path}[{index}]") for index, value in enumerate(values)]

    def test(observed: Any) -> bool:
        if isinstance(observed, list | tuple):
            texts = [_text(item) for item in observed]
            return all(any(row(text) for text in texts) for row in rows)
        return all(row(_text(observed)) for row in rows)

    return Matcher(", ".join(row.words for row in rows) or "anything", test)


def pattern(value: Any, path: str = "") -> Matcher:
    """One pattern: a text that is found, `/regex/` that is found in it, `!` in front for what must not be.

    Raises:
        MatcherError: For a broken regular expression.
    """
    if not isinstance(value, str):
        if isinstance(value, Mapping):
            return parse_matcher(value, path)
        value = _shown(value)
    negated, body = value.startswith("!"), value.removeprefix("!")
    body = body.removeprefix("\\")  # `\!` and `\/` begin a plain text
    if len(body) > 1 and body.startswith("/") and body.endswith("/") and not value.startswith(("\\", "!\\")):
        expression = _regex(body[1:-1], path)
        inner = Matcher(f"matches {body}", lambda text: expression.search(text[:MAXIMUM_LENGTH]) is not None)
    else:
        inner = Matcher(f"holds {body!r}", lambda text: body in text)
    return _not(inner) if negated else inner


def _not(row: Matcher) -> Matcher:
    return Matcher(f"not: {row.words}", lambda observed: not row(observed))


def _regex(text: Any, path: str) -> re.Pattern[str]:
    try:
        return re.compile(str(text), re.MULTILINE)
    except re.error as error:
        raise MatcherError(path, f"is not a regular expression: {error}") from None


def _compared(words: str, compare: Callable[[float, float], bool]) -> Callable[[Any, str], Matcher]:
    def make(argument: Any, path: str) -> Matcher:
        try:
            limit = _number(argument)
        except (TypeError, ValueError):
            raise MatcherError(path, "expected a number") from None
        return Matcher(f"{words} {limit:g}", lambda observed: compare(_number(observed), limit))

    return make


def _list(argument: Any, path: str) -> list[Any]:
    if not isinstance(argument, list | tuple):
        raise MatcherError(path, "expected a list")
    return list(argument)


def _of_each(argument: Any, path: str) -> list[Matcher]:
    return [parse_matcher(value, f"{path}[{index}]") for index, value in enumerate(_list(argument, path))]


def _either(argument: Any, path: str) -> Matcher:
    rows = _of_each(argument, path)
    return Matcher(" or ".join(row.words for row in rows), lambda observed: any(row(observed) for row in rows))


def _contains_all(argument: Any, path: str) -> Matcher:
    rows = _of_each(argument, path)
    words = f"contains {', '.join(row.words for row in rows)}"
    return Matcher(words, lambda observed: all(any(row(item) for item in _items(observed)) for row in rows))


def _consists_of(argument: Any, path: str) -> Matcher:
    rows = _of_each(argument, path)

    def test(observed: Any) -> bool:
        left = _items(observed)
        for row in rows:
            index = next((index for index, item in enumerate(left) if row(item)), None)
            if index is None:
                return False
            left.pop(index)
        return not left

    return Matcher(f"consists of {', '.join(row.words for row in rows)}", test)


def _items(observed: Any) -> list[Any]:
    if isinstance(observed, str):
        return observed.splitlines()
    return list(observed)


def _key_with_value(argument: Any, path: str) -> Matcher:
    if not isinstance(argument, Mapping):
        raise MatcherError(path, "expected a mapping of names to values")
    rows = {str(name): parse_matcher(value, f"{path}.{name}") for name, value in argument.items()}
    words = ", ".join(f"{name}: {row.words}" for name, row in rows.items())
    return Matcher(words, lambda observed: all(name in observed and row(observed[name]) for name, row in rows.items()))


def _json_paths(argument: Any, path: str) -> Matcher:
    if not isinstance(argument, Mapping):
        raise MatcherError(path, "expected a mapping of paths (`data.0.name`) to values")
    rows = {str(name): parse_matcher(value, f"{path}.{name}") for name, value in argument.items()}
    words = ", ".join(f"{name}: {row.words}" for name, row in rows.items())

    def test(observed: Any) -> bool:
        document = json.loads(observed) if isinstance(observed, str) else observed
        return all(_matches_at(document, name, row) for name, row in rows.items())

    return Matcher(words, test)


def _matches_at(document: Any, path: str, row: Matcher) -> bool:
    value = document
    for step in path.split("."):
        if step == "#" and isinstance(value, list):
            value = len(value)
        elif isinstance(value, list):
            value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            return False
    return row(value)


def _substring(words: str, test: Callable[[str, str], bool]) -> Callable[[Any, str], Matcher]:
    return lambda argument, _path: Matcher(
        f"{words} {_shown(argument)!r}", lambda observed: test(_text(observed).strip(), _shown(argument))
    )


def _match_regexp(argument: Any, path: str) -> Matcher:
    expression = _regex(argument, path)
    return Matcher(f"matches /{argument}/", lambda text: expression.search(_text(text)[:MAXIMUM_LENGTH]) is not None)


def _element(argument: Any, path: str) -> Matcher:
    row = parse_matcher(argument, path)
    return Matcher(f"contains {row.words}", lambda observed: any(row(item) for item in _items(observed)))


def _length(argument: Any, path: str) -> Matcher:
    row = parse_matcher(argument, path)
    return Matcher(f"length {row.words}", lambda observed: row(len(observed)))


MATCHERS: dict[str, Callable[[Any, str], Matcher]] = {
    "equal": lambda argument, _path: Matcher(_shown(argument), lambda observed: _equal(observed, argument)),
    "not": lambda argument, path: _not(parse_matcher(argument, path)),
    "and": lambda argument, path: _all(_of_each(argument, path)),
    "or": _either,
    "gt": _compared("more than", lambda observed, limit: observed > limit),
    "ge": _compared("at least", lambda observed, limit: observed >= limit),
    "lt": _compared("less than", lambda observed, limit: observed < limit),
    "le": _compared("at most", lambda observed, limit: observed <= limit),
    "have-prefix": _substring("begins with", str.startswith),
    "have-suffix": _substring("ends with", str.endswith),
    "contain-substring": _substring("holds", lambda text, part: part in text),
    "match-regexp": _match_regexp,
    "have-patterns": lambda argument, path: _patterns(_list(argument, path), path),
    "contain-element": _element,
    "contain-elements": _contains_all,
    "consist-of": _consists_of,
    "have-len": _length,
    "have-key": lambda argument, _path: Matcher(
        f"has the key {argument}", lambda observed: isinstance(observed, Mapping) and argument in observed
    ),
    "have-key-with-value": _key_with_value,
    "gjson": _json_paths,
}
"""Name → how it is made. The names are goss's; an underscore is as good as a hyphen."""


def _named(name: str, argument: Any, path: str) -> Matcher:
    make = MATCHERS.get(name.replace("_", "-"))
    if make is None:
        from maestro_cli.config.interpolation import closest

        similar = closest(name, MATCHERS)
        known = f'; did you mean "{similar}"?' if similar else f"; matchers: {', '.join(MATCHERS)}"
        raise MatcherError(path, f"there is no matcher {name!r}{known}")
    return make(argument, path)
