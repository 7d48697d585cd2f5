"""Bodies that are nested too deep, in time."""

import time
from statistics import median

import pytest

from tests.hostile.conftest import GOLDEN, LIMIT, Hostile, post

pytestmark = pytest.mark.usefixtures("unharmed")

PROMISED_S = 0.05
# Where the machine is so busy that plain requests take long, so many of them.
PLAIN = 10
TRIES = 9
DEEP = {
    "never closed": b"[" * LIMIT,
    "closed": b"[" * (LIMIT // 2) + b"]" * (LIMIT // 2),
    "objects": b'{"a":' * (LIMIT // 5),
    "in a row": b'{"instance":{"island":' + b"[" * (LIMIT // 2 - 20) + b"]" * (LIMIT // 2 - 20) + b"}}",
    "as deep as is read": b'{"instance":' + b"[" * 1000 + b"]" * 1000 + b"}",
}


def seconds(hostile: Hostile, body: bytes, *statuses: int) -> float:
    """How long a body takes, connecting and closing included."""
    began = time.perf_counter()
    (answer,), _ = hostile.ask(post(body, b"Connection: close"))
    assert answer.status in statuses
    return time.perf_counter() - began


@pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
def test_a_deep_body_is_refused_within_50_ms(hostile: Hostile, body: bytes) -> None:
    """At the median, beside plain requests, which tell how busy the machine is."""
    pairs = [(seconds(hostile, body, 400, 422), seconds(hostile, GOLDEN, 200)) for _ in range(TRIES)]
    deep, plain = map(median, zip(*pairs, strict=True))

    assert deep < max(PROMISED_S, PLAIN * plain)
