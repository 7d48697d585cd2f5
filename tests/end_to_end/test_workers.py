"""Several worker processes behind one address."""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.conftest import Service
from tests.service.conftest import GENTOO, PUBLISHED


def answered(service: Service) -> int:
    """How many predictions the metrics of whichever worker is asked say were answered."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as response:
        found = re.search(r'requests_total{route="predict",code="ok"} (\d+)', response.read().decode())
    assert found is not None
    return int(found[1])


def test_metrics_are_right_across_workers_and_their_deaths(serve: Callable[..., Service]) -> None:
    """Every worker tells the same sums; they do not fall when a worker is killed, and go on when it is replaced."""
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2")
    service.wait()
    for _ in range(60):
        assert service.ask("/predict", {"instance": GENTOO})[0] == 200
    assert [answered(service) for _ in range(10)] == [60] * 10

    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    before = children.read_text().split()
    os.kill(int(before[0]), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(set(children.read_text().split()) - {before[0]}) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(20):  # Some of these connections wait for the new one.
        service.wait()
    for _ in range(40):
        assert service.ask("/predict", {"instance": GENTOO})[0] == 200

    assert [answered(service) for _ in range(10)] == [100] * 10
