"""The head of a request, as RFC 9110 and RFC 9112 have it."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access import DIGEST, hide_key
from service.errors import (
    BodyTooLarge,
    ExpectationFailed,
    HeadTooLarge,
    InvalidRequest,
    LengthRequired,
    MisdirectedRequest,
    NotImplementedHere,
    ServiceError,
    UnsupportedMedia,
    UnsupportedVersion,
)
from service.http.chunks import Chunks
from service.http.head import BASE, CHUNKED, MOST_HEADERS, read_head
from service.settings import LOCAL_HOSTS, Settings

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


def read(head: bytes, hosts: frozenset[str] | None = None) -> tuple[dict[str, Any], bool]:
    """What is read of a head, and whether another request may follow it."""
    environ = dict(BASE)
    return environ, read_head(head, environ, hosts)


@pytest.mark.parametrize(
    ("header", "key", "value"),
    [
        (b"Content-Length: 1\r\nX-API-Key: KEY ", "HTTP_X_API_KEY", "KEY"),
        (b"Content-Length: 12 \t", "CONTENT_LENGTH", "12"),
        (b"Content-Length:12", "CONTENT_LENGTH", "12"),
        (b"Transfer-Encoding: chunked ", CHUNKED, True),
        (b"Expect: 100-continue \r\nContent-Length: 1", "HTTP_EXPECT", "100-continue"),
        (b"Content-Length: 1\r\nX-A: a b", "HTTP_X_A", "a b"),
        (b"Content-Length: 1\r\nX-A:", "HTTP_X_A", ""),
        (b"Content-Length: 1\r\nX-A: \t ", "HTTP_X_A", ""),
        (b"Content-Length: 1\r\nX-A: 1\r\nx-a: 2", "HTTP_X_A", "1,2"),
    ],
)
def test_white_space_around_a_value_is_no_part_of_it(header: bytes, key: str, value: Any) -> None:
    assert read(POST + header)[0][key] == value


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET / HTTP/1.1\r\nHost: x", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: CLOSE", False),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive, close", False),
    ],
)
def test_the_connection_is_kept_as_its_options_say(head: bytes, keeps: bool) -> None:
    assert read(head)[1] == keeps


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        *[(host, True) for host in (b"x", b"x:1", b"x:", b"", b"127.0.0.1:80", b"[::1]:8080", b"a%20b", b"a_b.c-d")],
        *[(host, False) for host in (b"a b", b"a/b", b"x@y", b"x,y", b"[::1", b"::1", b"x:y", b"a%zz", b"\xe9")],
    ],
)
def test_a_host_is_a_name_or_an_address(host: bytes, valid: bool) -> None:
    """RFC 3986, section 3.2."""
    head = b"GET / HTTP/1.1\r\nHost: " + host
    if valid:
        read(head)
    else:
        with pytest.raises(InvalidRequest, match="Host"):
            read(head)


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"GET / RTSP/1.0\r\nHost: x", InvalidRequest),
        (b"GET / ICE/1.0\r\nHost: x", InvalidRequest),
        (b"GET / http/1.1\r\nHost: x", InvalidRequest),
        (b"GET  / HTTP/1.1\r\nHost: x", InvalidRequest),
        (b"GET / HTTP/2.0\r\nHost: x", UnsupportedVersion),
        (b"GET / HTTP/1.2\r\nHost: x", UnsupportedVersion),
        (b"PRI * HTTP/2.0", UnsupportedVersion),
        (b"BREW / HTTP/1.1\r\nHost: x", NotImplementedHere),
        (b"get / HTTP/1.1\r\nHost: x", NotImplementedHere),
        (POST + b"Transfer-Encoding: gzip, chunked", NotImplementedHere),
        (POST + b"Transfer-Encoding: xchunked", NotImplementedHere),
        (POST + b"Transfer-Encoding: chunked, chunked", InvalidRequest),
        (POST + b"Transfer-Encoding: chunked, gzip", InvalidRequest),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1", InvalidRequest),
        (POST + b"Content-Length: 1, 1", InvalidRequest),
        (POST + "Content-Length: ١".encode(), InvalidRequest),
        (POST.removesuffix(b"\r\n"), LengthRequired),
        (POST + b"Content-Length: 1\r\nExpect: 200-ok", ExpectationFailed),
        (POST + b"X-A: 1\r\n" * (MOST_HEADERS + 1) + b"Content-Length: 1", HeadTooLarge),
    ],
)
def test_what_the_standards_do_not_allow_is_refused_by_name(head: bytes, refusal: type[ServiceError]) -> None:
    """One header sent a thousand times counts a thousand times."""
    with pytest.raises(refusal):
        read(head)


def test_an_expectation_of_an_old_client_means_nothing() -> None:
    """RFC 9110, section 10.1.1."""
    assert "HTTP_EXPECT" not in read(b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue")[0]


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("LOCALHOST:8080", True), ("127.0.0.1", True), ("[::1]:80", True), ("evil.example", False)],
)
def test_on_loopback_only_names_of_this_machine_are_taken(host: str, local: bool) -> None:
    """A page of another origin whose name was made to lead here (DNS rebinding) says that name."""
    head = f"GET / HTTP/1.1\r\nHost: {host}".encode()
    read(head)
    if local:
        read(head, LOCAL_HOSTS)
    else:
        with pytest.raises(MisdirectedRequest, match="EVENKEEL_ALLOW_HOSTS"):
            read(head, LOCAL_HOSTS)


@pytest.mark.parametrize(
    ("host", "keys", "checked"), [("127.0.0.1", "", 1), ("::1", "", 1), ("0.0.0.0", "", 0), ("127.0.0.1", "keys", 0)]
)
def test_hosts_are_asked_for_where_nothing_else_keeps_pages_out(host: str, keys: str, checked: int) -> None:
    """Beyond loopback any name may lead here, and with API keys no page gets anything."""
    settings = {"EVENKEEL_HOST": host, "EVENKEEL_API_KEYS_FILE": keys, "EVENKEEL_ALLOW_HOSTS": "shop.local, b"}
    expected = LOCAL_HOSTS | {"shop.local", "b"} if checked else None
    assert Settings.from_environment(settings).allowed_hosts == expected


def test_a_body_of_another_origin_says_what_it_is() -> None:
    """Without a Content-Type a page may send it unasked."""
    head = POST + b"Content-Length: 1\r\nOrigin: http://evil.example"
    read(head + b"\r\nContent-Type: application/json", LOCAL_HOSTS)
    read(head.replace(b"evil.example", b"localhost"), LOCAL_HOSTS)
    with pytest.raises(UnsupportedMedia):
        read(head, LOCAL_HOSTS)


def test_no_key_is_kept() -> None:
    """X-API-Key counts where both are sent; only a digest stays."""
    keyed, other, both = ({"HTTP_X_API_KEY": "k"}, {"HTTP_AUTHORIZATION": "Bearer k"}, {"HTTP_X_API_KEY": "k"})
    for environ in (keyed, other, both | {"HTTP_AUTHORIZATION": "Bearer x"}):
        hide_key(environ)
        assert list(environ) == [DIGEST]
    assert keyed == other


EXTENSIONS = [b"", b";a=b", b" ;a=b", b"; a=b", b";a = b", b' ; a = "q;\\""', b";a;b=c", b" "]


@given(
    bodies=st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.sampled_from(EXTENSIONS)), max_size=6),
    trailers=st.sampled_from([b"", b"X-A: b\r\n", b"X-A: b\r\nX-B:\r\n"]),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_chunks_come_to_the_same_however_they_are_cut(
    bodies: list[tuple[bytes, bytes]], trailers: bytes, cuts: list[int]
) -> None:
    """White space around `;` and `=` is allowed, and what follows the last chunk is left alone."""
    said = b"".join(b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in bodies)
    said += b"0\r\n" + trailers + b"\r\n"
    chunks, buffer = Chunks(1000), bytearray()
    ends = sorted({min(cut, len(said) - 1) for cut in cuts if cut})
    for start, end in zip([0, *ends], ends, strict=False):
        buffer += said[start:end]
        assert not chunks.read(buffer)
    buffer += said[ends[-1] if ends else 0 :] + b"GET"

    assert chunks.read(buffer)
    assert (chunks.body.getvalue(), bytes(buffer)) == (b"".join(data for data, _ in bodies), b"GET")


@pytest.mark.parametrize(
    "said",
    [
        b"x\r\n",
        b"1\n",
        b"1\r\nab\r\n",
        b"1\r\na\n\n",
        b" 1\r\n",
        b"1;\r\n",
        b'1;a="\r\n',
        b"0\r\nX A: b\r\n",
        b"-1\r\n",
    ],
)
def test_broken_chunks_are_refused(said: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Chunks(1000).read(bytearray(said))


def test_nothing_in_a_head_takes_long() -> None:
    """A header of white space, say."""
    began = time.process_time()
    for value in (b" " * 32_000 + b"\x01", b"\t " * 16_000, b"a " * 16_000 + b"\0"):
        with suppress(InvalidRequest):
            read(POST + b"Content-Length: 1\r\nX:" + value)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("said", [b"3e9\r\n", b"1;a\r\na\r\n" * 9000, b"0\r\n" + b"X-A: b\r\n" * 9000])
def test_chunks_are_bounded(said: bytes) -> None:
    """What they hold, their framing and their trailers."""
    chunks, buffer = Chunks(1000), bytearray(said)

    def read() -> None:
        while not chunks.read(buffer):
            assert chunks.unfinished

    with pytest.raises(BodyTooLarge):
        read()
