"""The event loop in front of everything, without a network."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from service.app import create_app
from service.drain import Drain
from service.gateway import Gateway, Limits
from service.registry import Registry
from tests.service.conftest import LIMIT

DEADLINE_S, PATIENCE_S = 0.06, 10.0


class Protocol:
    """What granian hands over: the body, and the way back."""

    def __init__(self, body: bytes = b"") -> None:
        self._body = body
        self.status, self.headers, self.said = 0, dict[str, str](), b""

    async def __call__(self) -> bytes:
        await asyncio.sleep(0)
        return self._body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.said = status, dict(headers), body


def scope(method: str, path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in {"host": "x", **headers}.items()}
    return SimpleNamespace(method=method, path=path, query_string="", http_version="1.1", headers=named)


async def ask(gateway: Gateway, body: bytes, path: str = "/predict") -> Protocol:
    protocol = Protocol(body)
    await gateway.__rsgi__(scope("POST", path, content_length=str(len(body))), protocol)
    return protocol


@pytest.fixture
def app(registry: Registry) -> Flask:
    return create_app(registry, LIMIT)


def test_a_late_loop_refuses_until_it_has_caught_up(app: Flask) -> None:
    """What waits for its turn in the loop waits no longer than the deadline; what comes later is answered again."""
    front: Any = app.wsgi_app

    class Slow:
        refuse = front.refuse

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            time.sleep(DEADLINE_S / 4)
            answer: Iterable[bytes] = front(environ, start_response)
            return answer

    async def crowd() -> tuple[list[Protocol], Protocol]:
        gateway = Gateway(Slow(), None, Drain.create(), Limits(LIMIT, 5.0, DEADLINE_S))  # type: ignore[arg-type]
        gateway.__rsgi_init__(asyncio.get_running_loop())
        answers: list[Protocol] = []
        for _ in range(4):
            asked = [asyncio.create_task(ask(gateway, b"{}")) for _ in range(20)]
            await asyncio.sleep(0.01)
            answers += await asyncio.gather(*asked)
        # A busy machine may make any loop late.
        until = time.monotonic() + PATIENCE_S
        while (last := await ask(gateway, b"{}")).status == 503 and time.monotonic() < until:
            await asyncio.sleep(DEADLINE_S)
        return answers, last

    answers, last = asyncio.run(crowd())
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {422, 503}
    assert all(json.loads(answer.said)["code"] == "overloaded" for answer in answers if answer.status == 503)
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status == 503)
    assert last.status == 422


def test_a_stop_reaches_every_worker(app: Flask) -> None:
    """By a flag in shared memory: readiness is 503 at once, and every answer ends its connection."""
    drain = Drain.create()
    gateway = Gateway(app.wsgi_app, None, Drain.open(drain.path), Limits())  # type: ignore[arg-type]

    def health(path: str) -> Protocol:
        protocol = Protocol()
        asyncio.run(gateway.__rsgi__(scope("GET", path), protocol))
        return protocol

    assert [health(path).status for path in ("/v2/health/ready", "/ping")] == [200, 200]
    assert "Connection" not in health("/ping").headers
    drain.begin()
    assert [health(path).status for path in ("/v2/health/ready", "/ping", "/v2/health/live")] == [503, 503, 200]
    assert health("/v2/health/live").headers["Connection"] == "close"
