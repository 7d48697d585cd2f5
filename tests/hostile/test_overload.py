"""More work than one worker can do: part of it is done, the rest is refused at once, and all is well afterwards."""

import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.hostile.conftest import GOLDEN, PATIENCE_S, Hostile, attacked, post
from tests.service.conftest import GENTOO

ROWS = 1000
LARGE = json.dumps({"instances": [list(GENTOO.values())] * ROWS}).encode()


def flood(service: Hostile, requests: int) -> list[tuple[int, http.client.HTTPMessage, bytes]]:
    """Large requests, all at once."""

    def ask(_: int) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=6 * PATIENCE_S)
        try:
            connection.request("POST", "/predict", LARGE, {"Content-Type": "application/json"})
            with connection.getresponse() as answer:
                return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    with ThreadPoolExecutor(requests) as clients:
        return list(clients.map(ask, range(requests)))


def test_what_cannot_be_done_in_time_is_refused(tmp_path: Path) -> None:
    """Answers are whole and right, refusals say when to come back, health is always answered; then all is as before."""
    with attacked(tmp_path, EVENKEEL_DEADLINE_SECONDS="0.2") as service:
        before = service.golden()
        ((_, _, expected),) = flood(service, 1)
        with ThreadPoolExecutor(1) as other:
            health = other.submit(lambda: [service.service.ask("/v2/health/live")[0] for _ in range(5)])
            answers = flood(service, 150)

        statuses = Counter(status for status, _, _ in answers)
        assert set(statuses) == {200, 503}
        for status, headers, body in answers:
            if status == 200:
                assert body == expected
            else:
                assert (json.loads(body)["code"], headers["Retry-After"]) == ("overloaded", "1")
        assert health.result() == [200] * 5
        assert [service.ask(post(GOLDEN, b"Connection: close"))[0][0].body for _ in range(20)] == [before] * 20
        assert f'code="overloaded"}} {statuses[503]}' in metrics(service)


def metrics(service: Hostile) -> str:
    (answer,), _ = service.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return answer.body.decode()
