"""JSON a piece at a time: the same documents as orjson reads whole, and the same refusals."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.document import DEEPEST, PIECE, LongArray, LongObject, decode, drain
from service.errors import BodyTooLarge, MalformedBody

PIECES = st.sampled_from([1, 2, 3, 5, 8, 16, 40])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(['"', "\\", '\\"', "],[", '","', "a\\\\", "{", "é🐧", "\u2028"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=6) | st.dictionaries(st.text(max_size=3), children, max_size=4),
    max_leaves=30,
)
TABLES = st.dictionaries(st.sampled_from(["instances", "inputs", "x"]), st.lists(DOCUMENTS, max_size=30), max_size=2)
# Cut, put in or put elsewhere, these make of a text what is nearly one.
ODD = [
    ",",
    '"',
    "\\",
    "[",
    "]",
    "{",
    "}",
    ":",
    " ",
    "\n",
    "1",
    "-",
    "0",
    "e",
    "NaN",
    "\ufeff",
    "\x0b",
    "\\ud800",
    "é",
    "//",
]
# Three characters of twelve bytes each, quotes, and the blanks of SPACED.
LONGEST_KEY = 3 * 12 + 2 + 7
SPACED = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: "), (",      ", ":")])


def whole(value: Any) -> Any:
    """A document with everything in it read."""
    if isinstance(value, LongArray):
        return [whole(element) for piece in value for element in piece.elements()]
    if isinstance(value, LongObject):
        return {key: whole(member) for members in value for key, member in members.items()}
    if isinstance(value, dict):
        return {key: whole(member) for key, member in value.items()}
    return value


def read_alike(text: bytes, piece: int) -> None:
    """In pieces, a text is what it is whole; where it is too long it is said to be."""
    try:
        expected = orjson.loads(text)
    except orjson.JSONDecodeError:
        with pytest.raises((MalformedBody, BodyTooLarge)):
            whole(decode(text, piece))
        return
    try:
        found = whole(decode(text, piece))
    except (BodyTooLarge, MalformedBody) as refusal:
        found = refusal
    if isinstance(found, BodyTooLarge | MalformedBody):
        # A text or an object beside its arrays is too long; or, where a piece has no room for it, a key.
        too_long = f"may have {piece} bytes" in str(found) or "nested too deep" in str(found)
        assert too_long or (piece < LONGEST_KEY and "there is no" in str(found))
    else:
        assert json.dumps(found) == json.dumps(expected)


@settings(max_examples=100, deadline=None)
@given(st.one_of(TABLES, DOCUMENTS), SPACED, st.booleans(), PIECES)
def test_a_document_is_the_same_in_pieces(document: Any, spaced: tuple[str, str], ascii_only: bool, piece: int) -> None:
    """However small they are."""
    text = json.dumps(document, separators=spaced, ensure_ascii=ascii_only).encode(errors="surrogatepass")

    read_alike(text, piece)


@settings(max_examples=150, deadline=None)
@given(st.one_of(TABLES, DOCUMENTS), SPACED, st.data(), PIECES)
def test_what_is_no_json_is_refused_in_pieces_too(
    document: Any, spaced: tuple[str, str], data: st.DataObject, piece: int
) -> None:
    """A character more, fewer or elsewhere: never read as something that it is not."""
    text = json.dumps(document, separators=spaced, ensure_ascii=False)
    for _ in range(data.draw(st.integers(1, 2))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + data.draw(st.sampled_from(["", *ODD])) + text[end:]

    read_alike(text.encode(errors="surrogatepass"), piece)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*ODD, "[1,2]", '"a"', '{"a":', "true", ",1", '"\\"",']), max_size=25), PIECES)
def test_no_text_is_read_as_another(parts: list[str], piece: int) -> None:
    """Whatever it is made of."""
    read_alike("".join(parts).encode(errors="surrogatepass"), piece)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), PIECES)
@example(b'["\xff","a","b","c"]', 3)
@example(b'["\xed\xa0\x80","a","b","c"]', 3)
def test_bytes_are_read_alike(text: bytes, piece: int) -> None:
    """Those that are not UTF-8 are refused."""
    read_alike(text, piece)


def long_rows(end: str = "]}") -> bytes:
    return ('{"instances": [' + "[1.5, 2],\n" * (3 * PIECE // 10) + '["a,]\\"", null]' + end).encode()


def test_a_long_array_comes_in_pieces() -> None:
    """Of about the same size, in their order; what stands beside it is there at once."""
    document = decode(long_rows('], "params": {"a": [1]}}'))
    pieces = list(document["instances"])

    assert document["params"] == {"a": [1]}
    assert 12 <= len(pieces) <= 20
    assert all(len(piece.text) <= PIECE // 2 for piece in pieces)
    rows = [row for piece in pieces for row in piece.elements()]
    assert rows[:-1] == [[1.5, 2]] * (3 * PIECE // 10)
    assert rows[-1] == ['a,]"', None]


@pytest.mark.parametrize(
    "end",
    ["]", "]]", "]}}", "]}x", "],}", ",]}", "}", "", ",[1]", '], "x"}', '], "x": }', '], "x": NaN}', ' "]}'],
)
def test_a_long_body_is_json_to_its_end(end: str) -> None:
    """Or refused, wherever it breaks."""
    with pytest.raises(MalformedBody):
        drain(decode(long_rows(end))["instances"])


def test_an_element_longer_than_a_piece_is_long_too() -> None:
    """An array within an array; a text of that length is refused, with the limit."""
    numbers = "[" + "1," * PIECE + "1]"
    inner = decode(f'{{"inputs": [{{"data": {numbers}, "name": "x"}}, {{"name": "y"}}]}}'.encode())["inputs"]
    first, second = (element for piece in inner for element in piece.elements())
    members = first.whole()

    assert members["name"] == "x"
    assert whole(members["data"]) == [1] * (PIECE + 1)
    assert second == {"name": "y"}
    with pytest.raises(BodyTooLarge, match=f"may have {PIECE} bytes"):
        whole(decode(f'["{"x" * PIECE}", 1]'.encode()))


def test_an_object_of_many_members_is_refused() -> None:
    """Unless somebody reads it a piece at a time."""
    members = ",".join(f'"{index}": 1' for index in range(PIECE // 5))
    with pytest.raises(BodyTooLarge, match="beside its arrays"):
        decode(f"{{{members}}}".encode())

    (outer,) = decode(f"[{{{members}}}]".encode())
    (element,) = outer.elements()
    assert len(whole(element)) == PIECE // 5


@pytest.mark.parametrize("deep", [DEEPEST + 1, 100_000])
def test_a_deep_body_is_refused(deep: int) -> None:
    """Short or long, as orjson does."""
    for padding in (0, PIECE):
        text = b"[" * deep + b" " * padding + b"]" * deep
        with pytest.raises(MalformedBody):
            whole(decode(text))
