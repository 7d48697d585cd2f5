"""How many workers there is room for."""

import json
import logging

import pytest

from service.http.budget import BUDGET, RESERVE
from service.processes import capacity
from service.processes.capacity import SHARED_BYTES, WORKER_BYTES, Capacity, explain
from service.telemetry.logs import JsonLines

GB, MB = 1 << 30, 1 << 20


@pytest.mark.parametrize(
    ("cores", "memory", "body", "workers"),
    [
        (16, GB, 16 * MB, 3),
        (2, GB, 16 * MB, 2),
        (16, GB, MB, 16),
        (16, 64 * GB, 16 * MB, 16),
        (16, 64 * MB, 16 * MB, 1),
    ],
)
def test_there_are_as_many_workers_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: int, body: int, workers: int
) -> None:
    """Each with memory for all that admission control lets in; and there is always one."""
    monkeypatch.setattr(capacity, "available_cores", lambda: cores)
    monkeypatch.setattr(capacity, "available_memory", lambda: memory)
    found = capacity.capacity(body)

    assert found.worker_bytes == WORKER_BYTES + (BUDGET + RESERVE) * body
    assert found.workers == workers
    assert workers in (1, cores) or SHARED_BYTES + (workers + 1) * found.worker_bytes > memory
    assert workers == 1 or found.needed(workers) <= memory


def test_the_numbers_are_logged_and_what_does_not_fit_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """With what to do about it."""
    caplog.set_level(logging.INFO)
    found = Capacity(16, GB, 280 * MB)
    for workers in (3, 16):
        explain(found, workers)
    fits, told, warned = [json.loads(JsonLines().format(record)) for record in caplog.records]

    numbers = {"fitting_workers": 3, "cores": 16, "memory_megabytes": 1024, "worker_megabytes": 280}
    assert fits.items() >= (numbers | {"event": "workers", "workers": 3, "level": "info"}).items()
    assert told["workers"] == 16
    assert warned.items() >= (numbers | {"workers": 16, "level": "warning"}).items()
    assert "lower EVENKEEL_WORKERS or EVENKEEL_MAX_BODY_BYTES, or give the service 4608 MB" in warned["event"]
