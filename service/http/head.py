"""The head of a request (RFC 9112, sections 2 to 7; RFC 9110), from bytes to the words of WSGI (PEP 3333).

What the standards do not allow is refused here, by name; nothing is repaired.
"""

import re
import sys
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from service.errors import (
    ExpectationFailed,
    HeadTooLarge,
    InvalidRequest,
    LengthRequired,
    MisdirectedRequest,
    NotImplementedHere,
    TargetTooLong,
    UnsupportedMedia,
    UnsupportedVersion,
)
from service.http.origins import Origins

LONGEST_HEAD = 32 << 10
MOST_HEADERS = 100
LONGEST_TARGET = 8 << 10
# Those of RFC 9110, RFC 5789 and the draft of QUERY; whether a route takes it is the route's business.
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"QUERY"})
# What says, in WSGI's words, that a body comes in chunks: nobody knows how long it will be.
CHUNKED = "wsgi.input_terminated"
# What every request has in its WSGI environment, also one whose head could not be read.
BASE: dict[str, Any] = {
    "REQUEST_METHOD": "",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "evenkeel",
    "SERVER_PORT": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
# White space before a value is passed over for good (`*+`): to try it again and again would take its length squared.
_FIELD = re.compile(rb"(%b):[ \t]*+([^\0-\x08\n-\x1f\x7f]*)" % _TOKEN)
# RFC 3986, section 3.2: a name, an address in brackets, and a port; without a comma, which joins two headers.
_HOST = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\])|((?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*))(?::[0-9]*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")

# What WSGI calls the headers of nearly every request.
_KEYS = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def read_head(head: bytes, environ: dict[str, Any], hosts: Set[str] | None, origins: Origins | None = None) -> bool:
    """Read a head, without the empty line that ends it, into `environ`; whether another request may follow it.

    :param hosts: the only names taken as Host, where nothing else keeps out a page of another origin whose name was
        made to lead here (DNS rebinding).
    :param origins: whose pages may ask all the same.
    :raises ServiceError: it breaks the standard, or is too long.
    """
    line, *fields = head.split(b"\r\n")
    minor = _read_request_line(line, environ)
    if len(fields) > MOST_HEADERS:
        raise HeadTooLarge(f"a request's head must have at most {LONGEST_HEAD} bytes and {MOST_HEADERS} headers")
    for field in fields:
        _read_field(field, environ)
    options = [option.strip(" \t").lower() for option in environ.get("HTTP_CONNECTION", "").split(",")]
    keep_alive = "close" not in options and (minor == 1 or "keep-alive" in options)
    _check_host(environ, minor, hosts, origins)
    _check_framing(environ, minor)
    _check_expectation(environ, minor)
    return keep_alive


def content_length(environ: Mapping[str, Any]) -> int:
    """How many bytes of body a head announces; 0 also where the body comes in chunks."""
    return int(environ.get("CONTENT_LENGTH", 0))


def _read_request_line(line: bytes, environ: dict[str, Any]) -> int:
    """Put the first line of a request where WSGI has it; return the minor version of HTTP."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise InvalidRequest("this is not HTTP/1.1: a request begins with METHOD TARGET HTTP/1.1, in ASCII")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise UnsupportedVersion(f"this is HTTP/{major.decode()}.{minor.decode()}; HTTP/1.0 and HTTP/1.1 are spoken")
    if method == b"CONNECT":
        raise InvalidRequest("this is no proxy")
    if method not in METHODS:
        raise NotImplementedHere(f"no method {method[:32].decode()} is known here")
    if len(target) > LONGEST_TARGET:
        raise TargetTooLong(f"path and query must have at most {LONGEST_TARGET} characters")
    path, _, query = target.partition(b"?")
    environ["REQUEST_METHOD"] = method.decode()
    environ["PATH_INFO"] = _path(path).decode("latin-1")
    environ["QUERY_STRING"] = query.decode()
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if minor == b"1" else "HTTP/1.0"
    return int(minor)


def _path(target: bytes) -> bytes:
    """The path of a request's target, without percent signs."""
    if not target.startswith(b"/") and target != b"*":
        # The absolute form names a scheme and a host first.
        _, absolute, rest = target.partition(b"://")
        if not absolute:
            raise InvalidRequest("a target is a path that begins with a slash, or a whole address")
        target = b"/" + rest.partition(b"/")[2]
    return unquote_to_bytes(target) if b"%" in target else target


def _read_field(field: bytes, environ: dict[str, Any]) -> None:
    match = _FIELD.fullmatch(field)
    if match is None:
        raise InvalidRequest("a header must be NAME: VALUE, on one line and without control characters")
    name, value = match.groups()
    # An underscore would make it the twin of a header with a dash.
    if b"_" in name:
        return
    # The white space around a value is no part of it.
    key, text = _key_of(name.lower()), value.rstrip(b" \t").decode("latin-1")
    # A header that is sent twice is joined, and so has no known value.
    environ[key] = f"{environ[key]},{text}" if key in environ else text


@lru_cache(256)
def _key_of(name: bytes) -> str:
    return _KEYS.get(name) or f"HTTP_{name.decode().upper().replace('-', '_')}"


def _check_host(environ: dict[str, Any], minor: int, hosts: Set[str] | None, origins: Origins | None) -> None:
    host = environ.get("HTTP_HOST")
    if host is None and minor == 0:
        return
    match = None if host is None else _HOST.fullmatch(host)
    if match is None:
        raise InvalidRequest("a request must have one Host header, of a name or an address and perhaps a port")
    name = (match[1] or match[2]).lower()
    if hosts is None:
        return
    if name not in hosts:
        raise MisdirectedRequest(
            "without API keys, a service on loopback answers only as localhost, 127.0.0.1 or [::1]; "
            "EVENKEEL_ALLOW_HOSTS names other hosts"
        )
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or "CONTENT_TYPE" in environ or environ["REQUEST_METHOD"] != "POST":
        return
    if origins is not None and origins.allow(origin):
        return
    if origin.partition("://")[2] != host:
        raise UnsupportedMedia("a body from a page of another origin needs the header Content-Type")


def _check_framing(environ: dict[str, Any], minor: int) -> None:
    """Where the body ends: after its Content-Length, or, in HTTP/1.1, with the last of its chunks."""
    length, coding = environ.get("CONTENT_LENGTH"), environ.pop("HTTP_TRANSFER_ENCODING", None)
    if coding is not None:
        if length is not None or minor == 0:
            raise InvalidRequest("a body comes with a Content-Length or, in HTTP/1.1, in chunks; never with both")
        codings = [each.strip(" \t").lower() for each in coding.split(",")]
        if "chunked" in codings[:-1]:
            raise InvalidRequest("chunked must be the last transfer coding, and stand there once")
        if codings != ["chunked"]:
            raise NotImplementedHere("the only transfer coding that is read is chunked")
        environ[CHUNKED] = True
    elif length is not None and not _LENGTH.fullmatch(length):
        raise InvalidRequest("the Content-Length must be one number of bytes")
    elif length is None and environ["REQUEST_METHOD"] == "POST":
        raise LengthRequired("a body needs a Content-Length, or must come in chunks")


def _check_expectation(environ: dict[str, Any], minor: int) -> None:
    expected = environ.get("HTTP_EXPECT")
    if expected is None:
        return
    if minor == 0:
        # RFC 9110, section 10.1.1: of such a client it means nothing.
        del environ["HTTP_EXPECT"]
    elif expected.lower() != "100-continue":
        raise ExpectationFailed("the only expectation that is met is 100-continue")
