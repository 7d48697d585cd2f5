"""Heads that are known from before: what is read of them is what the parser read."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask

from service.access import LOOK_SECONDS, Access
from service.app import Front, create_app
from service.http.admission import Admission, Limits, Reservation
from service.http.connection import Connection
from service.http.dispatch import Answers, Dispatcher
from service.http.heads import LONGEST_KNOWN_HEAD, LONGEST_REQUEST, MOST_HEADS, Heads, Request
from service.prediction.body import BODY
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.reply import Reply
from tests.hostile.conftest import post
from tests.service.conftest import LIMIT
from tests.service.test_dispatch import serve

KNOWN = post(b"{}")
EMPTY = post(b"")
CHUNKED = post(b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", length=b"")


class Recorder(Dispatcher):
    """A dispatcher that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(cast(Front, None), Admission(Limits()))
        self.asked: list[Request] = []
        self.busy = False

    def ask(self, request: Request, client: Answers, memory: Reservation) -> None:
        self.asked.append(request)
        if not self.busy:
            client.answered(request, Reply(200, b""))


class Transport:
    """A client that listens to no answer."""

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> None:
        """It came from nowhere."""

    def set_write_buffer_limits(self, high: int) -> None:
        """It has no buffer."""

    def write(self, data: bytes) -> None:
        """It is gone."""

    pause_reading = resume_reading = close = lambda self: None


@pytest.fixture
def dispatcher() -> Recorder:
    return Recorder()


def sent(dispatcher: Recorder, *pieces: bytes) -> Iterator[tuple[dict[str, Any], bytes, bool]]:
    """The requests that come of some pieces on one connection."""
    connection = Connection(dispatcher)
    connection.connection_made(cast(asyncio.Transport, Transport()))
    before = len(dispatcher.asked)
    for piece in pieces:
        connection.data_received(piece)
    for request in dispatcher.asked[before:]:
        assert request.refusal is None
        body = request.environ[BODY]
        assert len(body) == request.body_bytes
        yield {name: value for name, value in request.environ.items() if name != BODY}, body, request.keep_alive


@pytest.mark.parametrize(
    ("request_", "known"),
    [
        (KNOWN, True),
        (post(b"", path=b"/v2/%41?x=1"), True),
        (post(b"\r\n\r\n\r\n\r\n"), True),
        (post(b"{}", b"X-A: 1", b"x-a: 2", b"X_B: 3"), True),
        (CHUNKED, False),
        (post(b"{}", b"Connection: close"), False),
        (KNOWN.replace(b"1.1", b"1.0"), False),
        (post(b"{}", b"X-A: " + b"a" * LONGEST_KNOWN_HEAD), False),
        (post(b" " * LONGEST_REQUEST), False),
        (b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", False),
        (b"\r\n\r\n" + KNOWN, False),
    ],
)
def test_a_known_head_says_what_it_said(dispatcher: Recorder, request_: bytes, known: bool) -> None:
    """The second time it is not read, and the request is the same."""
    first = list(sent(dispatcher, request_))
    assert (dispatcher.heads.recall(request_) is not None) == known
    assert list(sent(dispatcher, request_)) == first
    assert len(first) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        (KNOWN[:-1], KNOWN[-1:]),
        (KNOWN + KNOWN,),
        (KNOWN[:30], KNOWN[30:] + KNOWN),
        (KNOWN.replace(b"{}", b""), b"{}"),
        (KNOWN, b"\r\n" + KNOWN),
        (CHUNKED[:-9], CHUNKED[-9:] + KNOWN),
        (post(KNOWN).removesuffix(KNOWN), KNOWN),
        # A head that has come but for its end may still say more.
        (EMPTY[:-4], EMPTY[-4:]),
        (EMPTY[:-4], b"\r\nConnection: close" + EMPTY[-4:]),
        (EMPTY[:-2], EMPTY[-2:]),
    ],
)
def test_what_is_not_one_whole_request_is_read(dispatcher: Recorder, pieces: tuple[bytes, ...]) -> None:
    """Pieces of one, or more than one, come to the same whether their heads are known or not."""
    unknown = list(sent(Recorder(), *pieces))
    list(sent(dispatcher, KNOWN))
    list(sent(dispatcher, EMPTY))
    list(sent(dispatcher, CHUNKED))
    assert dispatcher.heads.recall(KNOWN) is not None
    assert dispatcher.heads.recall(EMPTY) is not None
    assert list(sent(dispatcher, *pieces)) == unknown


def test_a_known_head_waits_for_its_turn(dispatcher: Recorder) -> None:
    """What was asked before it on the same connection is answered first, however long that takes."""
    list(sent(dispatcher, KNOWN))
    dispatcher.busy = True
    assert len(list(sent(dispatcher, post(b"[]"), KNOWN, KNOWN))) == 1


def test_nobody_changes_what_is_known(dispatcher: Recorder) -> None:
    """Flask notes things in the environment of a request."""
    for _ in range(3):
        list(sent(dispatcher, KNOWN))
        assert "noted" not in dispatcher.asked[-1].environ
        dispatcher.asked[-1].environ["noted"] = "by Flask"


def test_few_heads_are_known() -> None:
    """However many different ones come."""
    heads = Heads(secret=False)
    for number in range(3 * MOST_HEADS):
        data = post(b"{}", b"X-Trace: %d" % number)
        heads.learn(data, Request({"CONTENT_LENGTH": "2"}, 2, keep_alive=True))
        assert heads.recall(data) is not None
        assert len(heads._known) <= MOST_HEADS


def test_a_known_head_opens_no_door(registry: Registry, tmp_path: Path) -> None:
    """A key that was taken away is refused in the next request on the same connection, although its head is known."""
    path = tmp_path / "keys"
    path.write_text(f"predict {'k' * 32}\n")
    app: Flask = create_app(registry, Bounds(LIMIT), access=Access(path))
    request = post(b"{}", b"X-API-Key: " + b"k" * 32)

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def status() -> int:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            return int(head.split()[1])

        assert [await status(), await status()] == [422, 422]
        assert dispatcher.heads.recall(request) is not None
        path.write_text(f"predict {'o' * 32}\n")
        await asyncio.sleep(1.5 * LOOK_SECONDS)
        assert await status() == 401
        writer.close()

    serve(Dispatcher(cast(Front, app.wsgi_app), Admission(Limits())), clients)
