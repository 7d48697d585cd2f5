import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository import ModelRepository
from tests.end_to_end.conftest import ROOT, Service, train
from tests.service.conftest import PUBLISHED
from trainer.data.table import read_table
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

Serve = Callable[..., Service]


@pytest.fixture(scope="module")
def trained(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedClassifier]:
    """A repository with a model of the penguins, and the networks that were exported into it."""
    repository = tmp_path_factory.mktemp("store")
    config = TrainingConfig.of(table=penguins, target="species", name="penguins", epochs=20, members=2)
    return repository, run(config, ModelRepository(repository)).classifier


def test_http_answers_equal_the_networks(trained: tuple[Path, TrainedClassifier], penguins: Path, serve: Serve) -> None:
    """A table in, a served model out: every row of it, over HTTP, within 1e-5 of the numpy network."""
    repository, classifier = trained
    rows = read_table(penguins, "species").examples.rows
    service = serve(repository)
    service.wait()
    status, body = service.ask("/predict", {"instances": rows.records()})

    assert status == 200
    answers = [list(prediction["probabilities"].values()) for prediction in body["predictions"]]
    np.testing.assert_allclose(answers, classifier.predict(rows), rtol=0, atol=1e-5)


def test_an_answer_does_not_depend_on_the_others(
    trained: tuple[Path, TrainedClassifier], penguins: Path, serve: Serve
) -> None:
    """A row alone and the same row among 256 others get the same answer, but for float32 rounding."""
    records = read_table(penguins, "species").examples.rows.records()[:257]
    service = serve(trained[0])
    service.wait()
    _, together = service.ask("/predict", {"instances": records})

    for index in (0, 3, 128, 256):
        _, alone = service.ask("/predict", {"instance": records[index]})
        among = together["predictions"][index]
        assert alone["prediction"]["label"] == among["label"]
        assert alone["prediction"]["probabilities"] == pytest.approx(among["probabilities"], rel=1e-5)


def test_a_service_without_a_model_becomes_ready_by_itself(penguins: Path, tmp_path: Path, serve: Serve) -> None:
    """Started first, on a repository that does not exist yet; then trained; then trained again."""
    repository = tmp_path / "store"
    service = serve(repository)
    service.wait("/v2/health/live")
    status, body = service.ask("/v2/health/ready")
    assert (status, body["code"]) == (503, "not_ready")

    flags = ("--target", "species", "--name", "penguins", "--epochs", "3", "--members", "1")
    train(penguins, repository, *flags)
    assert service.wait() < 2
    train(penguins, repository, *flags)
    assert service.wait("/v2/models/penguins/versions/2") < 2


def test_a_worker_that_dies_is_replaced(serve: Serve) -> None:
    """The service answers again after its only worker was killed."""
    service = serve(PUBLISHED)
    service.wait()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    service.wait("/nowhere", 404)

    assert service.ask("/v1/models")[0] == 200


def test_the_service_stops_when_told(serve: Serve) -> None:
    """SIGTERM ends it with exit code 0."""
    service = serve(PUBLISHED)
    service.wait()
    service.process.terminate()

    assert service.process.wait(10) == 0


def test_a_taken_port_is_refused(serve: Serve) -> None:
    """Two services on one port would share the requests in silence: the second does not start, with exit code 74."""
    service = serve(PUBLISHED)
    service.wait()
    port = service.url.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=os.environ | {"EVENKEEL_PORT": port},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode == 74
    way = "another program listens there: end it, or say --port, or EVENKEEL_PORT, with another number"
    assert second.stderr == f"service: 127.0.0.1:{port}: Address already in use; {way}\n"


def test_labels_and_names_come_back_as_they_were_written(tmp_path: Path, serve: Serve) -> None:
    """Commas, quotes, emoji, `<=50K`, `TRUE`: byte-equal from the table to the answer."""
    labels = ["<=50K", "TRUE", 'a "quoted", one', "🐧", "-1"]
    features = ["capital-gain", "__class__", "naïve, “feature”"]
    lines = [",".join(['"' + name.replace('"', '""') + '"' for name in [*features, "y"]])]
    for index in range(60):
        label = labels[index % 5].replace('"', '""')
        lines.append(f'{index % 5},"text {index % 5}",{index},"{label}"')
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    train(table, tmp_path / "store", "--target", "y", "--name", "odd", "--members", "1")
    service = serve(tmp_path / "store")
    service.wait()

    for index, label in enumerate(labels):
        record: dict[str, Any] = {features[0]: index, features[1]: f"text {index}", features[2]: 30 + index}
        status, body = service.ask("/predict", {"instance": record})
        assert status == 200
        assert body["prediction"]["label"] == label
        assert set(body["prediction"]["probabilities"]) == set(labels)
