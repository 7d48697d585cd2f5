"""How many workers start under the compose file's own limits."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.processes.capacity import SHARED_BYTES, WORKER_BYTES
from tests.containers.conftest import Stack, needs_engine
from tests.containers.test_compose import GENTOO

pytestmark = needs_engine


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack]) -> Stack:
    stack = empty_stack()
    stack.compose("build")
    stack.train()
    return stack


def start(stack: Stack, **environment: str) -> list[dict[str, Any]]:
    """The service anew, until it is healthy and has answered; its log."""
    stack.environment = {**stack.environment, "EVENKEEL_WORKERS": "", "EVENKEEL_MAX_BODY_BYTES": ""} | environment
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "service")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
    for _ in range(64):
        assert stack.predict("penguins", GENTOO)["prediction"]["label"] == "Gentoo"
    found = stack.inspect("service")
    assert (found["RestartCount"], found["State"]["OOMKilled"]) == (0, False)
    assert found["HostConfig"]["Memory"] == 1 << 30
    # Compose may write to the terminal that it takes this for.
    lines = stack.compose("logs", "--no-log-prefix", "service").stdout.splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if "{" in line]


def test_sixteen_workers_start_in_the_files_own_memory(stack: Stack) -> None:
    """As on a machine of sixteen cores: healthy, none was killed, and a warning says what full load would take."""
    log = start(stack, EVENKEEL_WORKERS="16")

    (numbers,) = [line for line in log if line["event"] == "workers"]
    assert (numbers["workers"], numbers["memory_megabytes"], numbers["fitting_workers"] <= 3) == (16, 1024, True)
    assert [line for line in log if line["level"] == "warning" and "more memory than there is" in line["event"]]
    assert not [line for line in log if line["event"] == "worker died"]


def test_without_being_told_as_many_start_as_fit(stack: Stack) -> None:
    """By the memory that the container has, and the longest body that it takes."""
    for megabytes, most in ((16, 3), (64, 1)):
        log = start(stack, EVENKEEL_MAX_BODY_BYTES=str(megabytes << 20))

        (numbers,) = [line for line in log if line["event"] == "workers"]
        assert (numbers["memory_megabytes"], numbers["shared_megabytes"]) == (1024, SHARED_BYTES >> 20)
        assert numbers["worker_megabytes"] == (WORKER_BYTES >> 20) + 16 * megabytes
        assert numbers["workers"] == min(numbers["cores"], most)
