"""Clients that send slowly, or nothing, or read nothing: they hold no thread, and are cut."""

import time

import pytest

from tests.hostile.conftest import BODY_SECONDS, GOLDEN, IDLE_SECONDS, LIMIT, Connection, Hostile, post

pytestmark = pytest.mark.usefixtures("unharmed")

MANY = 150


def crowd(hostile: Hostile, said: bytes) -> list[Connection]:
    connections = [hostile.connect() for _ in range(MANY)]
    for connection in connections:
        connection.send(said)
    return connections


def test_slow_clients_hold_up_nobody(hostile: Hostile) -> None:
    """Many more of every kind than there are threads; others are answered meanwhile, without an error."""
    kinds = (b"", b"POST /predict HTT", post(GOLDEN[:-5], length=str(len(GOLDEN)).encode()), post(b" " * LIMIT)[:-9])
    slow = [connection for said in kinds for connection in crowd(hostile, said)]
    seconds = []
    for _ in range(100):
        began = time.monotonic()
        hostile.golden()
        seconds.append(time.monotonic() - began)
    for connection in slow:
        connection.socket.close()

    # Nobody waits for a slow one, whose time is up only after BODY_SECONDS.
    assert max(seconds) < BODY_SECONDS


def test_a_slow_body_is_cut(hostile: Hostile) -> None:
    """In time, with a 408 of our own, though a byte comes now and then; short bodies and long ones."""
    for body in (GOLDEN, b" " * LIMIT):
        connection = hostile.connect()
        with connection.socket:
            began = time.monotonic()
            connection.send(post(b"", length=str(len(body)).encode()))
            while not connection.readable(0.2):
                connection.send(b" ")
            (answer,) = connection.answers()

        assert (answer.status, answer.document["code"], connection.closed) == (408, "body_timeout", True)
        assert BODY_SECONDS <= time.monotonic() - began < 3 * BODY_SECONDS


def test_a_silent_connection_is_cut(hostile: Hostile) -> None:
    """Before a request, within its head, and behind an answer."""
    began = time.monotonic()
    connections = [hostile.connect() for _ in range(3)]
    connections[1].send(b"POST /predict HTTP/1.1\r\nHo")
    connections[2].send(post(GOLDEN))
    answers = [connection.answers(silence=3 * IDLE_SECONDS) for connection in connections]
    for connection in connections:
        connection.socket.close()

    assert [len(found) for found in answers] == [0, 0, 1]
    assert all(connection.closed for connection in connections)
    assert IDLE_SECONDS <= time.monotonic() - began < 3 * IDLE_SECONDS


def test_clients_that_leave_are_forgotten(hostile: Hostile) -> None:
    """In the middle of a head, of a body, and without reading the answer: no error in the log."""
    for said in (b"POST /pre", post(GOLDEN)[:-9], post(b" " * LIMIT)[:-9], post(GOLDEN) * 50):
        for connection in crowd(hostile, said):
            connection.socket.close()
    time.sleep(0.5)

    assert not [line for line in hostile.log.read_text().splitlines() if '"level": "info"' not in line]
