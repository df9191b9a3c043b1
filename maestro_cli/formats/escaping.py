"""Foreign text made harmless: what a service answered must not steer a terminal, a page or a parser."""

from __future__ import annotations

import re

_JOINERS = frozenset("\u200c\u200d")
"""Zero-width (non-)joiners: part of correct Persian, Hindi and emoji, and unable to do harm."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def _shown(character: str) -> str:
    r"""The character as a programmer writes it: `\x1b`, `\u202e`, `\U000e0001`."""
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    r"""Every character that can be seen kept, every other one spelled out; line feeds stay.

    Terminal escapes (C0, C1), bidirectional overrides, line separators and lone surrogates become `\x1b`,
    `\u202e` …, so that a value can neither move the cursor nor reorder the line it is printed in.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(
        char
        if char.isprintable() or char == "\n" or char in _JOINERS
        else (" " if char.isspace() and char > "\x7f" and char not in "\x85\u2028\u2029" else _shown(char))
        for char in text
    )


def one_line(text: str) -> str:
    """`visible`, with every run of white space folded to one space."""
    return " ".join(visible(text).split())


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, and how many were left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} … ({len(text) - limit:,} more characters)"


def without_surrogates(text: str) -> str:
    r"""Lone surrogates (a file name that is not UTF-8) spelled out as `\udcff`: no encoder takes them."""
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def xml_text(text: str) -> str:
    """For an element's content in XML 1.0 or HTML. What XML cannot hold, not even as an entity, `visible` spells out."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def xml_attribute(text: str) -> str:
    """For a double-quoted attribute; line breaks survive a parser's normalisation (XML 1.0 §3.3.3)."""
    return xml_text(text).replace("\n", "&#10;")
