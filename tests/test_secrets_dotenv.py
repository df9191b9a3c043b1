"""`.env` files are read as their users expect, and edited without losing a byte that was not meant to change."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maestro_cli.dotenv import Dotenv, encode_text, read_text
from maestro_cli.secrets import parse_dotenv

HAND_EDITED = """\
# Settings of the shop; ask Ada before you touch them
export JWT_SECRET_KEY = "old value"   # signs tokens

  POSTGRES_PASSWORD='it''s'
EMPTY=
URL=postgresql://u:p#x@db/app # the # in the password is a part of it
PEM="-----BEGIN KEY-----
line two
-----END KEY-----"
JWT_SECRET_KEY=the last one wins
ONLY_A_NAME
"""

PIECES = st.sampled_from(
    [
        "A",
        "B1",
        "export ",
        "=",
        "'",
        '"',
        "\\",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "#",
        "$",
        "${X}",
        "é",
        "\u2028",
        "n",
        "foo",
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join).flatmap(lambda text: st.sampled_from([text, "\ufeff" + text]))
VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.sampled_from(["$x", "'\n", '"\\', "#"]),
)


@given(TEXTS)
def test_it_reads_what_python_dotenv_reads(text: str) -> None:
    parser = pytest.importorskip("dotenv.parser")
    # python-dotenv lets a name in quotes span lines; here it ends with its line
    assume(not re.search(r"(?:^|[\r\n])\s*(?:export\s+)*'", text.removeprefix("\ufeff")))
    theirs = [(b.key, b.value) for b in parser.parse_stream(io.StringIO(text, newline="")) if b.key is not None]
    assert [(found.name, found.value) for found in Dotenv(text).assignments] == theirs


@given(TEXTS, VALUES)
def test_a_new_value_changes_nothing_else(text: str, value: str) -> None:
    before = Dotenv(text)
    assume(not before.unreadable)
    for name in {found.name for found in before.assignments}:
        after = before.replace({name: value})
        assert all(found.value == value for found in after.assignments if found.name == name)
        others = [(found.name, found.value) for found in before.assignments if found.name != name]
        assert [(found.name, found.value) for found in after.assignments if found.name != name] == others


@given(TEXTS, VALUES)
def test_what_is_appended_or_inserted_can_be_removed_again(text: str, value: str) -> None:
    before = Dotenv(text)
    assume(not before.unreadable)
    names = [(found.name, found.value) for found in before.assignments]
    after = before.append({"NEW_1": value, "NEW_2": "x"}, heading="why")
    assert after.text.startswith(text)
    assert [(found.name, found.value) for found in after.assignments] == [*names, ("NEW_1", value), ("NEW_2", "x")]
    inserted = after.insert_after("NEW_1", "NEW_3", value)
    assert [found.name for found in inserted.assignments[-3:]] == ["NEW_1", "NEW_3", "NEW_2"]
    left = inserted.remove({"NEW_1", "NEW_2", "NEW_3"})
    assert [(found.name, found.value) for found in left.assignments] == names


def test_values_lines_and_what_is_odd() -> None:
    values = parse_dotenv(HAND_EDITED.replace("'it''s'", "'its'"))
    assert values == {
        "JWT_SECRET_KEY": "the last one wins",
        "POSTGRES_PASSWORD": "its",
        "EMPTY": "",
        "URL": "postgresql://u:p#x@db/app",
        "PEM": "-----BEGIN KEY-----\nline two\n-----END KEY-----",
    }
    assert values.lines == {"JWT_SECRET_KEY": 10, "POSTGRES_PASSWORD": 4, "EMPTY": 5, "URL": 6, "PEM": 7}
    assert values.repeated == ("JWT_SECRET_KEY",)
    assert parse_dotenv(HAND_EDITED).unreadable == (4,)


def test_a_dollar_sign_is_a_dollar_sign() -> None:
    assert parse_dotenv("A=pa$$word\nB=\"${A}\"\nC='$A'\n") == {"A": "pa$$word", "B": "${A}", "C": "$A"}


def test_comments_order_quoting_and_line_ends_survive_an_edit() -> None:
    text = HAND_EDITED.replace("'it''s'", "'its'").replace("\n", "\r\n")
    edited = Dotenv(text).replace({"JWT_SECRET_KEY": "new", "POSTGRES_PASSWORD": "n$w"}).text
    expected = text.replace('"old value"', '"new"').replace("the last one wins", "new").replace("'its'", "'n$w'")
    assert edited == expected


def test_bytes_that_are_no_text_survive() -> None:
    data = b"\xef\xbb\xbfA=1 # caf\xe9\r\nB=\xff\xfe\n"
    document = Dotenv(read_text(data))
    assert encode_text(document.text) == data
    assert encode_text(document.replace({"A": "2"}).text) == data.replace(b"A=1", b"A=2")


def test_a_file_that_is_in_doubt_is_not_edited() -> None:
    document = Dotenv("A='never closed\nB=1\n")
    assert document.unreadable == (1,)
    edits: list[Callable[[], Dotenv]] = [
        lambda: document.replace({"B": "2"}),
        lambda: document.append({"C": "3"}),
        lambda: document.remove({"B"}),
        lambda: document.insert_after("B", "C", "3"),
    ]
    for edit in edits:
        with pytest.raises(ValueError, match="cannot be read: 1"):
            edit()


def test_a_name_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="not the name of a variable"):
        Dotenv("").append({"A B": "x"})
    with pytest.raises(KeyError):
        Dotenv("A=1\n").replace({"B": "x"})


def test_no_value_in_a_representation() -> None:
    document = Dotenv("A=hunter2hunter2\n")
    assert "hunter2" not in repr(document.values) + repr(document.assignments)


def test_the_loader_pays_for_the_parser_only() -> None:
    code = "import sys, maestro_cli.dotenv as d; d.parse_dotenv('A=1'); print(*(n for n in sys.modules if 'maestro_cli.' in n))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"maestro_cli._version", "maestro_cli.dotenv"}
