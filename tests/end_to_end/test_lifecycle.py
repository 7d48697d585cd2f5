"""The life of versions in a real service of two workers, while a client asks without a pause."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from models.repository import ModelRepository, PublishedModel
from service.prediction.predictor import Predictor
from tests.conftest import find_free_port
from tests.end_to_end.conftest import QUICK, ROOT, Service, running, train
from tests.service.conftest import GENTOO, PUBLISHED
from tests.service.test_metrics import value

# What the promise says of a decision; alone, it takes a tenth of that. A new version is tried in a process that starts
# beside the load: half a second on an idle machine, and as long as it takes on one that runs other tests.
SOON_S, TRIED_S = 2.0, 15.0
Answer = dict[str, float]


class Recorder:
    """Asks without a pause, and holds every answer against the golden answer of the version that it names."""

    def __init__(self, service: Service, golden: Callable[[int], Answer]) -> None:
        self._address = urlsplit(service.url).netloc
        self._golden = golden
        self.wrong: list[object] = []
        self.versions: list[tuple[float, int]] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self) -> "Recorder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def serves_only(self, *versions: int) -> float:
        """Wait until these versions, and no other, answer; the seconds that it took."""
        began = time.monotonic()
        while time.monotonic() - began < 20:
            time.sleep(0.02)
            recent = [version for moment, version in list(self.versions)[-400:] if moment > time.monotonic() - 0.15]
            if len(recent) > 10 and set(recent) == set(versions):
                return time.monotonic() - began - 0.15
        raise AssertionError(f"after 20 s not only {versions} answer, but {set(recent)}")

    def _ask(self) -> None:
        with closing(http.client.HTTPConnection(self._address, timeout=10)) as connection:
            for key in count():
                if self._done.is_set():
                    return
                self._ask_once(connection, str(key))

    def _ask_once(self, connection: http.client.HTTPConnection, key: str) -> None:
        headers = {"Content-Type": "application/json", "X-Request-Key": key}
        sent = time.monotonic()
        try:
            connection.request("POST", "/predict", json.dumps({"instance": GENTOO}), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.wrong.append(error)
            return
        version = answer.get("model", {}).get("version")
        self.versions.append((sent, version))
        if response.status != 200 or answer["prediction"]["probabilities"] != self._golden(version):
            self.wrong.append((response.status, answer))


class Place:
    """A repository that two trainings are published to in turns, and a service of two workers on it."""

    def __init__(self, root: Path, trained: list[PublishedModel], service: Service) -> None:
        self.repository = ModelRepository(root)
        self.service = service
        self._trained = trained
        self._answers = [self._answer(model) for model in trained]

    def golden(self, version: int) -> Answer:
        """What a version answers, computed in this process."""
        return self._answers[version % 2]

    def publish(self) -> int:
        """The next version: of the first training where its number is even, else of the second."""
        model = self._trained[(max(self.repository.versions("penguins")) + 1) % 2]
        return self.repository.publish(model.card, {"model.onnx": model.onnx})

    def run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "models", "--repository", str(self.repository.root), *arguments]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    def states(self, version: int) -> set[str | None]:
        """What a version is there for, as every worker says: twenty new connections reach them all."""
        asked = [self.service.ask("/v1/models/penguins")[1]["lifecycle"] for _ in range(20)]
        return {next((one["state"] for one in shown if one["version"] == version), None) for shown in asked}

    def _answer(self, model: PublishedModel) -> Answer:
        predictor = Predictor(model)
        (probabilities,) = predictor.predict(predictor.rows.read([GENTOO]).tensors)
        # In the fewest digits that read back as the same 32-bit float, as the service writes them.
        return {label: float(str(one)) for label, one in zip(model.card.classes, probabilities, strict=True)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, penguins: Path) -> list[PublishedModel]:
    """Two trainings on the same table with different networks."""
    root = tmp_path_factory.mktemp("trained")
    train(penguins, root, "--target", "species", "--name", "penguins", *QUICK)
    return [ModelRepository(root).read("penguins", 1), ModelRepository(PUBLISHED).read("penguins", 1)]


@pytest.fixture
def place(tmp_path: Path, trained: list[PublishedModel]) -> Iterator[Place]:
    root = tmp_path / "store"
    shutil.copytree(PUBLISHED, root)
    with running(root, find_free_port(), EVENKEEL_WORKERS="2", EVENKEEL_POLL_SECONDS="60") as service:
        service.wait()
        yield Place(root, trained, service)


def test_every_decision_takes_effect_in_both_workers_and_no_request_is_lost(place: Place) -> None:
    """Published, pinned, rolled back, a canary, promoted, unpinned: by the commands, under load, without polling."""
    tried, took = [], []
    with Recorder(place.service, place.golden) as recorder:
        recorder.serves_only(1)
        place.publish()
        tried.append(recorder.serves_only(2))
        place.publish()
        tried.append(recorder.serves_only(3))
        for arguments, versions in (
            (["rollback", "penguins"], [2]),
            (["rollback", "penguins"], [1]),
            (["promote", "penguins", "3"], [3]),
            (["canary", "penguins", "2", "--share", "50%"], [2, 3]),
            (["canary", "penguins", "--off"], [3]),
            (["canary", "penguins", "2", "--share", "100%"], [2]),
            (["promote", "penguins", "2"], [2]),
            (["promote", "penguins", "--newest"], [3]),
        ):
            place.run(*arguments)
            took.append(recorder.serves_only(*versions))

    assert recorder.wrong == []
    assert len(recorder.versions) > 200
    assert max(took) < SOON_S, took
    assert max(tried) < TRIED_S, tried


def test_a_key_is_answered_by_the_same_version_in_every_worker(place: Place) -> None:
    """Also after a worker was killed and replaced."""
    place.publish()
    place.run("promote", "penguins", "1")
    place.run("canary", "penguins", "2", "--share", "50%")
    with Recorder(place.service, place.golden) as recorder:
        recorder.serves_only(1, 2)

        def by_key() -> set[tuple[str, int]]:
            return {(key, ask(place.service, key)) for _ in range(4) for key in map(str, range(40))}

        before = settled(by_key)
        children = Path(f"/proc/{place.service.process.pid}/task/{place.service.process.pid}/children")
        worker = children.read_text().split()[0]
        os.kill(int(worker), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while len(set(children.read_text().split()) - {worker}) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert settled(by_key) == before


def settled(by_key: Callable[[], set[tuple[str, int]]]) -> set[tuple[str, int]]:
    """What the keys get once both workers have taken the decision up."""
    deadline = time.monotonic() + 20
    while len(got := by_key()) > 40:
        assert time.monotonic() < deadline, got
    return got


def ask(service: Service, key: str) -> int:
    headers = {"Content-Type": "application/json", "X-Request-Key": key}
    with closing(http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=10)) as connection:
        connection.request("POST", "/predict", json.dumps({"instance": GENTOO}), headers)
        version: int = json.loads(connection.getresponse().read())["model"]["version"]
    return version


def test_what_goes_wrong_with_the_repository_reaches_no_client(place: Place) -> None:
    """A corrupt version, one that is half there, a broken choice, a deleted version, an emptied and a removed
    repository; then all is good again. Version 1 answers all the while, and the next one soon after.
    """
    root = place.repository.root / "penguins"
    with Recorder(place.service, place.golden) as recorder:
        corrupt = root / str(place.publish())
        data = bytearray((corrupt / "model.onnx").read_bytes())
        data[len(data) // 2] ^= 1
        shutil.rmtree(corrupt)
        recorder.serves_only(1)
        copy_slowly(place, corrupt, bytes(data))
        recorder.serves_only(1)
        deadline = time.monotonic() + 20
        while (states := place.states(2)) != {"refused"} and time.monotonic() < deadline:
            pass
        assert states == {"refused"}
        (root / "serving.json").write_text("{")
        (root / "3").mkdir()
        time.sleep(0.5)
        recorder.serves_only(1)
        away = place.repository.root.with_name("away")
        place.repository.root.rename(away)
        time.sleep(0.5)
        place.repository.root.mkdir()
        time.sleep(0.5)
        recorder.serves_only(1)
        assert place.service.ask("/v2/health/ready")[0] == 200
        place.repository.root.rmdir()
        away.rename(place.repository.root)
        (root / "serving.json").unlink()
        (root / "3").rmdir()
        assert place.publish() == 3
        recorder.serves_only(3)
        shutil.rmtree(root / "3")
        recorder.serves_only(1)

    assert recorder.wrong == []


def copy_slowly(place: Place, target: Path, onnx: bytes) -> None:
    """A version under its final name, file by file and piece by piece."""
    target.mkdir()
    shutil.copy(place.repository.root / "penguins/1/card.json", target)
    with (target / "model.onnx").open("wb") as file:
        for start in range(0, len(onnx), 1 + len(onnx) // 5):
            file.write(onnx[start : start + 1 + len(onnx) // 5])
            file.flush()
            time.sleep(0.1)


def test_a_shadow_is_compared_under_load(place: Place) -> None:
    """Across both workers; nobody sees anything of it but the metrics."""
    place.publish()
    place.run("promote", "penguins", "1")
    place.run("shadow", "penguins", "2")
    with Recorder(place.service, place.golden) as recorder:
        recorder.serves_only(1)
        deadline = time.monotonic() + 20
        while shadowed(place.service, "requests") < 100 and time.monotonic() < deadline:
            time.sleep(0.1)
    time.sleep(0.5)

    assert recorder.wrong == []
    rows = shadowed(place.service, "rows")
    difference = sum(abs(place.golden(1)[label] - place.golden(2)[label]) for label in place.golden(1)) / 3
    assert rows >= 100
    assert shadowed(place.service, "difference") / rows == pytest.approx(difference, rel=1e-3)


def shadowed(service: Service, what: str) -> float:
    return value(service.metrics(), f"shadow_{what}_total")


def test_no_worker_outlives_the_main_process(place: Place) -> None:
    """A kill -9 of the one that would stop them: within a second nobody listens."""
    process = place.service.process
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    process.kill()
    time.sleep(1)

    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset)
        place.service.ask("/v2/health/live")
