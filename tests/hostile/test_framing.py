"""Requests whose beginning, end or head is not what HTTP says: one answer, or none, and never part of a body."""

import json
import time
from typing import NamedTuple

import pytest

from tests.hostile.conftest import GOLDEN, LIMIT, Hostile, post
from tests.service.conftest import GENTOO

pytestmark = pytest.mark.usefixtures("unharmed")

CHUNKED = b"Transfer-Encoding: chunked"


class Case(NamedTuple):
    """Bytes, perhaps followed by the end of sending, and the status and code word that answer them."""

    data: bytes
    status: int
    code: str = ""
    end: bool = False


def chunked(chunks: bytes, *headers: bytes, length: bytes = b"") -> bytes:
    return post(b"", CHUNKED, *headers, length=length) + chunks


BROKEN = {
    "no length": Case(post(GOLDEN, length=b""), 411, "length_required"),
    "length and chunked": Case(chunked(b"0\r\n\r\n", length=b"5"), 400, "bad_request"),
    "chunked and length, a smuggled request": Case(
        chunked(b"0\r\n\r\n" + post(GOLDEN), length=b"5"), 400, "bad_request"
    ),
    "truncated chunk": Case(chunked(b"%x\r\n%s" % (len(GOLDEN) + 9, GOLDEN)), 400, "malformed_json", end=True),
    "chunks without an end": Case(chunked(b"%x\r\n%s\r\n" % (len(GOLDEN), GOLDEN)), 400, "malformed_json", end=True),
    "huge chunk": Case(chunked(b"FFFFFFFFFFFFFFFFFF\r\n{"), 400, "bad_request"),
    "negative chunk": Case(chunked(b"-1\r\n{}\r\n0\r\n\r\n"), 400, "bad_request"),
    "chunks past the limit": Case(
        chunked(b"8000\r\n%s\r\n" % (b" " * 0x8000) * 12 + b"0\r\n\r\n"), 413, "body_too_large"
    ),
    "valid chunks and garbage past the limit": Case(
        chunked(b"%x\r\n%s\r\n" % (LIMIT, GOLDEN.ljust(LIMIT)) + b"7\r\ngarbage\r\n0\r\n\r\n"), 413, "body_too_large"
    ),
    "a trailer beyond all bounds": Case(chunked(b"0\r\nX-A: " + b"a" * (3 * LIMIT)), 413, "body_too_large"),
    "chunks that are mostly extensions": Case(chunked(b"1;a=%s\r\na\r\n" % (b"b" * 4000) * 300), 413, "body_too_large"),
    "chunked and identity": Case(chunked(b"0\r\n\r\n", b"Transfer-Encoding: identity"), 400, "bad_request"),
    "identity and chunked": Case(
        post(b"", b"Transfer-Encoding: identity", CHUNKED, length=b"") + b"0\r\n\r\n", 501, "not_implemented"
    ),
    "chunked twice": Case(chunked(b"0\r\n\r\n", CHUNKED), 400, "bad_request"),
    "the same length twice": Case(post(GOLDEN, b"Content-Length: %d" % len(GOLDEN)), 400, "bad_request"),
    "two lengths": Case(post(GOLDEN, b"Content-Length: 3"), 400, "bad_request"),
    "length with a sign": Case(post(GOLDEN, length=b"+3"), 400, "bad_request"),
    "negative length": Case(post(GOLDEN, length=b"-1"), 400, "bad_request"),
    "hexadecimal length": Case(post(GOLDEN, length=b"0x3"), 400, "bad_request"),
    "list of lengths": Case(post(GOLDEN, length=b"3, 3"), 400, "bad_request"),
    "length of a million digits": Case(post(GOLDEN, length=b"9" * 40), 400, "bad_request"),
    "unknown coding": Case(post(GOLDEN, b"Transfer-Encoding: xchunked", length=b""), 501, "not_implemented"),
    "gzip coding": Case(post(GOLDEN, b"Transfer-Encoding: gzip", length=b""), 501, "not_implemented"),
    "identity coding": Case(post(GOLDEN, b"Transfer-Encoding: identity", length=b""), 501, "not_implemented"),
    "chunked in HTTP/1.0": Case(chunked(b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "bad_request"),
    "short body": Case(post(GOLDEN, length=str(len(GOLDEN) + 9).encode()), 400, "malformed_json", end=True),
    "short long body": Case(post(GOLDEN, length=str(LIMIT).encode()), 400, "malformed_json", end=True),
    "enormous length": Case(post(GOLDEN, length=b"99999999999"), 413, "body_too_large"),
    "one byte over the limit": Case(post(b" " * (LIMIT + 1)), 413, "body_too_large"),
    "no Host": Case(post(GOLDEN).replace(b"Host: localhost\r\n", b""), 400, "bad_request"),
    "a Host that is none": Case(post(GOLDEN).replace(b"Host: localhost", b"Host: a b/@:x"), 400, "bad_request"),
    "two Hosts": Case(post(GOLDEN, b"Host: y"), 400, "bad_request"),
    "long path": Case(post(GOLDEN, path=b"/" + b"a" * 9000), 414, "uri_too_long"),
    "long query": Case(post(GOLDEN, path=b"/predict?" + b"a" * 9000), 414, "uri_too_long"),
    "path beyond all bounds": Case(post(GOLDEN, path=b"/" + b"a" * 200_000), 431, "header_too_large"),
    "long header": Case(post(GOLDEN, b"X-A: " + b"a" * 100_000), 431, "header_too_large"),
    "many headers": Case(post(GOLDEN, *(b"X-%d: a" % number for number in range(200))), 431, "header_too_large"),
    "a header again and again": Case(post(GOLDEN, *[b"A:"] * 30_000), 431, "header_too_large"),
    "NUL in a header": Case(post(GOLDEN, b"X-A: a\0b"), 400, "bad_request"),
    "CR in a header": Case(post(GOLDEN, b"X-A: a\rb"), 400, "bad_request"),
    "folded header": Case(post(GOLDEN, b"X-A: a\r\n b"), 400, "bad_request"),
    "space before a colon": Case(post(GOLDEN, b"X-A : a"), 400, "bad_request"),
    "no slash before": Case(post(GOLDEN, path=b"predict"), 400, "bad_request"),
    "space in the path": Case(post(GOLDEN, path=b"/pre dict"), 400, "bad_request"),
    "bytes beyond UTF-8 in the path": Case(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    "HTTP/0.9": Case(b"GET /\r\n\r\n", 400, "bad_request"),
    "HTTP/9.9": Case(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505, "http_version"),
    "TLS": Case(bytes.fromhex("16030100a1010000"), 400, "bad_request"),
    "HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 505, "http_version"),
    "a tunnel": Case(b"CONNECT example.org:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    "a method that is none": Case(b"FOO /predict HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "not_implemented"),
    "a bare line feed": Case(post(GOLDEN).replace(b"\r\n", b"\n"), 400, "bad_request"),
    "another expectation": Case(post(GOLDEN, b"Expect: miracles"), 417, "expectation_failed"),
    "garbage": Case(b"\x00\x01\x02\xff\r\n\r\n", 400, "bad_request"),
}
TAKEN = {
    "a body of the limit": Case(post(GOLDEN.ljust(LIMIT)), 200),
    "absolute form": Case(post(GOLDEN, path=b"http://user:pw@elsewhere:99999/predict"), 200),
    "underscores, which are passed over": Case(post(GOLDEN, b"Content_Type: text/plain", b"Transfer_Encoding: x"), 200),
    "bytes in a header": Case(post(GOLDEN, b"X-A: \xff\xfe"), 200),
    "Expect: 100-continue": Case(post(GOLDEN, b"Expect: 100-continue"), 200),
    "whole chunks": Case(chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOLDEN), GOLDEN)), 200),
    "chunks of a byte, with extensions and a trailer": Case(
        chunked(b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in GOLDEN) + b"0\r\nX-A: b\r\n\r\n"), 200
    ),
    "another protocol, in chunks": Case(
        chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOLDEN), GOLDEN), b"Connection: Upgrade", b"Upgrade: h2c"), 200
    ),
    "a trailer that would be a header": Case(
        chunked(b"%x\r\n%s\r\n0\r\nContent-Type: text/plain\r\n\r\n" % (len(GOLDEN), GOLDEN)), 200
    ),
    "another protocol": Case(post(GOLDEN, b"Connection: Upgrade", b"Upgrade: h2c"), 200),
    "an expectation in HTTP/1.0, which means nothing": Case(
        post(GOLDEN, b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"), 200
    ),
    "blank lines before": Case(b"\r\n\r\n" + post(GOLDEN), 200),
    "HTTP/1.0": Case(post(GOLDEN).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: localhost\r\n", b""), 200),
    "two types": Case(post(GOLDEN, b"Content-Type: text/plain"), 415, "unsupported_media"),
    "a slash more": Case(post(GOLDEN, path=b"/predict/"), 404, "not_found"),
    "a slash before": Case(post(GOLDEN, path=b"//predict"), 404, "not_found"),
    "an escaped slash before": Case(post(GOLDEN, path=b"/%2Fpredict"), 404, "not_found"),
    "NUL in the path": Case(post(GOLDEN, path=b"/predict%00"), 404, "not_found"),
    "broken escapes": Case(post(GOLDEN, path=b"/%zz%ff"), 404, "not_found"),
    "dots": Case(post(GOLDEN, path=b"/v1/models/../../etc/passwd"), 404, "not_found"),
    "a star": Case(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "not_found"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_broken_request_has_one_answer_and_ends_its_connection(hostile: Hostile, case: Case) -> None:
    """In our own words, and what is left of the request is never read as another."""
    (answer,), closed = hostile.ask(case.data, case.end)

    assert (answer.status, closed) == (case.status, True)
    assert answer.headers["connection"] == "close" or case.end
    assert answer.document["code"] == case.code
    assert len(answer.body) < 400


@pytest.mark.parametrize("case", TAKEN.values(), ids=TAKEN)
def test_an_odd_request_has_one_answer(hostile: Hostile, case: Case) -> None:
    """What HTTP lets through is answered; nothing redirects, nothing fails."""
    (answer,), _ = hostile.ask(case.data)

    assert answer.status == case.status
    assert answer.document.get("code", "") == case.code


def test_requests_behind_each_other_are_answered_in_order(hostile: Hostile) -> None:
    """Three at once on one connection, the one in the middle wrong."""
    answers, _ = hostile.ask(post(GOLDEN) + post(b"{}") + post(GOLDEN))

    assert [answer.status for answer in answers] == [200, 422, 200]


def test_a_head_in_pieces_is_a_head(hostile: Hostile) -> None:
    """It may come byte by byte, and is refused once there is too much of it, not only when it is whole."""
    connection = hostile.connect()
    with connection.socket:
        for byte in post(GOLDEN):
            connection.send(bytes([byte]))
        assert connection.one().status == 200
        connection.send(b"GET / HTTP/1.1\r\nX-A: ")
        for _ in range(40):
            connection.send(b"a" * 4096)
            time.sleep(0.002)
        assert connection.one().status == 431


def test_short_requests_do_not_overtake_long_ones(hostile: Hostile) -> None:
    """What is answered by a thread, and what need not be, come in the order in which they were asked."""
    long = json.dumps({"instances": [GENTOO] * 200}).encode()
    lists = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers, _ = hostile.ask((post(long) + post(GOLDEN) + lists + post(b"{}")) * 5)

    assert [next(iter(answer.document)) for answer in answers] == ["model", "model", "models", "error"] * 5
    assert ["predictions" in answer.document for answer in answers] == [True, False, False, False] * 5


def test_who_says_no_more_is_still_answered(hostile: Hostile) -> None:
    """A client may end its side of the connection once it has asked."""
    for request in (post(GOLDEN), b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        (answer,), closed = hostile.ask(request, end=True)

        assert (answer.status, closed) == (200, True)


def test_a_client_that_waits_for_a_word_gets_it(hostile: Hostile) -> None:
    """100 before the body, but only where the body is welcome."""
    for length, word in ((len(GOLDEN), b"HTTP/1.1 100 Continue\r\n\r\n"), (LIMIT + 1, b"HTTP/1.1 413 ")):
        connection = hostile.connect()
        with connection.socket:
            connection.send(post(b"", b"Expect: 100-continue", length=str(length).encode()))
            assert connection.socket.recv(1 << 16).startswith(word)


def test_old_clients_may_keep_their_connection(hostile: Hostile) -> None:
    """HTTP/1.0 with keep-alive is told that it was understood; without, the connection ends."""
    old = post(GOLDEN, b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    answers, _ = hostile.ask(old + old.replace(b"keep-alive", b"close"))

    assert [answer.headers["connection"] for answer in answers] == ["keep-alive", "close"]


def test_a_connection_serves_many_requests(hostile: Hostile) -> None:
    """A thousand, good and bad."""
    connection = hostile.connect()
    with connection.socket:
        for number in range(1000):
            connection.send(post(GOLDEN if number % 2 else b"{"))
            assert connection.one().status == (200 if number % 2 else 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "TRACE", "PATCH"])
def test_other_methods_are_refused_in_json(hostile: Hostile, method: str) -> None:
    """With the methods that the route takes."""
    (answer,), _ = hostile.ask(f"{method} /predict HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert (answer.status, answer.document["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


def test_heads_are_asked_for(hostile: Hostile) -> None:
    """HEAD has the headers of GET and no body, OPTIONS the methods."""
    connection = hostile.connect()
    with connection.socket:
        connection.send(b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: connection.socket.recv(1 << 16), b""))
    (options,), _ = hostile.ask(b"OPTIONS /predict HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"\r\n\r\n")
    assert said.count(b"\r\n\r\n") == 1
    assert (options.status, "POST" in options.headers["allow"]) == (200, True)
