"""Labels for the answers of a real service: over workers that come and go, and over its restart."""

import json
import os
import signal
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from models.repository import ModelRepository
from service.processes.supervisor import RETIRE
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running, wait_for
from tests.end_to_end.test_workers import children
from tests.service.conftest import PUBLISHED

CLASSES = ("Adelie", "Chinstrap", "Gentoo")


def predict(service: Service, request_id: str, instances: list[Any]) -> list[str]:
    """The labels that some rows are answered with, over a connection of their own."""
    headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
    body = json.dumps({"instances": instances}).encode()
    request = urllib.request.Request(f"{service.url}/predict", body, headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return [one["label"] for one in json.loads(response.read())["predictions"]]


def live(service: Service) -> list[dict[str, Any]]:
    """What the labels of each window say."""
    kept = ("status", "live", "promised", "calibration", "confusion")
    windows = service.ask("/v1/models/penguins/performance")[1]["windows"]
    return [{name: window[name] for name in kept} for window in windows]


def test_labels_find_their_answers_whoever_gave_them(tmp_path: Path) -> None:
    """Two workers, labels at once after the answers, more than fit a short body: none is unknown. Both tell the same
    figures, also after one was killed; and, with the prediction log, after the service was stopped and started.
    """
    rows = [dict(one.instance) for one in ModelRepository(PUBLISHED).card("penguins", 1).golden] * 2
    log, port = tmp_path / "log", find_free_port()
    start = partial(running, PUBLISHED, port, EVENKEEL_WORKERS="2", EVENKEEL_PREDICTION_LOG=str(log))
    with start() as service:
        service.wait()
        told = []
        for number in range(30):
            said = predict(service, f"request-number-{number}", rows)
            told += [
                {"id": f"request-number-{number}", "index": at, "label": CLASSES[0] if number < 10 else label}
                for at, label in enumerate(said)
            ]
        assert len(json.dumps(told)) > 16 << 10
        assert service.ask("/v1/feedback", {"feedback": told[:1]})[1]["counted"] == 1
        status, counted = service.ask("/v1/feedback", {"feedback": told})
        assert (status, counted["counted"], counted["repeated"], counted["unknown"]) == (200, len(told) - 1, 1, 0)
        before = live(service)
        assert before[0]["live"]["rows"] == len(told)
        assert before[0]["status"] == "worse"
        assert all(live(service) == before for _ in range(6))

        # What a worker has not written yet is lost with it.
        wait_for(lambda: sum(file.read_bytes().count(b"\n") for file in log.iterdir()) == 2 * len(told))
        killed = children(service)[0]
        os.kill(int(killed), signal.SIGKILL)
        wait_for(lambda: killed not in children(service) and len(children(service)) == 2)
        assert all(live(service) == before for _ in range(6))

    with start() as service:
        service.wait()
        assert live(service) == before
        again = service.ask("/v1/feedback", {"feedback": [*told[:5], told[-1] | {"label": "Chinstrap"}]})[1]
        assert (again["repeated"], again["corrected"], again["unknown"]) == (5, 1, 0)


def test_the_last_answers_of_a_worker_outlive_it() -> None:
    """One that ends as it should has left them to the next one, however soon after they were given: for labels, and as
    rows that were counted.
    """
    rows = [dict(one.instance) for one in ModelRepository(PUBLISHED).card("penguins", 1).golden]
    with running(PUBLISHED, find_free_port(), EVENKEEL_WORKERS="1") as service:
        service.wait()
        said = predict(service, "the-last", rows)
        (worker,) = children(service)
        os.kill(int(worker), RETIRE)
        wait_for(lambda: worker not in children(service) and len(children(service)) == 1)
        told = [{"id": "the-last", "index": at, "label": label} for at, label in enumerate(said)]

        assert service.ask("/v1/feedback", {"feedback": told})[1]["counted"] == len(rows)
        assert service.ask("/v1/models/penguins/drift")[1]["windows"][0]["rows"] == len(rows)
