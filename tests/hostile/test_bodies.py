"""Bodies that are not what a prediction needs: refused in JSON, in few words, and without what they said."""

import gzip
import json
import time
import zlib
from typing import Any, NamedTuple

import pytest

from tests.hostile.conftest import GOLDEN, LIMIT, Answer, Hostile, post
from tests.service.conftest import GENTOO

pytestmark = pytest.mark.usefixtures("unharmed")

SHORTEST = json.dumps(GENTOO, separators=(",", ":"))
LONGEST_ECHO = 64


class Case(NamedTuple):
    """A body with headers, and what answers it."""

    body: bytes
    status: int
    code: str
    headers: tuple[bytes, ...] = ()


def row(**changed: Any) -> bytes:
    return json.dumps({"instance": GENTOO | changed}).encode()


def literal(text: str, feature: str = "body_mass_g") -> bytes:
    """The golden row with a feature's value as it is written here."""
    return row(**{feature: "HERE"}).replace(b'"HERE"', text.encode())


MALFORMED = {
    "nothing": b"",
    "blanks": b" \t\r\n ",
    "a brace": b"{",
    "a trailing comma": GOLDEN[:-1] + b",}",
    "a comment": GOLDEN + b"// well",
    "single quotes": b"{'instance': []}",
    **{f"the number {number}": literal(number) for number in ("01", "+1", ".5", "5.", "0x10", "1e", "--1")},
    "two documents": GOLDEN + GOLDEN,
    "a NUL behind it": GOLDEN + b"\0",
    "garbage behind it": GOLDEN + b"garbage",
    "a byte order mark": b"\xef\xbb\xbf" + GOLDEN,
    "UTF-16": GOLDEN.decode().encode("utf-16"),
    "UTF-32": GOLDEN.decode().encode("utf-32"),
    "invalid UTF-8 in a value": GOLDEN.replace(b"Biscoe", b"Bis\xffcoe"),
    "invalid UTF-8 in a key": GOLDEN.replace(b"island", b"isl\xc3nd"),
    "a lone surrogate": GOLDEN.replace(b"Biscoe", rb"\ud800"),
    "a raw newline in a text": GOLDEN.replace(b"Biscoe", b"Bis\ncoe"),
    **{f"the word {word}": literal(word) for word in ("NaN", "Infinity", "-Infinity", "1e999", "nan", "True", "None")},
    "a number of 400 digits": literal("9" * 400),
    **{f"depth {depth}": b"[" * depth for depth in (201, 20_000, LIMIT)},
    "depth in a row": b'{"instance":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
}
INVALID = {
    **{f"{text} for a number": literal(text) for text in ('"1.5"', '"nan"', '"5000"', "true", "[1]", "{}")},
    **{f"the number {text}": literal(text) for text in ("1e39", "-1e39", "1e308", "9" * 300)},
    "null where training missed nothing": row(island=None),
    "a number for a category": row(island=7),
    "a feature missing": json.dumps({"instance": {"island": "Biscoe"}}).encode(),
    "a feature misspelt": GOLDEN.replace(b"sex", b"sexe"),
    "a feature more": row(more=1),
    "5000 features more": row(**{f"more{number}": number for number in range(3000)}),
    **{f"the name {name[:9]!r}": row(**{name: 1}) for name in ("__class__", "__proto__", "", "a" * 10_000)},
    "a NUL in a name": row(**{"a\0b": 1}),
    "a newline in a name": row(**{'a\n{"level":"error","event":"forged"}': 1}),
    "a name from right to left": row(**{"a\u202eb": 1}),
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"1",
    "nothing at all": b"null",
    "no row": b"{}",
    "a row of text": b'{"instance": "row"}',
    "too few values": b'{"instance": [1, 2]}',
    "a key more": GOLDEN[:-1] + b', "more": 1}',
}
MEDIA = {
    "text": (b"text/plain",),
    "a form": (b"application/x-www-form-urlencoded",),
    "a multipart form": (b"multipart/form-data; boundary=x",),
    "another JSON": (b"application/vnd.x+json",),
    "pickle": (b"application/x-python-pickle",),
}
ANSWERED = {
    "negative zero": (literal("-0.0"), literal("0")),
    "less than a 32-bit float": (literal("1e-46"), literal("0")),
    "an integer beyond 53 bits": (literal(str(2**53 + 1)), literal(str(2**53))),
    "an integer beyond 63 bits": (literal(str(2**63)), literal(str(float(2**63)))),
    "a key twice: the last one counts": (
        GOLDEN.replace(b'"year"', b'"body_mass_g": 1, "body_mass_g": 5000, "year"'),
        GOLDEN,
    ),
    "null where training missed some": (row(sex=None), row(sex="")),
}


def held(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The promises that hold for every refusal."""
    document: dict[str, Any] = answer.document
    assert (answer.status, document["code"]) == (status, code)
    assert len(answer.body) < 4096
    assert b"\n" not in answer.body
    assert len(document["details"]) <= 20
    for text in (document["error"], *(str(value) for detail in document["details"] for value in detail.values())):
        assert "aaaa" * (LONGEST_ECHO // 4 + 1) not in text
        assert not {"Traceback", "/site-packages/", "/work", "orjson", ".py"} & set(text.split())
    return document


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_is_refused(hostile: Hostile, body: bytes) -> None:
    """At once, however deep it is."""
    began = time.monotonic()
    (answer,), _ = hostile.ask(post(body, b"Connection: close"))

    held(answer, 400, "malformed_json")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
def test_what_is_no_row_is_refused(hostile: Hostile, body: bytes) -> None:
    """By the card's rules, in few words."""
    (answer,), _ = hostile.ask(post(body, b"Connection: close"))

    held(answer, 422, "invalid_record")


@pytest.mark.parametrize(("body", "same"), ANSWERED.values(), ids=ANSWERED)
def test_odd_numbers_count_as_what_they_are(hostile: Hostile, body: bytes, same: bytes) -> None:
    """As the same row, said plainly."""
    (odd,), _ = hostile.ask(post(body, b"Connection: close"))
    (plain,), _ = hostile.ask(post(same, b"Connection: close"))

    assert odd.status == plain.status == 200
    assert odd.document["prediction"]["probabilities"] == plain.document["prediction"]["probabilities"]


@pytest.mark.parametrize("media", MEDIA.values(), ids=MEDIA)
def test_other_media_are_refused(hostile: Hostile, media: tuple[bytes]) -> None:
    """Whatever the body holds."""
    request = post(GOLDEN, b"Connection: close").replace(b"application/json", media[0])
    (answer,), _ = hostile.ask(request)

    assert "application/json" in held(answer, 415, "unsupported_media")["error"]


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        (b"gzip", gzip.compress(GOLDEN), 200, ""),
        (b"deflate", zlib.compress(GOLDEN), 200, ""),
        (b"gzip", gzip.compress(b" " * (200 * LIMIT)), 413, "body_too_large"),
        (b"gzip", gzip.compress(GOLDEN) + b"garbage", 400, "malformed_json"),
        (b"gzip", gzip.compress(GOLDEN)[:-9], 400, "malformed_json"),
        (b"gzip", GOLDEN, 400, "malformed_json"),
        (b"br", GOLDEN, 415, "unsupported_media"),
        (b"gzip, gzip", gzip.compress(gzip.compress(GOLDEN)), 415, "unsupported_media"),
    ],
    ids=["gzip", "deflate", "a bomb", "garbage behind", "truncated", "no gzip", "brotli", "gzip twice"],
)
def test_encodings_are_unfolded_within_the_limit(
    hostile: Hostile, encoding: bytes, body: bytes, status: int, code: str
) -> None:
    """One whole stream, or a refusal."""
    (answer,), _ = hostile.ask(post(body, b"Content-Encoding: " + encoding, b"Connection: close"))

    assert answer.status == status
    if code:
        held(answer, status, code)


def test_an_unseen_category_is_answered_with_a_warning(hostile: Hostile) -> None:
    """Cut to a line."""
    (answer,), _ = hostile.ask(post(row(island="a" * 10_000), b"Connection: close"))

    assert answer.status == 200
    assert answer.document["prediction"]["warnings"][0]["code"] == "unseen_category"
    assert len(answer.body) < 1024


@pytest.mark.parametrize(
    "name", ["../x", "%2e%2e%2f", ".staging-1", "01", "²", "1_0", "-1", "1" * 30, "CURRENT", "penguins%00", "%2Fetc"]
)
def test_hostile_names_are_unknown_names(hostile: Hostile, name: str) -> None:
    """Of a model and of a version alike, without a word on what is there."""
    for path in (f"/v1/models/{name}:predict", f"/v1/models/penguins/versions/{name}:predict"):
        (answer,), _ = hostile.ask(post(GOLDEN, b"Connection: close", path=path.replace("²", "%C2%B2").encode()))

        assert answer.status == 404
        assert answer.document["code"] in ("model_not_found", "not_found")
        assert "store" not in answer.document["error"]


@pytest.mark.parametrize(
    "given", ["a" * 10_000, "é", "a b", "a\tb", "{}"], ids=["long", "no ASCII", "blank", "tab", "braces"]
)
def test_a_request_id_that_is_no_word_is_replaced(hostile: Hostile, given: str) -> None:
    """It does not come back, nor into the log."""
    (answer,), _ = hostile.ask(post(GOLDEN, b"X-Request-Id: " + given.encode(), b"Connection: close"))

    assert answer.headers["x-request-id"] not in (given, "")
    assert len(answer.headers["x-request-id"]) <= 64
    assert "a" * 1000 not in hostile.log.read_text()


def test_every_line_of_the_log_is_one_event(hostile: Hostile) -> None:
    """No name, path or header forges another; no attack leaves a traceback."""
    hostile.ask(post(row(**{'a\n{"level":"error","event":"forged"}': 1}), b"Connection: close"))
    hostile.ask(b'GET /%0a{"event":"forged"} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    events = [json.loads(line) for line in hostile.log.read_text().splitlines()]

    assert {event["event"] for event in events} <= {"workers", "serving", "model loaded", "model served", "request"}
    assert not any("traceback" in event for event in events)
    assert max(len(json.dumps(event)) for event in events) < 1000
