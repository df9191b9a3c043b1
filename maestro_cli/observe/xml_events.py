"""XML of unknown origin, as a stream of elements: no entity is expanded, nothing is loaded, memory stays small.

Entity bombs ("billion laughs") need entity declarations; a report of tests or coverage has none, so one is refused
(OWASP, XML External Entity Prevention Cheat Sheet). A plain DOCTYPE without them is fine: older coverage files have one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maestro_cli.errors import MaestroError

Element = Callable[[str, Mapping[str, str], tuple[str, ...]], None]
MAXIMUM_DEPTH = 200


class HostileXMLError(MaestroError):
    """The file declares entities or nests without end: no report of a tool does that."""


class BrokenXMLError(MaestroError):
    """The file is not well-formed: truncated, empty, or not XML at all."""


def read_elements(data: bytes, on_start: Element) -> None:
    """Call `on_start(name, attributes, ancestors)` for every element, in order. Names are without their namespace.

    Raises:
        HostileXMLError: For entity declarations and for absurd depth.
        BrokenXMLError: When it is not well-formed.
    """
    from xml.parsers import expat

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    stack: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        on_start(local, attributes, tuple(stack))
        stack.append(local)
        if len(stack) > MAXIMUM_DEPTH:
            raise HostileXMLError(f"it nests deeper than {MAXIMUM_DEPTH} elements")

    def refuse(*_: object) -> None:
        raise HostileXMLError("it declares entities, as an XML bomb does")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise BrokenXMLError(f"it is not well-formed XML: {reason} at line {error.lineno}") from None
